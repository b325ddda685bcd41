package sip

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come; nothing takes that long unless it is broken.
const patience = 10 * time.Second

// quick are timers with which 64*T1 is a little more than a second.
func quick() timers {
	return timers{t1: 20 * time.Millisecond, t2: 80 * time.Millisecond, t4: 100 * time.Millisecond, second: time.Second}
}

func loopbackTrunk() configs.Trunk {
	return configs.Trunk{Name: "test", Addresses: []string{"127.0.0.0/8", "::1"}}
}

// start runs a server for a test and stops it at its end. h handles calls; nil rings and answers and stays until the leg ends.
func start(t testing.TB, h func(context.Context, *Leg), change ...func(*configs.SIP, *Deps)) *Server {
	t.Helper()
	return startTimed(t, quick(), h, change...)
}

// startTimed is start with other timers.
func startTimed(t testing.TB, timers timers, h func(context.Context, *Leg), change ...func(*configs.SIP, *Deps)) *Server {
	t.Helper()
	cfg := configs.SIP{
		UDP: []string{"127.0.0.1:0"}, TCP: []string{"127.0.0.1:0"}, UserAgent: "Passerelle/test", UnknownRate: 1000,
		MinSE: 90 * time.Second, Trunks: []configs.Trunk{loopbackTrunk()},
	}
	guard := egress.New()
	ports, err := media.NewPorts(guard, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if h == nil {
		h = func(ctx context.Context, l *Leg) {
			if _, err := l.Answer(ctx); err != nil {
				l.End(err)
			}
			for range l.Events() {
			}
		}
	}
	d := Deps{Guard: guard, Ports: ports, Log: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug})), Handler: h}
	for _, c := range change {
		c(&cfg, &d)
	}
	s, err := New(cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	s.timers = timers
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("Run did not return")
		}
	})
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	return s
}

// testWriter logs to a test until it is over.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	if testing.Verbose() {
		w.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

// phone is a telephone made of a socket and hand-written messages.
type phone struct {
	t       testing.TB
	net     string
	local   netip.AddrPort
	target  string
	write   func(string)
	in      chan string
	callID  string
	tag     string
	toTag   string
	seq     int
	branch  int
	contact string
	extra   string // header lines of every request
	sdp     string
}

// deskPhone is a phone beside a server of its own, whose calls are noted.
func deskPhone(t testing.TB) (*phone, *recorder) {
	t.Helper()
	r := new(recorder)
	return newPhone(t, start(t, r.handle)), r
}

func newPhone(t testing.TB, s *Server) *phone { return newPhoneAt(t, s.Addr("udp")) }

func newPhoneAt(t testing.TB, to netip.AddrPort) *phone {
	t.Helper()
	return newPhoneFrom(t, nil, to)
}

func newPhoneFrom(t testing.TB, local *net.UDPAddr, to netip.AddrPort) *phone {
	t.Helper()
	c, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	p := startPhone(t, "UDP", c, to)
	p.write = func(m string) { _, _ = c.Write([]byte(m)) }
	go func() {
		defer close(p.in)
		buf := make([]byte, 65536)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			p.in <- string(buf[:n])
		}
	}()
	return p
}

func newPhoneTCP(t testing.TB, s *Server) *phone {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr("tcp").String())
	if err != nil {
		t.Fatal(err)
	}
	return streamPhone(t, "TCP", c, s.Addr("tcp"))
}

func streamPhone(t testing.TB, network string, c net.Conn, to netip.AddrPort) *phone {
	p := startPhone(t, network, c, to)
	p.write = func(m string) { _, _ = c.Write([]byte(m)) }
	go func() {
		defer close(p.in)
		r := bufio.NewReader(c)
		for {
			var b strings.Builder
			length := 0
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				b.WriteString(line)
				if n, ok := strings.CutPrefix(line, "Content-Length:"); ok {
					length, _ = strconv.Atoi(strings.TrimSpace(n))
				}
				if line == "\r\n" {
					break
				}
			}
			body := make([]byte, length)
			if _, err := io.ReadFull(r, body); err != nil {
				return
			}
			p.in <- b.String() + string(body)
		}
	}()
	return p
}

