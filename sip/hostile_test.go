package sip

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/configs"
)

// TestGarbageOnTCP: where the next message begins is not known any more, so the connection is closed; others are not touched.
func TestGarbageOnTCP(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	good := newPhoneTCP(t, s)
	good.call("")
	for _, garbage := range []string{
		"hello\r\n\r\n", "INVITE sip:x SIP/2.0\r\nnonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"OPTIONS sip:x SIP/2.0\r\nContent-Length: 99999999\r\n\r\n", "OPTIONS sip:x SIP/2.0\r\nX: " + strings.Repeat("y", 2*maxMessage),
	} {
		c, err := net.Dial("tcp", s.Addr("tcp").String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(garbage)) // may fail when the far end closes before all is written
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%.40q was answered", garbage)
		}
		_ = c.Close()
	}
	good.bye()
}

// TestLinesOnTCP: a message that comes line by line is one message: the empty line that ends its header is no ping, and pings between messages are.
func TestLinesOnTCP(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	c, err := net.Dial("tcp", s.Addr("tcp").String())
	if err != nil {
		t.Fatal(err)
	}
	p := streamPhone(t, "TCP", c, s.Addr("tcp"))
	p.write = func(m string) {
		for line := range strings.SplitAfterSeq(m, "\n") {
			_, _ = c.Write([]byte(line))
			time.Sleep(5 * time.Millisecond) // so that each is read by itself; the test passes without
		}
	}
	for range 3 {
		p.write("\r\n")
		p.request("OPTIONS", "", "", "")
		p.next("200 to OPTIONS", func(m string) bool { return strings.HasPrefix(m, "SIP/2.0 200") })
	}
}

// TestGarbageOnUDP: nothing of it is answered, and the socket goes on.
func TestGarbageOnUDP(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := newPhone(t, s)
	p.write("\r\n\r\n")
	p.write("\x00\x00")
	p.write("hello")
	p.write(strings.Repeat("x", 60000))
	p.write("OPTIONS sip:x SIP/2.0\r\n" + strings.Repeat("X: y\r\n", maxHeaders+10) + "\r\n")
	p.write("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKnobody\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n")
	p.request("OPTIONS", "", "", "")
	if m := <-p.in; header(m, "Call-ID") != p.callID {
		t.Errorf("answered:\n%s", m)
	}
}

// TestDigitStorm: a bridge that does not read for a while loses digits, never the end.
func TestDigitStorm(t *testing.T) {
	t.Parallel()
	read := make(chan struct{})
	last := make(chan bridge.Event, 1)
	s := start(t, func(ctx context.Context, l *Leg) {
		_, _ = l.Answer(ctx)
		<-read
		n := 0
		var e bridge.Event
		for e = range l.Events() {
			n++
		}
		if n > 64 {
			t.Errorf("%d events were kept", n)
		}
		last <- e
	})
	p := newPhone(t, s)
	p.call("")
	for i := range 200 {
		p.request("INFO", fmt.Sprintf("Signal=%d\r\n", i%10), "application/dtmf-relay", "")
		p.status(200, "INFO")
	}
	p.bye()
	close(read)
	if e := <-last; e.Kind != bridge.Ended {
		t.Errorf("the last event is %+v", e)
	}
}

// TestFlood: a source that matches no trunk is dropped unread above its rate; trunks are not touched.
func TestFlood(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(c *configs.SIP, _ *Deps) {
		c.UnknownRate = 5
		c.UDP = []string{"127.0.0.1:0"}
		c.Trunks[0].Addresses = []string{"127.0.0.2"}
	})
	p := newPhone(t, s)
	for range 200 {
		p.request("OPTIONS", "", "", "")
	}
	eventually(t, "the drops", func() bool { return dropped(s, "rate") > 100 })
	q := newPhoneFrom(t, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, s.Addr("udp"))
	q.call("")
	q.bye()
	select {
	case m := <-p.in:
		t.Errorf("the unknown source heard:\n%s", m)
	default:
	}
}
