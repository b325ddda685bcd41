//go:build e2e

package rules_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// at opens a UDP socket at an address of everybody else's.
func at(t *testing.T, others, address string, port int) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	among(t, others, func() {
		var err error
		if c, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(address), Port: port}); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// serveNames is the national name server. It does not answer for silent.test.
func serveNames(t *testing.T, others string) {
	t.Helper()
	zone := map[string][]dnsmessage.ResourceBody{
		"desk.test.": {&dnsmessage.AResource{A: netip.MustParseAddr(desk).As4()}},
		"trap.test.": {&dnsmessage.AResource{A: netip.MustParseAddr(trap).As4()}, &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(trap6).As16()}},
	}
	c := at(t, others, names, 53)
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 || m.Questions[0].Name.String() == "silent.test." {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Additionals = true, nil
			for _, body := range zone[q.Name.String()] {
				if _, v4 := body.(*dnsmessage.AResource); v4 == (q.Type == dnsmessage.TypeA) {
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}, Body: body})
				}
			}
			if zone[q.Name.String()] == nil {
				m.RCode = dnsmessage.RCodeNameError
			}
			if b, err := m.Pack(); err == nil {
				_, _ = c.WriteToUDPAddrPort(b, from)
			}
		}
	}()
}

// caller is a far end that says what it likes: one call over one UDP socket.
type caller struct {
	t      *testing.T
	socket *net.UDPConn
	to     netip.AddrPort
	called string
	id     string
	seq    int
	tag    string // the gateway's
	via    string // sent-by and parameters; empty: the socket's address
	route  string // Record-Route; empty: none
	target string // Contact; empty: the socket's address
}

func newCaller(t *testing.T, others, address, to string) *caller {
	t.Helper()
	c := &caller{t: t, socket: at(t, others, address, 0), to: netip.MustParseAddrPort(to), called: "room"}
	c.id = fmt.Sprintf("c%d", c.port())
	return c
}

func (c *caller) port() int { return c.socket.LocalAddr().(*net.UDPAddr).Port }

func (c *caller) address() string { return c.socket.LocalAddr().String() }

// request sends a request of the call.
func (c *caller) request(method, body string) {
	c.t.Helper()
	if method != "ACK" {
		c.seq++
	}
	via, target, to := c.via, c.target, ""
	if via == "" {
		via = c.address() + ";rport"
	}
	if target == "" {
		target = "<sip:x@" + c.address() + ">"
	}
	if c.tag != "" {
		to = ";tag=" + c.tag
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s sip:%s@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%s%d\r\nFrom: <sip:+33198765432@x>;tag=%s\r\nTo: <sip:room@x>%s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n"+
		"Max-Forwards: 70\r\nContact: %s\r\n", method, c.called, c.to, via, c.id, method, c.seq, c.id, to, c.id, c.seq, method, target)
	if c.route != "" {
		fmt.Fprintf(&b, "Record-Route: %s\r\n", c.route)
	}
	if body != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	c.send(b.Bytes())
}

func (c *caller) send(b []byte) {
	c.t.Helper()
	if _, err := c.socket.WriteToUDPAddrPort(b, c.to); err != nil {
		c.t.Fatal(err)
	}
}

// final waits for the last answer to the last request and acknowledges it where that is usual.
func (c *caller) final(method string) (code int, message string) {
	c.t.Helper()
	message = c.next(fmt.Sprintf("an answer to %s", method), func(m string) bool {
		return strings.HasPrefix(m, "SIP/2.0 ") && !strings.HasPrefix(m, "SIP/2.0 1") && strings.Contains(m, fmt.Sprintf("\r\nCSeq: %d %s\r\n", c.seq, method))
	})
	if _, err := fmt.Sscanf(message, "SIP/2.0 %d", &code); err != nil {
		c.t.Fatal(err)
	}
	if method == "INVITE" && code < 300 {
		_, tag, _ := strings.Cut(message, "\r\nTo: ")
		tag, _, _ = strings.Cut(tag, "\r\n")
		_, c.tag, _ = strings.Cut(tag, ";tag=")
	}
	if method == "INVITE" {
		c.request("ACK", "")
	}
	return code, message
}

// hungUp waits for the gateway's BYE and answers it.
func (c *caller) hungUp() {
	c.t.Helper()
	bye := c.next("BYE", func(m string) bool { return strings.HasPrefix(m, "BYE ") })
	var b strings.Builder
	b.WriteString("SIP/2.0 200 OK\r\n")
	for _, line := range strings.Split(bye, "\r\n") {
		switch name, _, _ := strings.Cut(line, ":"); name {
		case "Via", "From", "To", "Call-ID", "CSeq":
			b.WriteString(line + "\r\n")
		}
	}
	c.send([]byte(b.String() + "Content-Length: 0\r\n\r\n"))
}

// next is the next message that is wanted.
func (c *caller) next(what string, wanted func(string) bool) string {
	c.t.Helper()
	_ = c.socket.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 65536)
	for {
		n, err := c.socket.Read(buf)
		if err != nil {
			c.t.Fatalf("no %s for %s: %v", what, c.id, err)
		}
		if m := string(buf[:n]); wanted(m) {
			return m
		}
	}
}

// offer is SDP with A-law at an address, and further lines.
func offer(address string, port int, more string) string {
	family := "IP4"
	if strings.Contains(address, ":") {
		family = "IP6"
	}
	return strings.ReplaceAll(fmt.Sprintf("v=0\no=- 1 1 IN IP4 x\ns=-\nc=IN %s %s\nt=0 0\nm=audio %d RTP/AVP 8\n%s", family, address, port, more), "\n", "\r\n")
}

// mediaPort is where the gateway wants the sound of an answered call.
func mediaPort(t *testing.T, message string) uint16 {
	t.Helper()
	var port uint16
	_, line, _ := strings.Cut(message, "\r\nm=audio ")
	if _, err := fmt.Sscan(line, &port); err != nil {
		t.Fatalf("%v in:\n%s", err, message)
	}
	return port
}

// rtp is a packet of A-law.
func rtp(sequence byte) []byte {
	return append([]byte{0x80, 8, 0, sequence, 0, 0, 0, sequence, 1, 2, 3, 4}, bytes.Repeat([]byte{0xd5}, 160)...)
}
