package sip

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/bridge"
	"passerelle/configs"
)

func TestCancel(t *testing.T) {
	t.Parallel()
	var r recorder
	s := start(t, func(ctx context.Context, l *Leg) {
		_ = l.Ring(ctx, bridge.Terms{})
		r.mu.Lock()
		r.legs = append(r.legs, l)
		r.mu.Unlock()
		for e := range l.Events() {
			r.mu.Lock()
			r.events = append(r.events, e)
			r.mu.Unlock()
		}
	})
	p := newPhone(t, s)
	invite := p.invite("")
	ringing := p.status(180, "INVITE")
	p.write(cancelOf(invite))
	var ok, gone string
	for ok == "" || gone == "" {
		m := p.next("200 and 487", func(m string) bool { return strings.HasPrefix(m, "SIP/2.0 200") || strings.HasPrefix(m, "SIP/2.0 487") })
		if strings.HasPrefix(m, "SIP/2.0 200") {
			ok = m
		} else {
			gone = m
		}
	}
	for _, m := range []string{ok, gone} {
		if header(m, "To") != header(ringing, "To") {
			t.Errorf("To %q, the 180 had %q", header(m, "To"), header(ringing, "To"))
		}
	}
	if e := r.event(t, bridge.Ended, 1); !errors.Is(e.Reason, bridge.ErrCancelled) {
		t.Errorf("ended with %v", e.Reason)
	}
}

// TestVerbsAfterCancel: who rings or answers a leg that is gone already is told why.
func TestVerbsAfterCancel(t *testing.T) {
	t.Parallel()
	told := make(chan error, 2)
	s := start(t, func(ctx context.Context, l *Leg) {
		for range l.Events() {
		}
		<-l.gone
		told <- l.Ring(ctx, bridge.Terms{})
		_, err := l.Answer(ctx)
		told <- err
	})
	p := newPhone(t, s)
	invite := p.invite("")
	p.status(100, "INVITE")
	p.write(cancelOf(invite))
	p.status(487, "INVITE")
	p.ack()
	for range 2 {
		if err := <-told; !errors.Is(err, bridge.ErrCancelled) {
			t.Errorf("told %v", err)
		}
	}
}

func TestCancelWithoutInvite(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := newPhone(t, s)
	p.seq++
	p.write(cancelOf(p.build("INVITE", p.seq, "", "", "")))
	p.status(481, "CANCEL")
}

// TestCancelAfterAnswer: a CANCEL that crosses the 200 is answered and changes nothing.
func TestCancelAfterAnswer(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := newPhone(t, s)
	invite := p.invite("")
	p.status(200, "INVITE")
	p.write(cancelOf(invite))
	p.status(200, "CANCEL")
	p.ack()
	p.request("INFO", "", "", "")
	p.status(200, "INFO")
	p.bye()
}

// TestCancelRace sends CANCEL together with the INVITE, while the handler answers at once: whoever wins, exactly one final answer comes and
// nothing is left.
func TestCancelRace(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	var wg sync.WaitGroup
	for range 50 {
		p := newPhone(t, s)
		wg.Go(func() {
			p.seq++
			invite := p.build("INVITE", p.seq, p.sdp, "application/sdp", "")
			p.write(invite)
			p.write(cancelOf(invite))
			m := p.next("a final answer", func(m string) bool {
				return strings.HasSuffix(header(m, "CSeq"), " INVITE") && !strings.HasPrefix(m, "SIP/2.0 1")
			})
			_, p.toTag, _ = strings.Cut(header(m, "To"), ";tag=")
			if strings.HasPrefix(m, "SIP/2.0 200") {
				p.ack()
				p.request("BYE", "", "", "")
				p.next("200 to BYE", func(m string) bool { return strings.HasSuffix(header(m, "CSeq"), " BYE") })
			} else if !strings.HasPrefix(m, "SIP/2.0 487") {
				t.Errorf("got %s", firstLine(m))
			}
		})
	}
	wg.Wait()
	eventually(t, "no leg", func() bool { return s.Legs() == 0 })
}

