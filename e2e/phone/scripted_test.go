//go:build e2e

package phone_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/sipp"
)

const (
	pcma  = "8"
	pcmu  = "0"
	video = `m=video 41000 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 profile-level-id=42801e
a=content:main
m=application 41002 UDP/BFCP *
a=floorctrl:c-only
a=confid:1
a=userid:2
m=video 41004 RTP/AVP 96
a=rtpmap:96 H264/90000
a=content:slides
m=application 41006 RTP/AVP 100
a=rtpmap:100 H224/4800`
)

// typePIN types the scene's PIN by INFO, by both MIME types in turn.
func (s *scene) typePIN(script *sipp.Scenario) {
	for i, key := range s.pin + "#" {
		script.Digit(key, i%2 == 0).Pause(50)
	}
}

// quiet waits until the telephone, which echoes, has been told what it is being told.
func (s *scene) quiet() {
	s.Helper()
	stack.Eventually(s.T, 10*time.Second, "the telephone is told something", func() bool { return s.camille.Tape.Level(200*time.Millisecond) > -45 })
	stack.Eventually(s.T, 10*time.Second, "the telephone is told nothing more", func() bool { return s.camille.Tape.Level(800*time.Millisecond) < -60 })
}

// TestScripted has SIPp call by the book: Camille's voice goes to SIPp, which sends it back, and is found in what Camille hears.
func TestScripted(t *testing.T) {
	t.Parallel()
	h := start(t, stack.Options{Rooms: 20})
	for n, c := range []struct {
		name      string
		transport string
		begin     func(*sipp.Scenario) // until the call is answered
		then      func(*sipp.Scenario) // in the room
		answer    string               // what is expected of the last answer with SDP
	}{
		{name: "UDP", begin: func(s *sipp.Scenario) {
			s.Request("INVITE", "", sipp.SDP(1, pcma, "a=ptime:20")).Provisional(100).Provisional(180).Expect(200).Request("ACK", "", "")
		}, answer: `m=audio \d+ RTP/AVP 8\n`},
		{name: "TCP", transport: "tcp", begin: func(s *sipp.Scenario) {
			s.Request("INVITE", "", sipp.SDP(1, pcmu, "a=ptime:20")).Provisional(100).Provisional(180).Expect(200).Request("ACK", "", "")
		}, answer: `m=audio \d+ RTP/AVP 0\n`},
		{name: "late offer", begin: func(s *sipp.Scenario) {
			s.Request("INVITE", "", "").Provisional(100).Provisional(180).Expect(200).Request("ACK", "", sipp.SDP(1, pcma, ""))
		}, answer: `m=audio \d+ RTP/S?AVPF? .*\b8\b`},
		{name: "100rel", begin: func(s *sipp.Scenario) {
			s.Request("INVITE", "Require: 100rel\n", sipp.SDP(1, pcma, "")).Provisional(100).Take(180, "RSeq").
				Request("PRACK", "RAck: [$RSeq] 1 INVITE\n", "").Expect(200).Expect(200).Ack(1, "")
		}, answer: `m=audio \d+ RTP/AVP 8\n`},
		{name: "100rel and late offer", begin: func(s *sipp.Scenario) {
			s.Request("INVITE", "Require: 100rel\n", "").Provisional(100).Take(180, "RSeq").
				Request("PRACK", "RAck: [$RSeq] 1 INVITE\n", sipp.SDP(1, pcma, "")).Expect(200).Expect(200).Ack(1, "")
		}, answer: `m=audio \d+ RTP/S?AVPF? .*\b8\b`},
		{name: "video, BFCP and H.224 offered", begin: func(s *sipp.Scenario) {
			s.Request("INVITE", "", sipp.SDP(1, pcma, video)).Provisional(100).Provisional(180).Expect(200).Request("ACK", "", "")
		}, answer: `(?s)m=audio \d{5} RTP/AVP 8\n.*m=video 0 RTP/AVP 96\n.*m=application 0 UDP/BFCP \*\n.*m=video 0 RTP/AVP 96\n.*m=application 0 RTP/AVP 100\n`},
		{name: "moved address", begin: func(s *sipp.Scenario) {
			s.Request("INVITE", "", sipp.SDP(1, pcma, "")).Provisional(100).Provisional(180).Expect(200).Request("ACK", "", "")
		}, then: func(s *sipp.Scenario) {
			s.Request("INVITE", "", strings.Replace(sipp.SDP(2, pcma, ""), "[media_port]", "[media_port+2]", 1)).
				Provisional(100).Expect(200).Request("ACK", "", "")
		}, answer: `m=audio \d+ RTP/AVP 8\n`},
		{name: "another codec in mid-call", begin: func(s *sipp.Scenario) {
			s.Request("INVITE", "", sipp.SDP(1, pcma, "")).Provisional(100).Provisional(180).Expect(200).Request("ACK", "", "")
		}, then: func(s *sipp.Scenario) {
			s.Request("INVITE", "", sipp.SDP(2, pcmu, "")).Provisional(100).Expect(200).Request("ACK", "", "")
		}, answer: `m=audio \d+ RTP/AVP 0\n`},
		{name: "hold by direction and resume", begin: func(s *sipp.Scenario) {
			s.Request("INVITE", "", sipp.SDP(1, pcma, "")).Provisional(100).Provisional(180).Expect(200).Request("ACK", "", "")
		}, then: func(s *sipp.Scenario) {
			s.Request("INVITE", "", sipp.SDP(2, pcma, "a=sendonly")).Provisional(100).Expect(200).Request("ACK", "", "").Pause(500).
				Request("INVITE", "", sipp.SDP(3, pcma, "a=inactive")).Provisional(100).Expect(200).Request("ACK", "", "").Pause(500).
				Request("INVITE", "", sipp.SDP(4, pcma, "a=sendrecv")).Provisional(100).Expect(200).Request("ACK", "", "")
		}, answer: `(?s)m=audio \d+ RTP/AVP 8\n.*a=sendrecv`},
		{name: "hold by address and resume", begin: func(s *sipp.Scenario) {
			s.Request("INVITE", "", sipp.SDP(1, pcma, "")).Provisional(100).Provisional(180).Expect(200).Request("ACK", "", "")
		}, then: func(s *sipp.Scenario) {
			s.Request("INVITE", "", strings.Replace(sipp.SDP(2, pcma, ""), "[media_ip]", "0.0.0.0", 1)).Provisional(100).Expect(200).
				Request("ACK", "", "").Pause(500).
				Request("UPDATE", "", sipp.SDP(3, pcma, "a=sendrecv")).Expect(200)
		}, answer: `m=audio \d+ RTP/AVP 8\n`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := h.scene(t, n)
			script := &sipp.Scenario{}
			c.begin(script)
			script.Pause(300)
			s.typePIN(script)
			script.Pause(1000)
			if c.then != nil {
				c.then(script)
			}
			p := sipp.Start(t, s.SIP, script.Pause(300).Digit('*', true).Digit('9', false).Bye().String(), sipp.Options{Transport: c.transport, Echo: true})
			s.sees("the hand is up", handUp)
			s.quiet()
			s.roomHears(func(clip []int16) { s.camille.Say(clip) })

			ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
			defer stop()
			guest, _ := s.guest()
			if err := s.admin.Remove(ctx, s.room, guest.Identity); err != nil {
				t.Fatal(err)
			}
			p.Wait(t, 20*time.Second)
			answers := slices.DeleteFunc(p.Received(), func(m string) bool { return !strings.Contains(m, "\nv=0\n") })
			if len(answers) == 0 || !regexp.MustCompile(c.answer).MatchString(answers[len(answers)-1]) {
				t.Errorf("the last SDP is not as expected: %q", answers)
			}
		})
	}
}
