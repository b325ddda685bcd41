package federation

import (
	"errors"
	"strings"
	"testing"

	"passerelle/bridge"
)

func TestParse(t *testing.T) {
	for to, want := range map[string][2]string{
		"livekit://partner/budget":                {"partner", "budget"},
		"LIVEKIT://partner.example/a%20b":         {"partner.example", "a b"},
		"livekit://p/a/b":                         {"p", "a/b"},
		"livekit://p/%3F%23":                      {"p", "?#"},
		"livekit://p/" + strings.Repeat("x", 255): {"p", strings.Repeat("x", 255)},
	} {
		site, room, err := parse(to)
		if err != nil || site != want[0] || room != want[1] {
			t.Errorf("%s: %q %q %v", to, site, room, err)
		}
	}
	for _, to := range []string{
		"", "partner/budget", "sip:room@partner", "livekit:partner/budget", "livekit://", "livekit://partner", "livekit://partner/", "livekit:///budget",
		"livekit://partner:443/budget", "livekit://user@partner/budget", "livekit://partner/budget?x", "livekit://partner/budget?", "livekit://partner/budget#x",
		"livekit://partner/a%00b", "livekit://partner/a%0Ab", "livekit://partner/%ff", "livekit://partner/%zz", "livekit://p/" + strings.Repeat("x", 256),
		"livekit://p/" + strings.Repeat("%20", 400), "livekit://[::1]/x", " livekit://p/x", "livekit://p /x",
	} {
		if site, room, err := parse(to); !errors.Is(err, bridge.ErrNoTarget) {
			t.Errorf("%q is %q %q, %v", to, site, room, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"livekit://partner/budget", "livekit://p/%3F/a", "livekit://[::1]/x", "livekit://a@b:1/c?d#e", "%", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, to string) {
		site, room, err := parse(to)
		if err != nil {
			return
		}
		again, same, err := parse(address(site, room))
		if err != nil || again != site || same != room {
			t.Errorf("%q: %q %q, and its own address is %q %q %v", to, site, room, again, same, err)
		}
	})
}
