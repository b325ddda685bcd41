package sip

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/configs"
)

// hasty makes 90 s of session timers last 0.9 s.
func hasty() timers {
	t := quick()
	t.second = 10 * time.Millisecond
	return t
}

// patient makes them last 3.6 s: what the test sends in time is in time on a busy machine, too.
func patient() timers {
	t := quick()
	t.second = 40 * time.Millisecond
	return t
}

func TestWeRefresh(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ allow, method string }{
		"UPDATE":    {"Allow: INVITE, ACK, BYE, UPDATE\r\n", "UPDATE"},
		"re-INVITE": {"Allow: INVITE, ACK, BYE\r\n", "INVITE"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startTimed(t, hasty(), nil)
			p := newPhone(t, s)
			ok := p.call("Supported: timer\r\nSession-Expires: 100;refresher=uas\r\n" + c.allow)
			if header(ok, "Session-Expires") != "100;refresher=uas" || header(ok, "Require") != "timer" {
				t.Errorf("200 says %q, requires %q", header(ok, "Session-Expires"), header(ok, "Require"))
			}
			for range 2 { // again and again
				refresh := p.next("a refresh", func(m string) bool { return strings.HasPrefix(m, c.method+" ") })
				if header(refresh, "Session-Expires") != "100;refresher=uac" {
					t.Errorf("refresh says %q", header(refresh, "Session-Expires"))
				}
				sdp := ""
				if c.method == "INVITE" {
					sdp = audio("127.0.0.1", 40000, "sendrecv")
				} else if body(refresh) != "" {
					t.Errorf("UPDATE with a body: %q", body(refresh))
				}
				p.reply(refresh, "200 OK", sdp, "Session-Expires: 100;refresher=uac\r\n")
				if c.method == "INVITE" {
					p.expect("ACK")
				}
			}
			p.bye()
		})
	}
}

func TestRefreshUnknownCall(t *testing.T) {
	t.Parallel()
	var r recorder
	s := startTimed(t, hasty(), r.handle)
	p := newPhone(t, s)
	p.call("Supported: timer\r\nSession-Expires: 100;refresher=uas\r\nAllow: UPDATE\r\n")
	p.reply(p.expect("UPDATE"), "481 Call Does Not Exist", "", "")
	p.reply(p.expect("BYE"), "481 Call Does Not Exist", "", "")
	if e := r.event(t, bridge.Ended, 1); bridge.Label(e.Reason) != "signalling" {
		t.Errorf("ended with %v", e.Reason)
	}
}

func TestTheyMustRefresh(t *testing.T) {
	t.Parallel()
	var r recorder
	s := startTimed(t, patient(), r.handle)
	p := newPhone(t, s)
	ok := p.call("Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n")
	if header(ok, "Session-Expires") != "90;refresher=uac" {
		t.Errorf("200 says %q", header(ok, "Session-Expires"))
	}
	p.request("UPDATE", "", "", "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n")
	if res := p.status(200, "UPDATE"); header(res, "Session-Expires") != "90;refresher=uac" {
		t.Errorf("UPDATE: %q", header(res, "Session-Expires"))
	}
	p.reply(p.expect("BYE"), "200 OK", "", "")
	if e := r.event(t, bridge.Ended, 1); bridge.Label(e.Reason) != "signalling" {
		t.Errorf("ended with %v", e.Reason)
	}
}

// TestBrokenTimerIsNotCut: a device that promises to refresh and does not, but sends media, goes on; when the media stops, too, it is over.
func TestBrokenTimerIsNotCut(t *testing.T) {
	t.Parallel()
	var r recorder
	s := startTimed(t, patient(), r.handle) // media that is younger than 400 ms keeps the call up: a busy machine sends so often
	p := newPhone(t, s)
	ok := p.call("Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n")
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), mediaPort(t, ok))))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	stop := time.After(3500 * time.Millisecond) // more than the 2400 ms after which a session of 90 s is given up
	for seq := uint16(1); ; seq++ {
		packet := append([]byte{0x80, 8, byte(seq >> 8), byte(seq), 0, 0, byte(seq >> 8), byte(seq), 1, 2, 3, 4}, make([]byte, 160)...)
		_, _ = c.Write(packet)
		select {
		case <-time.After(20 * time.Millisecond):
			continue
		case <-stop:
		}
		break
	}
	p.request("INFO", "", "", "")
	p.next("200 to INFO, before any BYE", func(m string) bool {
		if strings.HasPrefix(m, "BYE") {
			t.Error("cut while media flowed")
		}
		return strings.HasPrefix(m, "SIP/2.0 200") && strings.HasSuffix(header(m, "CSeq"), " INFO")
	})
	p.reply(p.expect("BYE"), "200 OK", "", "")
}