func TestHangUpBeforeACK(t *testing.T) {
	t.Parallel()
	legs := make(chan *Leg, 1)
	s := start(t, func(ctx context.Context, l *Leg) {
		legs <- l
		_, _ = l.Answer(ctx)
		for range l.Events() {
		}
	})
	p := newPhone(t, s)
	p.invite("")
	p.status(200, "INVITE")
	l := <-legs
	l.End(bridge.ErrRoomEnded)
	for e := range l.Events() {
		_ = e
	}
	p.request("OPTIONS", "", "", "") // the dialog is over, but no BYE may be sent yet
	p.next("481 to OPTIONS and no BYE before it", func(m string) bool {
		if strings.HasPrefix(m, "BYE") {
			t.Error("BYE before the ACK")
		}
		return strings.HasPrefix(m, "SIP/2.0 481")
	})
	p.seq-- // of the INVITE
	p.ack()
	p.reply(p.expect("BYE"), "200 OK", "", "")
	eventually(t, "no leg", func() bool { return s.Legs() == 0 })
}

func TestCSeqAndTags(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := newPhone(t, s)
	p.call("")
	p.seq = 100
	p.request("INFO", "", "", "")
	p.status(200, "INFO")
	p.write(p.build("INFO", 50, "", "", ""))
	p.status(500, "INFO")
	tag := p.tag
	p.tag = "other"
	p.request("INFO", "", "", "")
	p.status(481, "INFO")
	p.tag = tag
	p.write(p.build("INFO", 103, "", "", "Require: foo\r\n"))
	p.status(420, "INFO")
	p.write(p.build("REFER", 104, "", "", "Refer-To: <sip:x@example.org>\r\n"))
	p.status(603, "REFER")
	p.write(p.build("MESSAGE", 105, "hi", "text/plain", ""))
	p.status(405, "MESSAGE")
	p.seq = 105
	p.bye()
}

func TestRouteSet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		records []string // as %s of the phone's own address
		uri     string
		routes  []string
	}{
		{"loose", []string{"<sip:%s;lr>", "<sip:p2.example.org;lr>"}, "sip:phone@%s", []string{"<sip:%s;lr>", "<sip:p2.example.org;lr>"}},
		{"strict", []string{"<sip:%s>", "<sip:p2.example.org;lr>"}, "sip:%s", []string{"<sip:p2.example.org;lr>", "<sip:phone@%s>"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r recorder
			s := start(t, r.handle)
			p := newPhone(t, s)
			at := func(s string) string { return strings.ReplaceAll(s, "%s", p.local.String()) }
			more := ""
			for _, rr := range c.records {
				more += "Record-Route: " + at(rr) + "\r\n"
			}
			ok := p.call(more)
			if !strings.Contains(ok, at("Record-Route: "+c.records[0])) {
				t.Errorf("200 without the Record-Route:\n%s", ok)
			}
			l := r.leg(t)
			eventually(t, "the call", func() bool { return l.up.Load() != nil })
			l.End(nil)
			bye := p.expect("BYE")
			p.reply(bye, "200 OK", "", "")
			req := parse(t, bye).(*sipgo.Request)
			var routes []string
			for _, h := range req.GetHeaders("route") {
				routes = append(routes, h.Value())
			}
			var want []string
			for _, r := range c.routes {
				want = append(want, at(r))
			}
			if req.Recipient.String() != at(c.uri) || !slices.Equal(routes, want) {
				t.Errorf("BYE %s with routes %q, want %s with %q", req.Recipient.String(), routes, at(c.uri), want)
			}
		})
	}
}

// TestTargetRefresh moves the phone's Contact to another socket: requests of ours go there from then on.
func TestTargetRefresh(t *testing.T) {
	t.Parallel()
	var r recorder
	s := start(t, r.handle)
	p, moved := newPhone(t, s), newPhone(t, s)
	p.call("")
	p.contact = moved.contact
	p.request("UPDATE", "", "", "")
	p.status(200, "UPDATE")
	r.leg(t).End(nil)
	moved.reply(moved.expect("BYE"), "200 OK", "", "")
}

