package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestOrigins reads origins of pages, and refuses what no browser writes.
func TestOrigins(t *testing.T) {
	s := parsed(t, head+"  - {name: a, grant: {origins: [https://studio.example, \"http://localhost:3000\", \"https://[2001:db8::1]:8443\"]}}\n")
	g := s.Decide(Facts{Room: "r"}).Grant
	if want := []string{"https://studio.example", "http://localhost:3000", "https://[2001:db8::1]:8443"}; !slices.Equal(g.Origins, want) {
		t.Errorf("%q", g.Origins)
	}
	for _, bad := range []string{
		"studio.example", "https://", "https://studio.example/", "https://studio.example/a", "https://Studio.example", "https://studio.example:443",
		"http://studio.example:80", "ftp://studio.example", "null", "https://*.example", "https://u@studio.example", "https://studio.example:", "", "https://a b",
		"https://studio.example?", "https://" + strings.Repeat("a", 300),
	} {
		if _, err := Parse("rules", []byte(head+"  - {name: a, grant: {origins: '"+bad+"'}}\n")); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	var many []string
	for i := range maxOrigins + 1 {
		many = append(many, fmt.Sprintf("https://%d.example", i))
	}
	for in, want := range map[string]string{
		"grant: {origins: [https://a.example, https://a.example]}":             "each origin once",
		"when: {protocol: [sip, webrtc]}, grant: {origins: https://a.example}": "its protocol is not whip",
		"grant: {origins: [" + strings.Join(many, ", ") + "]}":                 "at most 32 origins",
	} {
		if _, err := Parse("rules", []byte(head+"  - {name: a, "+in+"}\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

// TestSomeOrigin: what a browser is told before the link is known is what any rule takes; the grant tells what its own does.
func TestSomeOrigin(t *testing.T) {
	s := parsed(t, head+
		"  - {name: a, when: {link: \"a-*\"}, grant: {origins: [https://b.example, https://a.example]}}\n"+
		"  - {name: b, when: {link: \"b-*\"}, grant: {origins: https://b.example}}\n"+
		"  - {name: c, when: {link: any}, grant: {}}\n")
	for _, c := range []struct {
		origin, link string
		some, own    bool
	}{
		{"https://a.example", "a-1", true, true},
		{"https://a.example", "b-1", true, false},
		{"https://b.example", "b-1", true, true},
		{"https://b.example", "c", true, false},
		{"https://c.example", "a-1", false, false},
		{"*", "a-1", false, false},
		{"", "a-1", false, false},
	} {
		if s.SomeOrigin(c.origin) != c.some || s.Decide(Facts{Room: "r", Link: c.link}).Grant.TakesOrigin(c.origin) != c.own {
			t.Errorf("%+v: got %v and %v", c, s.SomeOrigin(c.origin), !c.own)
		}
	}
	all := parsed(t, head+"  - {name: a, grant: {origins: \"*\"}}\n")
	if !all.SomeOrigin("https://z.example") || !all.Decide(Facts{Room: "r"}).Grant.TakesOrigin("https://z.example") {
		t.Error("* does not take all")
	}
	if Builtin().SomeOrigin("https://z.example") {
		t.Error("the rules that are built in take pages of others")
	}
}