func TestOurOwnTimer(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(c *configs.SIP, _ *Deps) { c.SessionExpiry = 1800 * time.Second })
	p := newPhone(t, s)
	if ok := p.call("Supported: timer\r\n"); header(ok, "Session-Expires") != "1800;refresher=uas" {
		t.Errorf("200 says %q", header(ok, "Session-Expires"))
	}
	p.bye()
	q := newPhone(t, s)
	if ok := q.call("Min-SE: 3600\r\nSupported: timer\r\n"); header(ok, "Session-Expires") != "3600;refresher=uas" {
		t.Errorf("200 says %q", header(ok, "Session-Expires"))
	}
	q.bye()
}

func mediaPort(t *testing.T, m string) uint16 {
	t.Helper()
	_, rest, _ := strings.Cut(body(m), "m=audio ")
	port, _, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatalf("no port in %q", body(m))
	}
	return uint16(n)
}

func TestReliableRinging(t *testing.T) {
	t.Parallel()
	ring := func(ctx context.Context, l *Leg) {
		if err := l.Ring(ctx, bridge.Terms{}); err != nil {
			t.Error(err)
		}
		_, _ = l.Answer(ctx)
		for range l.Events() {
		}
	}
	t.Run("early offer", func(t *testing.T) {
		s := start(t, ring)
		p := newPhone(t, s)
		p.invite("Require: 100rel\r\n")
		// The answer follows at once, so the 180 may be the only one.
		ringing := p.status(180, "INVITE")
		if header(ringing, "Require") != "100rel" || header(ringing, "RSeq") == "" {
			t.Errorf("180 is not reliable:\n%s", ringing)
		}
		p.status(200, "INVITE")
		p.request("PRACK", "", "", "RAck: "+header(ringing, "RSeq")+" 1 INVITE\r\n") // the answers crossed it
		p.status(200, "PRACK")
		p.write(p.build("ACK", 1, "", "", ""))
		p.request("PRACK", "", "", "RAck: "+header(ringing, "RSeq")+" 1 INVITE\r\n")
		p.status(481, "PRACK")
		p.bye()
	})
	t.Run("late offer", func(t *testing.T) {
		s := start(t, ring)
		p := newPhone(t, s)
		p.request("INVITE", "", "", "Require: 100rel\r\n")
		ringing := p.status(180, "INVITE")
		if !strings.Contains(body(ringing), "m=audio") {
			t.Errorf("no offer in the reliable answer:\n%s", ringing)
		}
		if again := p.status(180, "INVITE"); again != ringing {
			t.Errorf("repeated differently:\n%s", again)
		}
		p.request("PRACK", "", "", "RAck: 1 1 INVITE\r\n")
		p.status(481, "PRACK")
		p.request("PRACK", p.sdp, "application/sdp", "RAck: "+header(ringing, "RSeq")+" 1 INVITE\r\n")
		p.status(200, "PRACK")
		if ok := p.status(200, "INVITE"); body(ok) != "" {
			t.Errorf("a second offer in the 200: %q", body(ok))
		}
		p.write(p.build("ACK", 1, "", "", ""))
		p.bye()
	})
	t.Run("no PRACK", func(t *testing.T) {
		s := start(t, ring)
		p := newPhone(t, s)
		p.request("INVITE", "", "", "Require: 100rel\r\n")
		p.status(180, "INVITE")
		p.status(504, "INVITE")
		eventually(t, "no leg", func() bool { return s.Legs() == 0 })
	})
}

func TestDigitsByINFO(t *testing.T) {
	t.Parallel()
	p, r := deskPhone(t)
	p.call("")
	for i, c := range []struct {
		contentType, body string
		digit             byte
	}{
		{"application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", '5'},
		{"application/dtmf-relay", "Signal= #\r\nDuration= 250\r\n", '#'},
		{"application/dtmf-relay", "Duration=160\nSignal=11\n", '#'},
		{"application/dtmf", "*", '*'},
		{"application/dtmf", "a\r\n", 'A'},
	} {
		p.request("INFO", c.body, c.contentType, "")
		p.status(200, "INFO")
		if e := r.event(t, bridge.Digit, i+1); e.Digit != c.digit || e.Way != "info" {
			t.Errorf("%q: %q by %s", c.body, e.Digit, e.Way)
		}
	}
	p.request("INFO", "Signal=hello\r\n", "application/dtmf-relay", "")
	p.status(400, "INFO")
	p.request("INFO", "<media_control/>", "application/media_control+xml", "")
	p.status(200, "INFO")
	p.request("INFO", "x", "application/x-unknown", "")
	if res := p.status(415, "INFO"); !strings.Contains(header(res, "Accept"), "application/dtmf-relay") {
		t.Errorf("Accept: %q", header(res, "Accept"))
	}
	p.bye()
}
