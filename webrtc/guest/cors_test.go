package guest

import (
	"net/http"
	"testing"

	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge/links"
	"passerelle/bridge/policy"
	"passerelle/configs"
)

// TestPagesOfOthers: a preflight is answered by what configuration and any rule take, a request by the rule of its link.
func TestPagesOfOthers(t *testing.T) {
	t.Parallel()
	const named, theirs, others, evil = "https://intranet.example", "https://studio.example", "https://press.example", "https://evil.example"
	r := newRoom()
	h := open(t, func(c *configs.Guests) { c.Origins = []string{named} }, r.take)
	grant := policy.Grant{Audio: policy.Both, Origins: []string{theirs}}
	h.rules.set(policy.Decision{Allowed: true, Grant: grant})
	h.rules.mu.Lock()
	h.rules.some = []string{theirs, others}
	h.rules.mu.Unlock()
	_, token := h.link(links.Wish{})
	pc := browserOf(t)
	if _, err := pc.AddTransceiverFromKind(pion.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	offer := (&tab{t: t, h: h, pc: pc}).offer(false)

	for _, path := range []string{"/whip", "/whep/room", "/whip/r/x"} {
		for origin, taken := range map[string]bool{named: true, theirs: true, others: true, evil: false, h.base: true} {
			a, _ := h.ask("OPTIONS", path, "", "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
			want := ""
			if taken {
				want = origin
			}
			if got := a.Header.Get("Access-Control-Allow-Origin"); a.StatusCode/100 != 2 || got != want || a.Header.Get("Vary") != "Origin" {
				t.Errorf("preflight of %s from %s: %d, %q", path, origin, a.StatusCode, got)
			}
			if a.Header.Get("Access-Control-Allow-Headers") == "" || a.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("preflight of %s: %v", path, a.Header)
			}
		}
	}
	for _, path := range []string{"/api/v1/session", "/"} { // what a rule takes is for WHIP and WHEP only
		if a, _ := h.ask("OPTIONS", path, "", "", "Origin", theirs); a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s is open to %s", path, theirs)
		}
	}

	post := func(origin string) *http.Response {
		a, text := h.ask("POST", "/whip", token, offer, "Content-Type", "application/sdp", "Origin", origin)
		if a.StatusCode != http.StatusCreated && a.Header.Get("Location") != "" {
			t.Errorf("%s: %s", origin, text)
		}
		return a
	}
	if a := post(others); a.StatusCode != http.StatusForbidden || a.Header.Get("Access-Control-Allow-Origin") != others {
		t.Errorf("a page of another rule: %d %v", a.StatusCode, a.Header)
	}
	if a := post(evil); a.StatusCode != http.StatusForbidden || a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a page of no rule: %d %v", a.StatusCode, a.Header)
	}
	if n := h.Legs(); n != 0 {
		t.Errorf("%d legs", n)
	}
	a := post(theirs)
	location := a.Header.Get("Location")
	if a.StatusCode != http.StatusCreated || a.Header.Get("Access-Control-Allow-Origin") != theirs {
		t.Fatalf("a page of the rule: %d %v", a.StatusCode, a.Header)
	}
	const exposed = "Location, ETag, Link, Retry-After, Accept-Patch, Accept-Post, Allow"
	if got := a.Header.Get("Access-Control-Expose-Headers"); got != exposed {
		t.Errorf("exposed: %q", got)
	}
	if a, _ := h.ask("DELETE", location, token, "", "Origin", others); a.StatusCode != http.StatusForbidden {
		t.Errorf("DELETE from elsewhere: %d", a.StatusCode)
	}
	grant.Origins = nil // the rules change
	h.rules.set(policy.Decision{Allowed: true, Grant: grant})
	if a, _ := h.ask("DELETE", location, token, "", "Origin", theirs); a.StatusCode != http.StatusForbidden {
		t.Errorf("DELETE after the rules changed: %d", a.StatusCode)
	}
	if a, _ := h.ask("DELETE", location, token, "", "Origin", named); a.StatusCode != http.StatusOK {
		t.Errorf("DELETE from a page of guests.origins: %d", a.StatusCode)
	}
	h.rules.set(policy.Decision{Refusal: policy.Refusal{Reason: policy.Forbidden, Text: "Not today"}})
	if a, _ := h.ask("POST", "/whip", token, offer, "Content-Type", "application/sdp", "Origin", theirs); a.StatusCode != http.StatusForbidden {
		t.Errorf("refused by the rules: %d", a.StatusCode)
	}
	until(t, "nobody", func() bool { return h.Legs() == 0 })
}
