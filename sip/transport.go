package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/internal/egress"
)

const (
	maxMessage    = 32 << 10         // bytes of one message
	maxHeaders    = 128              // header fields of one message
	maxStreams    = 4096             // TCP and TLS connections at the same time
	maxPerSource  = 64               // of them from one address that matches no trunk
	firstMessage  = 10 * time.Second // until a new connection must have said something
	idleStream    = 10 * time.Minute // until a silent connection without a call is closed
	writeDeadline = 5 * time.Second
)

// path is the way to one far end: a UDP socket and an address, or a connection.
type path struct {
	transport string // udp, tcp, tls
	local     netip.AddrPort
	remote    netip.AddrPort
	socket    packetSocket // of udp
	stream    *stream      // of tcp and tls
	pass      *egress.Pass // that permits it
}

// packetSocket is a UDP socket. It is implemented by net.UDPConn.
type packetSocket interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
}

// send writes one message. It never opens a connection. A message of more than 1300 bytes stays on UDP, in fragments: RFC 3261, section 18.1.1,
// would have it sent over TCP, which the far end of a UDP trunk seldom listens on.
func (p path) send(b []byte) error {
	if p.stream != nil {
		return p.stream.write(b)
	}
	if p.socket == nil {
		return errors.New("no way to the far end")
	}
	if err := p.pass.Check(p.remote.Addr(), egress.SIP); err != nil {
		return err
	}
	_, err := p.socket.WriteToUDPAddrPort(b, p.remote)
	return err
}

// reliable tells whether the path itself repeats what is lost.
func (p path) reliable() bool { return p.stream != nil }

// alive tells whether the path can still be written to.
func (p path) alive() bool {
	if p.stream == nil {
		return p.socket != nil
	}
	select {
	case <-p.stream.gone:
		return false
	default:
		return true
	}
}

// stream is one TCP or TLS connection.
type stream struct {
	conn    net.Conn
	names   []string     // of the certificate that the far end showed, verified
	calls   atomic.Int32 // legs that need it open
	writing sync.Mutex
	gone    chan struct{}
	once    sync.Once
}

func (s *stream) write(b []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeDeadline)); err != nil {
		return err
	}
	_, err := s.conn.Write(b)
	if err != nil {
		s.close() // half a message may be out: nothing after it could be read
	}
	return err
}

func (s *stream) close() {
	s.once.Do(func() {
		close(s.gone)
		_ = s.conn.Close()
	})
}

type streamKey struct {
	transport string
	remote    netip.AddrPort
}

// transport owns the sockets. receive is called with each message, in the order of arrival of its socket.
type transport struct {
	guard   *egress.Guard
	pass    *egress.Pass // what may speak to us: the national networks and the trunks' addresses
	gate    *gate
	log     *slog.Logger
	metrics *metrics
	parser  *sipgo.Parser
	client  *tls.Config
	receive func(m sipgo.Message, p path)

	running sync.WaitGroup
	mu      sync.Mutex
	closed  bool
	closers []io.Closer
	udp     []udpSocket
	local   map[string]netip.AddrPort // the first listener of each transport
	streams map[streamKey]*stream     // the latest of each far end
	all     map[*stream]bool
	dialing map[streamKey]chan struct{} // closed when the dial is over
	perAddr map[netip.Addr]int
}

type udpSocket struct {
	socket packetSocket
	local  netip.AddrPort
}

func newTransport(guard *egress.Guard, trunks []netip.Prefix, g *gate, m *metrics, log *slog.Logger) *transport {
	p := sipgo.NewParser()
	p.MaxMessageLength = maxMessage
	return &transport{
		guard: guard, pass: guard.Pass("", trunks...), gate: g, metrics: m, log: log, parser: p,
		local: map[string]netip.AddrPort{}, streams: map[streamKey]*stream{}, all: map[*stream]bool{},
		dialing: map[streamKey]chan struct{}{}, perAddr: map[netip.Addr]int{},
	}
}

// path finds or opens the way to an address that the pass permits; serverName is what a TLS certificate must say.
func (t *transport) path(ctx context.Context, pass *egress.Pass, network string, remote netip.AddrPort, serverName string) (path, error) {
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	if err := pass.Check(remote.Addr(), egress.SIP); err != nil {
		return path{}, err
	}
	if network == "udp" {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, s := range t.udp {
			if a := s.local.Addr(); a.Is4() == remote.Addr().Is4() || a == netip.IPv6Unspecified() {
				return path{transport: network, local: s.local, remote: remote, socket: s.socket, pass: pass}, nil
			}
		}
		return path{}, fmt.Errorf("no UDP socket that can reach %s", remote)
	}
	s, err := t.connect(ctx, pass, streamKey{network, remote}, serverName)
	if err != nil {
		return path{}, err
	}
	return path{transport: network, local: addrPort(s.conn.LocalAddr()), remote: remote, stream: s, pass: pass}, nil
}

// connect finds the connection to a far end or opens it, once for all who want it at the same time.
func (t *transport) connect(ctx context.Context, pass *egress.Pass, key streamKey, serverName string) (*stream, error) {
	for {
		t.mu.Lock()
		if s := t.streams[key]; s != nil {
			t.mu.Unlock()
			return s, nil
		}
		wait := t.dialing[key]
		if wait == nil {
			t.dialing[key] = make(chan struct{})
			t.mu.Unlock()
			break
		}
		t.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s, err := t.dial(ctx, pass, key.transport, key.remote, serverName)
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.dialing[key])
	delete(t.dialing, key)
	return s, err
}

// dial opens a connection and reads from it.
func (t *transport) dial(ctx context.Context, pass *egress.Pass, network string, remote netip.AddrPort, serverName string) (*stream, error) {
	conn, err := pass.DialContext(ctx, "tcp", remote.String())
	if err != nil {
		return nil, err
	}
	if network == "tls" {
		cfg := t.client.Clone()
		cfg.ServerName = serverName
		c := tls.Client(conn, cfg)
		if err := c.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("TLS with %s: %w", remote, err)
		}
		conn = c
	}
	s := t.adopt(network, conn, true)
	if s == nil {
		return nil, errors.New("too many connections")
	}
	return s, nil
}

// addrPort is a socket's address without the IPv6 form of IPv4.
func addrPort(a net.Addr) netip.AddrPort {
	var p netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		p = a.AddrPort()
	case *net.UDPAddr:
		p = a.AddrPort()
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
