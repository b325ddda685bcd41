//go:build e2e

package phone_test

import (
	"strings"
	"testing"
	"time"

	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/baresip"
	"passerelle/internal/testpeer/sipp"
)

// trunks are one for each way to be let in, told apart by address.
const trunks = `[
  {name: plain, addresses: [127.0.0.1]},
  {name: encrypted, addresses: [127.0.0.2], encryption: require},
  {name: password, addresses: [127.0.0.3], digest: {user: alice, password: quite-secret, algorithms: [MD5]}}]`

// TestRefused has callers who may not call, or not so, and those who may.
func TestRefused(t *testing.T) {
	t.Parallel()
	h := start(t, stack.Options{Rooms: 1, Trunks: trunks})
	t.Run("clear call by a trunk that requires encryption", func(t *testing.T) {
		p := baresip.Start(t, baresip.Options{Bind: "127.0.0.2", Codec: "PCMA"})
		if why := p.Try(t, h.uri("udp")); !strings.HasPrefix(why, "488 ") {
			t.Errorf("refused with %q, want 488", why)
		}
		script := (&sipp.Scenario{}).Request("INVITE", "", sipp.SDP(1, pcma, "")).Provisional(100).Expect(488)
		scripted := sipp.Start(t, h.SIP, script.String(), sipp.Options{Bind: "127.0.0.2"})
		scripted.Wait(t, 10*time.Second)
		refusal := scripted.Received()[len(scripted.Received())-1]
		if !strings.Contains(refusal, `Warning: 304 `) || !strings.Contains(refusal, "must be encrypted") {
			t.Errorf("no readable warning:\n%s", refusal)
		}
	})
	t.Run("encrypted call by that trunk", func(t *testing.T) {
		p := baresip.Start(t, baresip.Options{Bind: "127.0.0.2", Codec: "PCMA", Encryption: "srtp-mand"})
		p.Call(t, h.uri("udp"))
		p.HangUp(t)
	})
	t.Run("wrong password", func(t *testing.T) {
		p := baresip.Start(t, baresip.Options{Bind: "127.0.0.3", Codec: "PCMA", Login: [2]string{"alice", "guessed"}})
		if why := p.Try(t, h.uri("udp")); !strings.HasPrefix(why, "401 ") {
			t.Errorf("refused with %q, want 401", why)
		}
	})
	t.Run("right password", func(t *testing.T) {
		p := baresip.Start(t, baresip.Options{Bind: "127.0.0.3", Codec: "PCMA", Login: [2]string{"alice", "quite-secret"}})
		p.Call(t, h.uri("udp"))
		p.HangUp(t)
	})
	t.Run("unknown source", func(t *testing.T) {
		for _, transport := range []string{"udp", "tcp"} {
			for _, method := range []string{"INVITE", "OPTIONS", "REGISTER"} {
				body := ""
				if method == "INVITE" {
					body = sipp.SDP(1, pcma, "")
				}
				script := (&sipp.Scenario{}).Request(method, "", body).Expect(200)
				p := sipp.Start(t, h.SIP, script.String(), sipp.Options{Bind: "127.0.0.9", Transport: transport})
				stack.Eventually(t, 5*time.Second, "the request is sent", func() bool { return strings.Contains(p.Messages(), "message sent") })
				time.Sleep(700 * time.Millisecond) // the first repetition is under way
				if got := p.Received(); len(got) > 0 {
					t.Errorf("%s by %s was answered: %q", method, transport, got)
				}
			}
		}
		if n := h.Metric(t, `passerelle_calls_answered_total`); n != 2 {
			t.Errorf("%v calls answered, want 2", n)
		}
	})
}
