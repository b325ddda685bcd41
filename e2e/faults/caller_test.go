//go:build e2e || soak

package faults

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"passerelle/bridge"
	"passerelle/e2e/stack"
)

// caller is a telephone made of two sockets and hand-written messages, which can leave out whatever a real one would do. It answers BYEs as long as
// it lives.
type caller struct {
	t       *testing.T
	gateway *net.UDPAddr
	signal  *net.UDPConn
	media   *net.UDPConn
	callID  string
	tag     string
	branch  string // of the INVITE
	seq     int
	remote  *net.UDPAddr // of the gateway's RTP; nil before the answer
	voice   *stream      // what it says
	last    string       // the last request

	mu     sync.Mutex
	toTag  string
	heard  []string // responses, and the methods of requests
	deaf   bool     // answers nothing any more
	news   chan struct{}
	work   sync.WaitGroup
	closed bool
}

// newCaller is somebody at a loopback address, 127.0.0.1 or another, who leaves at the end of the test at the latest.
func newCaller(t *testing.T, gateway, address string) *caller {
	t.Helper()
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(gateway))
	c := &caller{t: t, gateway: to, callID: id(), tag: "t" + id(), news: make(chan struct{}, 1)}
	for _, s := range []**net.UDPConn{&c.signal, &c.media} {
		var err error
		if *s, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(address)}); err != nil {
			t.Fatal(err)
		}
	}
	c.voice = &stream{c: c, packet: rtp.Packet{Header: rtp.Header{
		Version: 2, PayloadType: 8, SSRC: rand.Uint32(), SequenceNumber: uint16(rand.Uint32()), Timestamp: rand.Uint32(),
	}}}
	c.work.Go(c.listen)
	t.Cleanup(c.vanish)
	return c
}

func id() string { return strconv.FormatUint(rand.Uint64(), 36) }

// vanish closes the sockets, without a word.
func (c *caller) vanish() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.signal.Close()
	c.media.Close()
	c.work.Wait()
}

// listen keeps what comes, and answers the gateway's requests.
func (c *caller) listen() {
	buf := make([]byte, 65536)
	for {
		n, _, err := c.signal.ReadFromUDP(buf)
		if err != nil {
			return
		}
		m := string(buf[:n])
		line, _, _ := strings.Cut(m, "\r\n")
		method, _, _ := strings.Cut(line, " ")
		c.mu.Lock()
		c.heard = append(c.heard, m)
		deaf := c.deaf
		if _, tag, ok := strings.Cut(header(m, "To"), ";tag="); ok && method == "SIP/2.0" {
			c.toTag = tag
		}
		c.mu.Unlock()
		select {
		case c.news <- struct{}{}:
		default:
		}
		if method != "SIP/2.0" && method != "ACK" && !deaf {
			var reply strings.Builder
			reply.WriteString("SIP/2.0 200 OK\r\n")
			for _, h := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
				fmt.Fprintf(&reply, "%s: %s\r\n", h, header(m, h))
			}
			reply.WriteString("Content-Length: 0\r\n\r\n")
			c.send(reply.String())
		}
	}
}

// header is the first field of a name.
func header(m, name string) string {
	for line := range strings.SplitSeq(m, "\r\n") {
		if n, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(n), name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (c *caller) send(m string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.signal.WriteToUDP([]byte(m), c.gateway); err != nil && !c.closed {
		c.t.Error(err)
	}
}

// request sends a request of this call. branch may be empty; extra are header lines.
func (c *caller) request(method string, seq int, branch, extra, contentType, body string) {
	c.mu.Lock()
	to := ""
	if c.toTag != "" && (method != "CANCEL") {
		to = ";tag=" + c.toTag
	}
	c.mu.Unlock()
	if branch == "" {
		branch = "z9hG4bK" + id()
	}
	if body != "" {
		extra += "Content-Type: " + contentType + "\r\n"
	}
	local := c.signal.LocalAddr()
	m := fmt.Sprintf("%[1]s sip:room@%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=%[4]s\r\nMax-Forwards: 70\r\n"+
		"From: \"%[5]s\" <sip:tester@%[3]s>;tag=%[5]s\r\nTo: <sip:room@%[2]s>%[6]s\r\nCall-ID: %[7]s\r\nCSeq: %[8]d %[1]s\r\n"+
		"Contact: <sip:tester@%[3]s>\r\n%[9]sContent-Length: %[10]d\r\n\r\n%[11]s",
		method, c.gateway, local, branch, c.tag, to, c.callID, seq, extra, len(body), body)
	if method != "ACK" {
		c.last = m
	}
	c.send(m)
}

// sdp offers G.711 A-law and telephone-events.
func (c *caller) sdp() string {
	a := c.media.LocalAddr().(*net.UDPAddr)
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n",
		a.IP, a.IP, a.Port)
}

// invite begins the call with an offer; none: the gateway is to make one. It does not wait.
func (c *caller) invite(offer, extra string) {
	c.seq++
	c.branch = "z9hG4bK" + id()
	c.request("INVITE", c.seq, c.branch, extra, "application/sdp", offer)
}

// awaits waits for a message that the condition holds for.
func (c *caller) awaits(within time.Duration, what string, is func(m string) bool) string {
	c.t.Helper()
	return c.find(within, false, what, is)
}

// find does what awaits says. asks: the last request is sent again and again meanwhile.
func (c *caller) find(within time.Duration, asks bool, what string, is func(m string) bool) string {
	c.t.Helper()
	deadline := time.After(within)
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		c.mu.Lock()
		for _, m := range c.heard {
			if is(m) {
				c.mu.Unlock()
				return m
			}
		}
		heard := len(c.heard)
		c.mu.Unlock()
		select {
		case <-c.news:
		case <-again.C:
			if asks {
				c.send(c.last) // the network is a busy machine's
			}
		case <-deadline:
			c.t.Errorf("not within %v: %s (%d other messages)", within, what, heard)
			return ""
		}
	}
}

