package sip

import (
	"context"
	"strings"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/sip/sdp"
)

func TestHoldInAllSpellings(t *testing.T) {
	t.Parallel()
	for name, offer := range map[string]string{
		"sendonly":   audio("127.0.0.1", 40000, "sendonly"),
		"inactive":   audio("127.0.0.1", 40000, "inactive"),
		"zero":       audio("0.0.0.0", 40000, "sendrecv"),
		"video, too": audio("127.0.0.1", 40000, "inactive") + "m=video 5000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n",
	} {
		for _, method := range []string{"INVITE", "UPDATE"} {
			t.Run(name+" "+method, func(t *testing.T) {
				var r recorder
				s := start(t, r.handle)
				p := newPhone(t, s)
				p.call("")
				change := func(sdp string) string {
					p.request(method, sdp, "application/sdp", "")
					res := p.status(200, method)
					if method == "INVITE" {
						p.ack()
					}
					return body(res)
				}
				answer := change(offer)
				if strings.Contains(offer, "m=video") && !strings.Contains(answer, "m=video 0 ") {
					t.Errorf("video is not refused: %q", answer)
				}
				if e := r.event(t, bridge.Hold, 1); !e.Held {
					t.Error("not held")
				}
				change(audio("127.0.0.1", 40000, "sendrecv"))
				if e := r.event(t, bridge.Hold, 2); e.Held {
					t.Error("still held")
				}
				p.bye()
			})
		}
	}
}

func TestMovedAddress(t *testing.T) {
	t.Parallel()
	p, r := deskPhone(t)
	first := body(p.call(""))
	p.request("INVITE", audio("127.0.0.1", 40002, "sendrecv"), "application/sdp", "")
	second := body(p.status(200, "INVITE"))
	p.ack()
	if first == "" || second != first {
		t.Errorf("our side did not change, but the SDP did:\n%s\n%s", first, second)
	}
	l := r.leg(t)
	port := make(chan uint16, 1)
	if err := l.do(t.Context(), func() { port <- l.media.agreed.Remote.Port() }); err != nil {
		t.Fatal(err)
	}
	if got := <-port; got != 40002 {
		t.Errorf("media goes to port %d", got)
	}
	p.bye()
}

func TestMediaMayOnlyGoWhereItIsPermitted(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := newPhone(t, s)
	p.sdp = audio("192.0.2.1", 40000, "sendrecv")
	p.invite("")
	res := p.next("a refusal", func(m string) bool {
		return strings.HasSuffix(header(m, "CSeq"), "INVITE") && !strings.HasPrefix(m, "SIP/2.0 1")
	})
	if !strings.HasPrefix(res, "SIP/2.0 403 ") {
		t.Errorf("want 403, got:\n%s", res)
	}
}

func TestReinviteThatCannotBe(t *testing.T) {
	t.Parallel()
	p, _ := deskPhone(t)
	p.call("")
	p.request("INVITE", strings.ReplaceAll(p.sdp, "PCMA/8000", "SPEEX/8000"), "application/sdp", "")
	// payload type 8 is PCMA whatever rtpmap says or not: use one that is dynamic
	p.next("an answer", func(m string) bool {
		return strings.HasSuffix(header(m, "CSeq"), "INVITE") && !strings.HasPrefix(m, "SIP/2.0 1")
	})
	p.ack()
	p.request("INVITE", "v=0\r\no=- 1 3 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 97\r\na=rtpmap:97 SPEEX/8000\r\n", "application/sdp", "")
	p.status(488, "INVITE")
	p.request("INFO", "", "", "") // the call goes on
	p.status(200, "INFO")
	p.bye()
}

func TestBodyless(t *testing.T) {
	t.Parallel()
	p, _ := deskPhone(t)
	first := body(p.call(""))
	p.request("UPDATE", "", "", "")
	if b := body(p.status(200, "UPDATE")); b != "" {
		t.Errorf("UPDATE was answered with %q", b)
	}
	p.request("INVITE", "", "", "")
	offer := body(p.status(200, "INVITE"))
	if offer != first {
		t.Errorf("our offer differs from what we said before:\n%s\n%s", first, offer)
	}
	p.write(p.build("ACK", p.seq, audio("127.0.0.1", 40000, "sendrecv"), "application/sdp", ""))
	p.bye()
}

