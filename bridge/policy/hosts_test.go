package policy

import (
	"slices"
	"strings"
	"testing"
)

// TestHosts reads names of hosts, and refuses what is none.
func TestHosts(t *testing.T) {
	s, err := Parse("rules", []byte("version: 1\nrules: [{name: a, grant: {hosts: [Media.Partner.example, b.example]}}]"))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Decide(Facts{Room: "r"}).Grant.Hosts; !slices.Equal(got, []string{"media.partner.example", "b.example"}) {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{"192.0.2.1", "localhost", "a..b", "-a.example", strings.Repeat("a.", 130) + "example", "*.example", "a.example:5060"} {
		if _, err := Parse("rules", []byte("version: 1\nrules: [{name: a, grant: {hosts: '"+bad+"'}}]")); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
