package sip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"passerelle/bridge"
	"passerelle/configs"
)

func TestCall(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			var r recorder
			s := start(t, r.handle)
			p := newPhone(t, s)
			if network == "tcp" {
				p = newPhoneTCP(t, s)
			}
			p.invite("")
			p.status(100, "INVITE")
			ok := p.status(200, "INVITE")
			p.ack()
			if c := header(ok, "Contact"); !strings.Contains(c, s.Addr(network).String()) {
				t.Errorf("Contact %q does not name %s", c, s.Addr(network))
			}
			if !strings.Contains(header(ok, "Via"), "received=127.0.0.1") || !strings.Contains(header(ok, "Via"), fmt.Sprintf("rport=%d", p.local.Port())) {
				t.Errorf("Via %q lacks received or rport", header(ok, "Via"))
			}
			if header(ok, "Server") != "Passerelle/test" {
				t.Errorf("Server is %q", header(ok, "Server"))
			}
			if !strings.Contains(body(ok), "m=audio ") || !strings.Contains(body(ok), "PCMA/8000") {
				t.Errorf("answer: %q", body(ok))
			}
			c := r.leg(t).Caller()
			if c.Name != "Alice" || c.Number != "+33123456712" || c.Called != "1000" || c.Trunk != "test" || c.Transport != network || c.Encrypted {
				t.Errorf("caller: %+v", c)
			}
			p.bye()
			if e := r.event(t, bridge.Ended, 1); !errors.Is(e.Reason, bridge.ErrHungUp) {
				t.Errorf("ended with %v", e.Reason)
			}
			eventually(t, "no leg", func() bool { return s.Legs() == 0 })
		})
	}
}

func TestRingThenEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason  error
		code    int
		headers map[string]string
	}{
		{bridge.ErrBusy, 503, map[string]string{"Retry-After": "10", "Reason": "Q.850;cause=42"}},
		{bridge.ErrDraining, 503, map[string]string{"Retry-After": "60"}},
		{bridge.ErrForbidden, 403, map[string]string{"Reason": "Q.850;cause=21"}},
		{bridge.ErrRemoved, 603, nil},
		{bridge.ErrE2EE, 488, map[string]string{"Warning": `399 passerelle "The room is end-to-end encrypted"`}},
		{bridge.ErrNotEncrypted, 488, map[string]string{"Reason": "Q.850;cause=88"}},
		{fmt.Errorf("wrapped: %w", bridge.ErrRoomEnded), 480, nil},
		{errors.New("something else"), 500, nil},
	} {
		t.Run(bridge.Label(c.reason), func(t *testing.T) {
			s := start(t, func(ctx context.Context, l *Leg) {
				if err := l.Ring(ctx, bridge.Terms{}); err != nil {
					t.Error(err)
				}
				l.End(c.reason)
				l.End(c.reason) // more than once is no harm
				if _, err := l.Answer(ctx); err == nil {
					t.Error("an ended leg was answered")
				}
			})
			p := newPhone(t, s)
			p.invite("")
			p.status(180, "INVITE")
			tag := p.toTag
			res := p.status(c.code, "INVITE")
			if !strings.HasSuffix(header(res, "To"), ";tag="+tag) {
				t.Errorf("To %q has another tag than the 180's %q", header(res, "To"), tag)
			}
			for k, v := range c.headers {
				if header(res, k) != v {
					t.Errorf("%s is %q, want %q", k, header(res, k), v)
				}
			}
		})
	}
}