// TestGlareTheirs: while our re-INVITE has no answer, theirs gets 491.
func TestGlareTheirs(t *testing.T) {
	t.Parallel()
	p, r := deskPhone(t)
	p.call("")
	l := r.leg(t)
	eventually(t, "the call", func() bool { return l.up.Load() != nil })
	held := make(chan error, 1)
	go func() { held <- l.Hold(context.Background()) }()
	ours := p.expect("INVITE")
	if !strings.Contains(body(ours), "a=sendonly") {
		t.Errorf("our offer: %q", body(ours))
	}
	p.invite("")
	p.status(491, "INVITE")
	p.request("UPDATE", p.sdp, "application/sdp", "")
	p.status(491, "UPDATE")
	p.request("UPDATE", "", "", "") // no offer, no glare
	p.status(200, "UPDATE")
	p.reply(ours, "200 OK", audio("127.0.0.1", 40000, "recvonly"), "")
	p.expect("ACK")
	if err := <-held; err != nil {
		t.Error(err)
	}
	p.bye()
}

// TestGlareOurs: a 491 to our re-INVITE is tried again, with the next CSeq.
func TestGlareOurs(t *testing.T) {
	t.Parallel()
	p, r := deskPhone(t)
	p.call("")
	l := r.leg(t)
	eventually(t, "the call", func() bool { return l.up.Load() != nil })
	held := make(chan error, 1)
	go func() { held <- l.Hold(context.Background()) }()
	first := p.expect("INVITE")
	p.reply(first, "491 Request Pending", "", "")
	p.expect("ACK")
	second := p.next("INVITE with another CSeq", func(m string) bool {
		return strings.HasPrefix(m, "INVITE ") && header(m, "CSeq") != header(first, "CSeq")
	})
	p.reply(second, "200 OK", audio("127.0.0.1", 40000, "recvonly"), "")
	p.expect("ACK")
	if err := <-held; err != nil {
		t.Error(err)
	}
	p.reply(second, "200 OK", audio("127.0.0.1", 40000, "recvonly"), "") // our ACK was lost
	p.expect("ACK")
	p.bye()
}

func TestHoldRefused(t *testing.T) {
	t.Parallel()
	p, r := deskPhone(t)
	p.call("")
	l := r.leg(t)
	eventually(t, "the call", func() bool { return l.up.Load() != nil })
	held := make(chan error, 1)
	go func() { held <- l.Hold(context.Background()) }()
	p.reply(p.expect("INVITE"), "488 Not Acceptable Here", "", "")
	if err := <-held; err == nil {
		t.Error("held, though it was refused")
	}
	if err := l.do(t.Context(), func() {
		if l.media.abilities.Direction != sdp.SendRecv {
			t.Error("the direction did not go back")
		}
	}); err != nil {
		t.Error(err)
	}
	p.request("INFO", "", "", "")
	p.status(200, "INFO")
	p.bye()
}

// TestOverlap: a second INVITE before the first has its final answer gets 500 with Retry-After.
func TestOverlap(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := start(t, func(ctx context.Context, l *Leg) {
		_ = l.Ring(ctx, bridge.Terms{})
		<-release
		_, _ = l.Answer(ctx)
		for range l.Events() {
		}
	})
	p := newPhone(t, s)
	p.invite("")
	p.status(180, "INVITE")
	p.invite("")
	if res := p.status(500, "INVITE"); header(res, "Retry-After") == "" {
		t.Error("500 without Retry-After")
	}
	p.request("UPDATE", p.sdp, "application/sdp", "")
	if res := p.status(500, "UPDATE"); header(res, "Retry-After") == "" {
		t.Error("500 without Retry-After")
	}
	close(release)
	p.status(200, "INVITE")
	p.write(p.build("ACK", 1, "", "", ""))
	p.bye()
}

func TestMediaTimeout(t *testing.T) {
	t.Parallel()
	var r recorder
	s := start(t, r.handle, func(_ *configs.SIP, d *Deps) { d.Calls.MediaTimeout = 300 * time.Millisecond })
	p := newPhone(t, s)
	p.call("")
	bye := p.expect("BYE")
	p.reply(bye, "200 OK", "", "")
	if e := r.event(t, bridge.Ended, 1); bridge.Label(e.Reason) != "media_timeout" {
		t.Errorf("ended with %v", e.Reason)
	}
}