func startPhone(t testing.TB, network string, c net.Conn, to netip.AddrPort) *phone {
	local := addrPort(c.LocalAddr())
	p := &phone{
		t: t, net: network, local: local, target: "sip:1000@" + to.String(), in: make(chan string, 1024),
		callID: newTag() + "@test", tag: newTag(), contact: "sip:phone@" + local.String(),
	}
	if network != "UDP" {
		p.contact += ";transport=" + strings.ToLower(network)
	}
	p.sdp = audio("127.0.0.1", 40000, "sendrecv")
	t.Cleanup(func() { _ = c.Close() })
	return p
}

// audio is an offer of A-law.
func audio(address string, port int, direction string) string {
	family := "IP4"
	if strings.Contains(address, ":") {
		family = "IP6"
	}
	return strings.ReplaceAll(fmt.Sprintf("v=0\no=- 1 1 IN %s %s\ns=-\nc=IN %s %s\nt=0 0\nm=audio %d RTP/AVP 8 101\na=rtpmap:8 PCMA/8000\n"+
		"a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=%s\n", family, address, family, address, port, direction), "\n", "\r\n")
}

// build makes a request. to is the To tag.
func (p *phone) build(method string, seq int, body, contentType, more string) string {
	p.branch++
	to := "<" + p.target + ">"
	if p.toTag != "" {
		to += ";tag=" + p.toTag
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s%d;rport\r\nMax-Forwards: 70\r\n", method, p.target, p.net, p.local, p.tag, p.branch)
	fmt.Fprintf(&b, "From: \"Alice\" <sip:+33123456712@example.org>;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n", p.tag, to, p.callID, seq, method)
	if method == "INVITE" || method == "UPDATE" {
		fmt.Fprintf(&b, "Contact: <%s>\r\n", p.contact)
	}
	b.WriteString(p.extra)
	b.WriteString(more)
	if contentType != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\n", contentType)
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.String()
}

// request sends the next request and returns it.
func (p *phone) request(method, body, contentType, more string) string {
	p.seq++
	m := p.build(method, p.seq, body, contentType, more)
	p.write(m)
	return m
}

// invite sends an INVITE with the phone's SDP.
func (p *phone) invite(more string) string {
	return p.request("INVITE", p.sdp, "application/sdp", more)
}

func (p *phone) ack() { p.write(p.build("ACK", p.seq, "", "", "")) }

// cancel cancels an INVITE: the same top Via.
func cancelOf(invite string) string {
	head, _, _ := strings.Cut(invite, "\r\n\r\n")
	var out []string
	for _, l := range strings.Split(head, "\r\n") {
		name, _, _ := strings.Cut(l, ":")
		switch {
		case strings.HasPrefix(l, "INVITE "):
			out = append(out, "CANCEL "+strings.TrimPrefix(l, "INVITE "))
		case name == "CSeq":
			out = append(out, strings.Replace(l, "INVITE", "CANCEL", 1))
		case name == "Via" || name == "From" || name == "To" || name == "Call-ID" || name == "Max-Forwards":
			out = append(out, l)
		}
	}
	return strings.Join(out, "\r\n") + "\r\nContent-Length: 0\r\n\r\n"
}

// next is the next message for which f holds; all before it are passed over.
func (p *phone) next(what string, f func(string) bool) string {
	p.t.Helper()
	end := time.After(patience)
	var seen []string
	for {
		select {
		case m, ok := <-p.in:
			if !ok {
				p.t.Fatalf("connection closed while waiting for %s; came: %q", what, seen)
			}
			if f(m) {
				return m
			}
			seen = append(seen, firstLine(m))
		case <-end:
			p.t.Fatalf("no %s came; came: %q", what, seen)
		}
	}
}

// status waits for an answer of that code to that method and remembers its To tag.
func (p *phone) status(code int, method string) string {
	p.t.Helper()
	m := p.next(fmt.Sprintf("%d to %s", code, method), func(m string) bool {
		return strings.HasPrefix(m, "SIP/2.0 ") && strings.HasSuffix(header(m, "CSeq"), " "+method) &&
			(strings.HasPrefix(m, fmt.Sprintf("SIP/2.0 %d ", code)) || !strings.HasPrefix(m, "SIP/2.0 1"))
	})
	if !strings.HasPrefix(m, fmt.Sprintf("SIP/2.0 %d ", code)) {
		p.t.Fatalf("want %d to %s, got:\n%s", code, method, m)
	}
	if _, tag, ok := strings.Cut(header(m, "To"), ";tag="); ok && code < 300 {
		p.toTag = tag
	}
	return m
}

// expect waits for a request.
func (p *phone) expect(method string) string {
	p.t.Helper()
	return p.next(method, func(m string) bool { return strings.HasPrefix(m, method+" ") })
}

// reply answers a request.
func (p *phone) reply(req, status, body, more string) {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %s\r\n", status)
	for _, l := range strings.Split(req, "\r\n") {
		name, _, _ := strings.Cut(l, ":")
		switch name {
		case "Via", "From", "Call-ID", "CSeq", "Record-Route":
			b.WriteString(l + "\r\n")
		case "To":
			if !strings.Contains(l, ";tag=") {
				l += ";tag=" + p.tag
			}
			b.WriteString(l + "\r\n")
		}
	}
	fmt.Fprintf(&b, "Contact: <%s>\r\n%s", p.contact, more)
	if body != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	p.write(b.String())
}

// call sets up a call.
func (p *phone) call(more string) string {
	p.t.Helper()
	p.invite(more)
	ok := p.status(200, "INVITE")
	p.ack()
	return ok
}

// bye ends it.
func (p *phone) bye() {
	p.t.Helper()
	p.request("BYE", "", "", "")
	p.status(200, "BYE")
}

func firstLine(m string) string {
	l, _, _ := strings.Cut(m, "\r\n")
	return l
}

// header is the first value of a header.
func header(m, name string) string {
	for _, l := range strings.Split(m, "\r\n") {
		if l == "" {
			break
		}
		if k, v, ok := strings.Cut(l, ":"); ok && strings.EqualFold(k, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func body(m string) string {
	_, b, _ := strings.Cut(m, "\r\n\r\n")
	return b
}

// eventually polls a condition.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

// recorder is a handler that answers and keeps what happened.
type recorder struct {
	mu     sync.Mutex
	legs   []*Leg
	events []bridge.Event
	errs   []error
}

func (r *recorder) handle(ctx context.Context, l *Leg) {
	r.mu.Lock()
	r.legs = append(r.legs, l)
	r.mu.Unlock()
	_, err := l.Answer(ctx)
	r.mu.Lock()
	r.errs = append(r.errs, err)
	r.mu.Unlock()
	for e := range l.Events() {
		r.mu.Lock()
		r.events = append(r.events, e)
		r.mu.Unlock()
	}
}

func (r *recorder) leg(t testing.TB) *Leg {
	t.Helper()
	var l *Leg
	eventually(t, "a leg", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.legs) > 0 {
			l = r.legs[len(r.legs)-1]
		}
		return l != nil
	})
	return l
}

// event waits for an event of a kind.
func (r *recorder) event(t testing.TB, k bridge.EventKind, n int) bridge.Event {
	t.Helper()
	var found bridge.Event
	eventually(t, fmt.Sprintf("event %d, %d times", k, n), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		seen := 0
		for _, e := range r.events {
			if e.Kind == k {
				if seen++; seen == n {
					found = e
					return true
				}
			}
		}
		return false
	})
	return found
}

func parse(t testing.TB, m string) sipgo.Message {
	t.Helper()
	msg, err := sipgo.NewParser().ParseSIP([]byte(m))
	if err != nil {
		t.Fatal(err)
	}
	return msg
}