// status waits for a final answer to a request of ours, and says its status code; 0: none came.
func (c *caller) status(method string, seq int) (code int, answer string) {
	c.t.Helper()
	want := fmt.Sprintf("%d %s", seq, method)
	answer = c.find(patience, true, "a final answer to "+want, func(m string) bool {
		return strings.HasPrefix(m, "SIP/2.0 ") && m[8] != '1' && header(m, "CSeq") == want
	})
	if answer != "" {
		code, _ = strconv.Atoi(answer[8:11])
	}
	return code, answer
}

// answered waits for the 200 to the INVITE and acknowledges it.
func (c *caller) answered() bool {
	c.t.Helper()
	code, answer := c.status("INVITE", c.seq)
	if code != 200 {
		c.t.Errorf("the call was answered with %d", code)
		return false
	}
	c.takeAnswer(answer)
	c.ack()
	return true
}

// takeAnswer notes where the gateway's RTP is.
func (c *caller) takeAnswer(answer string) {
	_, after, _ := strings.Cut(answer, "m=audio ")
	port, err := strconv.Atoi(strings.Fields(after + " x")[0])
	if err != nil {
		c.t.Errorf("no port in the answer:\n%s", answer)
		return
	}
	c.remote = &net.UDPAddr{IP: c.gateway.IP, Port: port}
}

func (c *caller) ack() { c.request("ACK", c.seq, "", "", "", "") }

// cancel takes the INVITE back.
func (c *caller) cancel() { c.request("CANCEL", c.seq, c.branch, "", "", "") }

// bye hangs up, and wants to hear that it was heard.
func (c *caller) bye() {
	c.t.Helper()
	c.seq++
	c.request("BYE", c.seq, "", "", "", "")
	if code, _ := c.status("BYE", c.seq); code != 200 {
		c.t.Errorf("the BYE was answered with %d", code)
	}
}

// digits types by INFO, and waits for each to be taken.
func (c *caller) digits(keys string) {
	c.t.Helper()
	for i := range len(keys) {
		if code := c.digit(keys[i]); code != 200 {
			c.t.Errorf("a digit was answered with %d", code)
			return
		}
	}
}

// digit types one key, and says what it was answered with.
func (c *caller) digit(key byte) int {
	c.t.Helper()
	c.seq++
	c.request("INFO", c.seq, "", "", "application/dtmf-relay", fmt.Sprintf("Signal=%c\r\nDuration=100\r\n", key))
	code, _ := c.status("INFO", c.seq)
	return code
}

// hungUp tells whether the gateway has.
func (c *caller) hungUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.heard, func(m string) bool { return strings.HasPrefix(m, "BYE ") })
}

// ended waits until the gateway hangs up, and says which Q.850 cause it gives.
func (c *caller) ended(within time.Duration) string {
	c.t.Helper()
	return header(c.awaits(within, "a BYE", func(m string) bool { return strings.HasPrefix(m, "BYE ") }), "Reason")
}

// ignore has the caller answer nothing any more.
func (c *caller) ignore() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deaf = true
}

// stream is what a caller sends as RTP, A-law.
type stream struct {
	c      *caller
	packet rtp.Packet
	lock   *srtp.Context // nil: it is not encrypted
	loss   float64       // share of packets that its network loses
}

// write sends one packet of 20 ms and returns it as it went out.
func (s *stream) write(payload []byte) []byte {
	s.packet.Payload = payload
	s.packet.SequenceNumber++
	s.packet.Timestamp += 160
	b, err := s.packet.Marshal()
	if err != nil {
		s.c.t.Error(err)
		return nil
	}
	if s.lock != nil {
		if b, err = s.lock.EncryptRTP(nil, b, nil); err != nil {
			s.c.t.Error(err)
		}
	}
	if rand.Float64() >= s.loss {
		s.send(b)
	}
	return b
}

// send sends any bytes to where the gateway hears this caller.
func (s *stream) send(b []byte) { _, _ = s.c.media.WriteToUDP(b, s.c.remote) }

// hum sends quiet noise until the returned function is called.
func (c *caller) hum() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	payload := make([]byte, 160)
	for i := range payload {
		payload[i] = 0xd5 ^ byte(i&1) // A-law's smallest steps
	}
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				c.voice.write(payload)
			}
		}
	}()
	return sync.OnceFunc(func() { close(done); <-ended })
}

// enter dials, types the PIN and waits until Camille sees it in the room. There is sound until the returned function is called.
func (c *caller) enter(h *house) (quiet func()) {
	c.t.Helper()
	c.invite(c.sdp(), "")
	if !c.answered() {
		return func() {}
	}
	quiet = c.hum()
	c.t.Cleanup(quiet)
	c.digits(stack.PIN + "#")
	stack.Eventually(c.t, patience, "another telephone is in the room", func() bool { return h.sees(c) })
	return quiet
}

// sees tells whether Camille sees a caller in the room: the tag is its display name, too.
func (h *house) sees(c *caller) bool {
	_, ok := h.camille.Find(func(p bridge.Participant) bool { return p.Name == c.tag && len(p.Tracks) > 0 })
	return ok
}
