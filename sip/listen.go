package sip

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	sipgo "github.com/emiago/sipgo/sip"
)

// readBuffer holds the requests of some hundred calls that come at once: those that are lost are repeated only half a second later (RFC 3261, section 17).
const readBuffer = 1 << 20

// listenUDP opens one UDP socket and reads from it until the transport is closed.
func (t *transport) listenUDP(ctx context.Context, address string) error {
	c, err := t.guard.ListenUDP(ctx, address)
	if err != nil {
		return err
	}
	_ = c.SetReadBuffer(readBuffer) // as much as the kernel gives
	local := addrPort(c.LocalAddr())
	t.keep("udp", local, c)
	t.mu.Lock()
	t.udp = append(t.udp, udpSocket{c, local})
	t.mu.Unlock()
	t.running.Go(func() { t.readUDP(c, path{transport: "udp", local: local, socket: c, pass: t.pass}) })
	return nil
}

// listenTCP opens one TCP or, with a configuration, TLS listener and accepts until the transport is closed.
func (t *transport) listenTCP(ctx context.Context, address string, cfg *tls.Config) error {
	l, err := t.guard.ListenTCP(ctx, address)
	if err != nil {
		return err
	}
	network := "tcp"
	if cfg != nil {
		network = "tls"
	}
	t.keep(network, addrPort(l.Addr()), l)
	t.running.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil { // of one connection, or no file descriptor is left: wait for calls to end
				t.log.Warn("sip: accept", "err", err)
				select {
				case <-ctx.Done():
					return
				case <-time.After(100 * time.Millisecond):
				}
				continue
			}
			if cfg != nil {
				c = tls.Server(c, cfg)
			}
			t.adopt(network, c, false)
		}
	})
	return nil
}

// keep remembers a socket for close, and its address for Contact.
func (t *transport) keep(network string, local netip.AddrPort, c io.Closer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closers = append(t.closers, c)
	if _, ok := t.local[network]; !ok {
		t.local[network] = local
	}
}

func (t *transport) readUDP(c packetSocket, from path) {
	buf := make([]byte, 65536)
	for {
		n, remote, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.log.Debug("sip: UDP read", "err", err) // of one packet, such as an ICMP error
			time.Sleep(time.Millisecond)             // whatever it is, it must not take the processor
			continue
		}
		p := from
		p.remote = addrPort(net.UDPAddrFromAddrPort(remote))
		if !t.pass.Includes(p.remote.Addr()) { // it could not be answered
			t.metrics.dropped.WithLabelValues("network").Inc()
			continue
		}
		if !t.gate.admit(p.remote.Addr()) {
			t.metrics.dropped.WithLabelValues("rate").Inc()
			continue
		}
		b := buf[:n]
		if len(bytes.Trim(b, "\r\n\x00")) == 0 { // keep-alive (RFC 5626, section 4.4)
			continue
		}
		if n > maxMessage || tooManyLines(b) {
			t.metrics.dropped.WithLabelValues("size").Inc()
			continue
		}
		m, err := parseDatagram(t.parser, b)
		if err != nil || m == nil {
			t.metrics.dropped.WithLabelValues("malformed").Inc()
			continue
		}
		t.receive(m, p)
	}
}

// adopt reads from a connection on a goroutine of its own. It answers nil, and closes the connection, where there are too many, and where somebody
// connected who may not be answered.
func (t *transport) adopt(network string, c net.Conn, ours bool) *stream {
	remote := addrPort(c.RemoteAddr())
	s := &stream{conn: c, gone: make(chan struct{})}
	key := streamKey{network, remote}
	t.mu.Lock()
	defer t.mu.Unlock()
	full := len(t.all) >= maxStreams
	if !t.gate.known(remote.Addr()) { // strangers leave half of the places to trunks
		full = len(t.all) >= maxStreams/2 || t.perAddr[remote.Addr()] >= maxPerSource
	}
	stranger := !ours && !t.pass.Includes(remote.Addr())
	if stranger {
		t.metrics.dropped.WithLabelValues("network").Inc()
	}
	if t.closed || stranger || !ours && full {
		_ = c.Close()
		return nil
	}
	t.streams[key], t.all[s] = s, true
	t.perAddr[remote.Addr()]++
	t.running.Go(func() {
		t.readStream(network, s)
		s.close()
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.all, s)
		if t.streams[key] == s {
			delete(t.streams, key)
		}
		if t.perAddr[remote.Addr()]--; t.perAddr[remote.Addr()] <= 0 {
			delete(t.perAddr, remote.Addr())
		}
	})
	return s
}

func (t *transport) readStream(network string, s *stream) {
	p := path{transport: network, local: addrPort(s.conn.LocalAddr()), remote: addrPort(s.conn.RemoteAddr()), stream: s, pass: t.pass}
	_ = s.conn.SetReadDeadline(time.Now().Add(firstMessage))
	if c, ok := s.conn.(*tls.Conn); ok {
		if err := c.Handshake(); err != nil {
			t.log.Debug("sip: TLS handshake", "source", p.remote, "err", err)
			return
		}
		s.names = certificateNames(c.ConnectionState())
	}
	par := t.parser.NewSIPStream()
	defer par.Close()
	buf := make([]byte, 8192)
	partial := false // a message has begun: the parser's buffer may be empty all the same, after a whole line
	for {
		n, err := s.conn.Read(buf)
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() && s.calls.Load() > 0 {
				_ = s.conn.SetReadDeadline(time.Now().Add(idleStream))
				continue
			}
			return
		}
		_ = s.conn.SetReadDeadline(time.Now().Add(idleStream))
		b := buf[:n]
		if !partial && len(bytes.Trim(b, "\r\n")) == 0 {
			if n >= 4 { // a ping asks for a pong (RFC 5626, section 3.5.1)
				_ = s.write([]byte("\r\n"))
			}
			continue
		}
		if !t.gate.admit(p.remote.Addr()) {
			t.metrics.dropped.WithLabelValues("rate").Inc()
			return // bytes that are dropped from a stream make the rest unreadable
		}
		if partial, err = t.parseStream(par, b, p); err != nil {
			t.metrics.dropped.WithLabelValues("malformed").Inc()
			return // where the next message begins is not known any more
		}
	}
}

// parseStream hands on every message that is complete with b. partial: another one has begun.
func (t *transport) parseStream(par *sipgo.ParserStream, b []byte, p path) (partial bool, err error) {
	err = par.ParseSIPStream(b, func(m sipgo.Message) {
		if h, ok := m.(interface{ Headers() []sipgo.Header }); ok && len(h.Headers()) > maxHeaders {
			t.metrics.dropped.WithLabelValues("size").Inc()
			return
		}
		t.receive(m, p)
	})
	if errors.Is(err, sipgo.ErrParseSipPartial) {
		return true, nil
	}
	return false, err
}

// tooManyLines counts the lines of the header section before anything is parsed. Commas may still hold more fields, within maxMessage.
func tooManyLines(b []byte) bool {
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		b = b[:i]
	}
	return bytes.Count(b, []byte("\n")) > maxHeaders
}

// close closes every socket and waits for their goroutines.
func (t *transport) close() {
	t.mu.Lock()
	t.closed = true
	for _, c := range t.closers {
		_ = c.Close()
	}
	for s := range t.all {
		s.close()
	}
	t.mu.Unlock()
	t.running.Wait()
}