// TestBehindNAT has a Via and a Contact with an address that is not where the packets come from: our requests go back where they came from.
func TestBehindNAT(t *testing.T) {
	t.Parallel()
	p, r := deskPhone(t)
	socket := p.local
	write := p.write
	p.write = func(m string) { write(strings.ReplaceAll(m, socket.String(), "192.168.77.5:5060")) }
	p.invite("")
	ok := p.status(200, "INVITE") // rport brought it here
	if !strings.Contains(header(ok, "Via"), fmt.Sprintf("rport=%d", socket.Port())) {
		t.Errorf("Via: %q", header(ok, "Via"))
	}
	p.ack()
	l := r.leg(t)
	eventually(t, "the call", func() bool { return l.up.Load() != nil })
	l.End(nil)
	p.reply(p.expect("BYE"), "200 OK", "", "")
}

func TestReplaces(t *testing.T) {
	t.Parallel()
	var r recorder
	s := start(t, r.handle)
	p := newPhone(t, s)
	p.call("")
	l := r.leg(t)
	eventually(t, "the call", func() bool { return l.up.Load() != nil })
	dialog := fmt.Sprintf("Replaces: %s;to-tag=%s;from-tag=%s", p.callID, p.toTag, p.tag)
	for more, code := range map[string]int{
		dialog + "\r\n":                           403,
		dialog + ";early-only\r\n":                486,
		dialog + "x\r\n":                          481,
		"Replaces: " + p.callID + "\r\n":          400,
		"Require: replaces\r\n" + "X: y\r\n":      420,
		"Replaces: nobody;to-tag=;from-tag=1\r\n": 400,
	} {
		q := newPhone(t, s)
		q.invite(more)
		q.status(code, "INVITE")
	}
	p.bye()
}

func TestReplacesEarly(t *testing.T) {
	t.Parallel()
	legs := make(chan *Leg, 1)
	s := start(t, func(ctx context.Context, l *Leg) {
		_ = l.Ring(ctx, bridge.Terms{})
		legs <- l
		for range l.Events() {
		}
	})
	p := newPhone(t, s)
	invite := p.invite("")
	p.status(180, "INVITE")
	<-legs
	q := newPhone(t, s)
	q.invite(fmt.Sprintf("Replaces: %s;to-tag=%s;from-tag=%s\r\n", p.callID, p.toTag, p.tag))
	q.status(481, "INVITE")
	p.write(cancelOf(invite))
	p.status(487, "INVITE")
}

// TestAdvertise: behind a NAT of our own, the configured addresses are written everywhere.
func TestAdvertise(t *testing.T) {
	t.Parallel()
	var r recorder
	s := start(t, r.handle, func(c *configs.SIP, d *Deps) { c.Advertise, d.Media.Advertise = "sip.example.org", "203.0.113.7" })
	p := newPhone(t, s)
	ok := p.call("")
	if want := fmt.Sprintf("<sip:sip.example.org:%d>", s.Addr("udp").Port()); header(ok, "Contact") != want {
		t.Errorf("Contact %q, want %s", header(ok, "Contact"), want)
	}
	if !strings.Contains(body(ok), "c=IN IP4 203.0.113.7") {
		t.Errorf("SDP: %q", body(ok))
	}
	r.leg(t).End(nil)
	bye := p.expect("BYE")
	p.reply(bye, "200 OK", "", "")
	if v := header(bye, "Via"); !strings.Contains(v, " sip.example.org:") || !strings.Contains(v, ";rport") {
		t.Errorf("Via %q", v)
	}
}

// TestAnswersFollowTheVia: without rport an answer goes to the port that the Via names (RFC 3261, section 18.2.2).
func TestAnswersFollowTheVia(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p, other := newPhone(t, s), newPhone(t, s)
	p.seq++
	m := strings.Replace(p.build("OPTIONS", p.seq, "", "", ""), ";rport", "", 1)
	p.write(strings.Replace(m, "UDP "+p.local.String(), "UDP "+other.local.String(), 1))
	other.status(200, "OPTIONS")
}