func TestRefusedAtOnce(t *testing.T) {
	t.Parallel()
	const sdp = "application/sdp"
	video := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 97\r\na=rtpmap:97 SPEEX/8000\r\n"
	for _, c := range []struct {
		name, method, body, contentType, more string
		code                                  int
		header, value                         string
	}{
		{"unknown extension", "INVITE", audio("127.0.0.1", 4000, "sendrecv"), sdp, "Require: 100rel, nothing-we-know\r\n", 420, "Unsupported", "nothing-we-know"},
		{"content type", "INVITE", "hello", "text/plain", "", 415, "Accept", "application/sdp"},
		{"content encoding", "INVITE", "x", sdp, "Content-Encoding: gzip\r\n", 415, "Accept-Encoding", "identity"},
		{"accept", "INVITE", audio("127.0.0.1", 4000, "sendrecv"), sdp, "Accept: text/html\r\n", 406, "", ""},
		{"no codec", "INVITE", video, sdp, "", 488, "Warning", `305 passerelle "No audio format in common"`},
		{"broken SDP", "INVITE", "v=0\r\nm=nonsense", sdp, "", 400, "", ""},
		{"session interval", "INVITE", audio("127.0.0.1", 4000, "sendrecv"), sdp, "Supported: timer\r\nSession-Expires: 60\r\n", 422, "Min-SE", "90"},
		{"no such replaces", "INVITE", audio("127.0.0.1", 4000, "sendrecv"), sdp, "Replaces: abc;to-tag=1;from-tag=2\r\n", 481, "", ""},
		{"two replaces", "INVITE", audio("127.0.0.1", 4000, "sendrecv"), sdp, "Replaces: a;to-tag=1;from-tag=2\r\nReplaces: b;to-tag=1;from-tag=2\r\n", 400, "", ""},
		{"bye outside", "BYE", "", "", "", 481, "", ""},
		{"register", "REGISTER", "", "", "", 405, "Allow", allow},
		{"refer outside", "REFER", "", "", "Refer-To: <sip:x@example.org>\r\n", 405, "Allow", allow},
		{"unknown method", "BREW", "", "", "", 501, "Allow", allow},
		{"two From", "INVITE", audio("127.0.0.1", 4000, "sendrecv"), sdp, "From: <sip:other@example.org>;tag=x\r\n", 400, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, func(context.Context, *Leg) { t.Error("the bridge saw it") })
			p := newPhone(t, s)
			p.request(c.method, c.body, c.contentType, c.more)
			res := p.status(c.code, c.method)
			if c.header != "" && header(res, c.header) != c.value {
				t.Errorf("%s is %q, want %q", c.header, header(res, c.header), c.value)
			}
			if s.Legs() != 0 {
				t.Error("a leg is left")
			}
		})
	}
}

func TestMustBeEncrypted(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(c *configs.SIP, _ *Deps) { c.Trunks[0].Encryption = "require" })
	p := newPhone(t, s)
	p.invite("")
	res := p.status(488, "INVITE")
	if w := header(res, "Warning"); !strings.HasPrefix(w, "304 ") || !strings.Contains(w, "encrypted") {
		t.Errorf("Warning: %q", w)
	}
}

func TestRetransmissionsAreIdentical(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := newPhone(t, s)
	invite := p.invite("")
	ok := p.status(200, "INVITE")
	p.write(invite)
	if again := p.status(200, "INVITE"); again != ok {
		t.Errorf("the 200 differs:\n%s\n%s", ok, again)
	}
	p.ack()
	p.seq++
	bye := p.build("BYE", p.seq, "", "", "")
	p.write(bye)
	first := p.status(200, "BYE")
	p.write(bye)
	if again := p.status(200, "BYE"); again != first {
		t.Errorf("the answer to BYE differs:\n%s\n%s", first, again)
	}
}

func TestRefusalIsRepeatedUntilACK(t *testing.T) {
	t.Parallel()
	s := start(t, func(_ context.Context, l *Leg) { l.End(bridge.ErrForbidden) })
	p := newPhone(t, s)
	invite := p.invite("")
	first := p.status(403, "INVITE")
	if again := p.status(403, "INVITE"); again != first {
		t.Errorf("differs:\n%s\n%s", first, again)
	}
	ack := strings.Replace(cancelOf(invite), "CANCEL ", "ACK ", 1)
	ack = strings.Replace(ack, " CANCEL", " ACK", 1)
	p.write(ack)
	p.request("OPTIONS", "", "", "")
	p.status(200, "OPTIONS")
}

func TestNeverACK(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			var r recorder
			s := start(t, r.handle)
			p := newPhone(t, s)
			if network == "tcp" {
				p = newPhoneTCP(t, s)
			}
			p.invite("")
			first := p.status(200, "INVITE")
			if again := p.status(200, "INVITE"); again != first {
				t.Errorf("differs:\n%s\n%s", first, again)
			}
			bye := p.expect("BYE")
			p.reply(bye, "200 OK", "", "")
			if e := r.event(t, bridge.Ended, 1); !errors.Is(e.Reason, bridge.ErrSignalling) {
				t.Errorf("ended with %v", e.Reason)
			}
			eventually(t, "no leg", func() bool { return s.Legs() == 0 })
			r.mu.Lock()
			defer r.mu.Unlock()
			if !errors.Is(r.errs[0], bridge.ErrSignalling) {
				t.Errorf("Answer returned %v", r.errs[0])
			}
		})
	}
}

