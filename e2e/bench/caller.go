package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"
)

// caller is a SIP user agent that knows just enough to call thousands of times from one UDP socket: INVITE, ACK, INFO, BYE (RFC 3261).
type caller struct {
	conn   *net.UDPConn
	target netip.AddrPort

	mu      sync.Mutex
	dialogs map[string]*dialog // by Call-ID
	ended   int                // by the far end
}

// dialog is one call of it.
type dialog struct {
	caller              *caller
	id, tag, to, remote string // remote is the far end's Contact
	sequence            int
	ack                 []byte
	answers             chan message
}

// message is a SIP message.
type message struct {
	status  int // 0: a request
	method  string
	headers textproto.MIMEHeader
	body    string
}

// errRefused is a final answer other than 200.
type errRefused struct{ status int }

func (e errRefused) Error() string { return "refused: SIP " + strconv.Itoa(e.status) }

func newCaller(target string) (*caller, error) {
	to, err := netip.ParseAddrPort(target)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(1 << 20)
	c := &caller{conn: conn, target: to, dialogs: map[string]*dialog{}}
	go c.read()
	return c, nil
}

func (c *caller) close() { _ = c.conn.Close() }

// read hands answers to their dialogs and answers requests, until the socket is closed.
func (c *caller) read() {
	b := make([]byte, 65536)
	for {
		n, err := c.conn.Read(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		m, err := parse(b[:max(n, 0)])
		if err != nil {
			continue
		}
		c.mu.Lock()
		d := c.dialogs[m.headers.Get("Call-Id")]
		if m.method == "BYE" && d != nil {
			delete(c.dialogs, d.id)
			c.ended++
		}
		c.mu.Unlock()
		switch {
		case m.status == 0 && m.method != "ACK":
			c.send(m.ok())
		case d != nil && m.status == 200 && d.ack != nil && strings.HasSuffix(m.headers.Get("Cseq"), "INVITE"):
			c.send(d.ack) // ours was lost
		case d != nil:
			select {
			case d.answers <- m:
			default: // a retransmission that nobody waits for
			}
		}
	}
}

func parse(b []byte) (m message, err error) {
	first, rest, _ := bytes.Cut(b, []byte("\r\n"))
	head, body, _ := bytes.Cut(rest, []byte("\r\n\r\n"))
	f := strings.Fields(string(first))
	if len(f) < 2 {
		return m, errors.New("no SIP")
	}
	if f[0] == "SIP/2.0" {
		if m.status, err = strconv.Atoi(f[1]); err != nil {
			return m, err
		}
	} else {
		m.method = f[0]
	}
	m.body = string(body)
	m.headers, err = textproto.NewReader(bufio.NewReader(bytes.NewReader(append(head, "\r\n\r\n"...)))).ReadMIMEHeader()
	return m, err
}

// ok answers a request with 200.
func (m message) ok() []byte {
	var b bytes.Buffer
	b.WriteString("SIP/2.0 200 OK\r\n")
	for _, name := range []string{"Via", "From", "To", "Call-Id", "Cseq"} {
		for _, v := range m.headers[name] {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return b.Bytes()
}

func (c *caller) send(b []byte) { _, _ = c.conn.WriteToUDPAddrPort(b, c.target) }

// dial calls and returns when the call was answered and acknowledged, with the SDP answer and the time from INVITE to 200.
func (c *caller) dial(ctx context.Context, offer string) (d *dialog, answer string, took time.Duration, err error) {
	d = &dialog{caller: c, id: fmt.Sprintf("%016x", rand.Uint64()), tag: fmt.Sprintf("%08x", rand.Uint32()), answers: make(chan message, 8)}
	d.to, d.remote = fmt.Sprintf("<sip:bench@%s>", c.target), "sip:bench@"+c.target.String()
	c.mu.Lock()
	c.dialogs[d.id] = d
	c.mu.Unlock()
	start := time.Now()
	m, err := d.request(ctx, "INVITE", "application/sdp", offer)
	took = time.Since(start)
	if err != nil {
		c.mu.Lock()
		delete(c.dialogs, d.id)
		c.mu.Unlock()
		return nil, "", took, err
	}
	d.to = m.headers.Get("To")
	contact := m.headers.Get("Contact")
	if _, uri, ok := strings.Cut(contact, "<"); ok {
		contact, _, _ = strings.Cut(uri, ">")
	}
	d.remote = contact
	ack := d.message("ACK", d.sequence, "", "")
	c.mu.Lock()
	d.ack = ack
	c.mu.Unlock()
	c.send(ack)
	return d, m.body, took, nil
}

// press types digits by INFO.
func (d *dialog) press(ctx context.Context, digits string) error {
	for _, digit := range digits {
		if _, err := d.request(ctx, "INFO", "application/dtmf-relay", fmt.Sprintf("Signal=%c\r\nDuration=100\r\n", digit)); err != nil {
			return fmt.Errorf("INFO: %w", err)
		}
	}
	return nil
}

// hangUp ends the call.
func (d *dialog) hangUp(ctx context.Context) error {
	_, err := d.request(ctx, "BYE", "", "")
	d.caller.mu.Lock()
	delete(d.caller.dialogs, d.id)
	d.caller.mu.Unlock()
	return err
}

// request sends a request, again and again as RFC 3261, section 17.1 has it, and waits for its final answer.
func (d *dialog) request(ctx context.Context, method, contentType, body string) (message, error) {
	d.sequence++
	b := d.message(method, d.sequence, contentType, body)
	cseq := strconv.Itoa(d.sequence) + " " + method
	again, silent := 500*time.Millisecond, true
	d.caller.send(b)
	timer := time.NewTimer(again)
	defer timer.Stop()
	for {
		select {
		case m := <-d.answers:
			if m.headers.Get("Cseq") != cseq {
				continue
			}
			silent = false
			switch {
			case m.status < 200:
			case m.status == 200:
				return m, nil
			default:
				if method == "INVITE" {
					d.to = m.headers.Get("To")
					d.caller.send(d.message("ACK", d.sequence, "", ""))
				}
				return m, errRefused{m.status}
			}
		case <-timer.C:
			if silent || method != "INVITE" {
				d.caller.send(b)
			}
			again = min(2*again, 4*time.Second)
			timer.Reset(again)
		case <-ctx.Done():
			return message{}, ctx.Err()
		}
	}
}

// message writes a request.
func (d *dialog) message(method string, sequence int, contentType, body string) []byte {
	own := d.caller.conn.LocalAddr().String()
	var b bytes.Buffer
	branch := sequence
	if method == "ACK" {
		branch += 1 << 20 // that of a 2xx is a transaction of its own
	}
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%d\r\nMax-Forwards: 70\r\n", method, d.remote, own, d.id, branch)
	fmt.Fprintf(&b, "From: <sip:bench@%s>;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:bench@%s>\r\n", own, d.tag, d.to, d.id, sequence, method, own)
	if contentType != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\n", contentType)
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.Bytes()
}