func TestLateOffer(t *testing.T) {
	t.Parallel()
	p, r := deskPhone(t)
	p.request("INVITE", "", "", "")
	ok := p.status(200, "INVITE")
	for _, want := range []string{"m=audio", "opus/48000/2", "PCMA/8000", "telephone-event/8000"} {
		if !strings.Contains(body(ok), want) {
			t.Errorf("our offer lacks %s: %q", want, body(ok))
		}
	}
	p.write(p.build("ACK", p.seq, audio("127.0.0.1", 40000, "sendrecv"), "application/sdp", ""))
	l := r.leg(t)
	eventually(t, "the answer", func() bool { return l.Audio().Codec().Name == "PCMA" })
	p.bye()
}

func TestLateOfferWithoutAnswer(t *testing.T) {
	t.Parallel()
	p, r := deskPhone(t)
	p.request("INVITE", "", "", "")
	p.status(200, "INVITE")
	p.ack()
	p.reply(p.expect("BYE"), "200 OK", "", "")
	if e := r.event(t, bridge.Ended, 1); !errors.Is(e.Reason, bridge.ErrSignalling) {
		t.Errorf("ended with %v", e.Reason)
	}
}

func TestMergedRequest(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := newPhone(t, s)
	p.invite("")
	p.status(200, "INVITE")
	p.seq--
	tag := p.toTag
	p.toTag = ""
	p.invite("") // the same CSeq, another branch
	p.status(482, "INVITE")
	p.toTag = tag
	p.ack()
	p.bye()
}

func TestMultipartBody(t *testing.T) {
	t.Parallel()
	p, _ := deskPhone(t)
	p.sdp = "--b\r\nContent-Type: application/ISUP;version=x\r\n\r\n\x01\x02\r\n--b\r\nContent-Type: application/sdp\r\n\r\n" + audio("127.0.0.1", 40000, "sendrecv") + "\r\n--b--\r\n"
	p.request("INVITE", p.sdp, `multipart/mixed; boundary="b"`, "")
	p.status(200, "INVITE")
	p.ack()
	p.bye()
}

func TestIPv6(t *testing.T) {
	t.Parallel()
	var r recorder
	s := start(t, r.handle, func(c *configs.SIP, _ *Deps) { c.UDP = []string{"[::1]:0"}; c.TCP = nil })
	p := newPhoneAt(t, s.Addr("udp"))
	p.sdp = audio("::1", 40000, "sendrecv")
	ok := p.call("")
	if !strings.Contains(header(ok, "Contact"), "[::1]:") || !strings.Contains(body(ok), "IN IP6 ::1") {
		t.Errorf("no IPv6 in:\n%s", ok)
	}
	p.bye()
}

func TestKeepAliveOnTCP(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	c, err := net.Dial("tcp", s.Addr("tcp").String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte("\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	n, err := c.Read(buf)
	if err != nil || string(buf[:n]) != "\r\n" {
		t.Errorf("pong: %q, %v", buf[:n], err)
	}
	p := streamPhone(t, "TCP", c, s.Addr("tcp"))
	p.call("")
	p.bye()
}

func TestDrainAndBusy(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(c *configs.SIP, _ *Deps) { c.Trunks[0].MaxCalls = 1 })
	a, b := newPhone(t, s), newPhone(t, s)
	a.call("")
	b.invite("")
	if res := b.status(503, "INVITE"); header(res, "Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	b.request("OPTIONS", "", "", "")
	b.status(200, "OPTIONS")
	a.bye()
	eventually(t, "no leg", func() bool { return s.Legs() == 0 })
	s.Drain()
	c := newPhone(t, s)
	c.invite("")
	c.status(503, "INVITE")
	c.request("OPTIONS", "", "", "")
	c.status(503, "OPTIONS")
}

func TestStopSendsBye(t *testing.T) {
	t.Parallel()
	p, r := deskPhone(t)
	p.call("")
	l := r.leg(t)
	eventually(t, "the call", func() bool { return l.up.Load() != nil })
	l.End(bridge.ErrMaxDuration)
	bye := p.expect("BYE")
	if header(bye, "Reason") != "Q.850;cause=102" {
		t.Errorf("Reason: %q", header(bye, "Reason"))
	}
	p.reply(bye, "200 OK", "", "")
}
