package webrtc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	pion "github.com/pion/webrtc/v4"

	"passerelle/internal/egress"
)

// How soon ICE notices that the far end is gone: no answer for disconnectedAfter is a doubt, failedAfter later it is certain.
const (
	disconnectedAfter = 4 * time.Second
	failedAfter       = 4 * time.Second
	keepaliveEvery    = 2 * time.Second
)

// ErrPortTaken says that the far end sends a second peer connection from an address which it already uses towards the same port of ours: their
// packets could not be told apart. The next peer connection gets a port of its own.
var ErrPortTaken = errors.New("the far end uses one port for several connections, and so must not we")

// Port is the UDP port that the peer connections of a node share. Packets of different peer connections are told apart by where they come from, so
// sharing needs a far end that uses a port for each. A far end with one port for all (LiveKit's rtc.udp_port) is noticed, and gets as many ports
// from us as there are peer connections to it: the configured one first, then any.
type Port struct {
	guard   *egress.Guard
	pass    *egress.Pass // of peer connections that have none of their own
	log     *slog.Logger
	address netip.AddrPort
	shared  *shared // nil: a port towards an SFU

	mu       sync.Mutex
	lanes    []*lane
	remotes  map[netip.AddrPort]int // how many peer connections each address of a far end serves
	distinct bool                   // the far end has been seen to use a port for each
	reused   bool                   // … or not
	cert     *pion.Certificate
	closed   bool
}

// lane is one socket and the peer connections on it.
type lane struct {
	mux     *ice.UDPMuxDefault
	socket  *socket
	address netip.AddrPort
	peers   int
	remotes map[netip.AddrPort]int
}

// OpenPort opens the port on host:port.
func OpenPort(ctx context.Context, guard *egress.Guard, address string, log *slog.Logger) (*Port, error) {
	return openFor(ctx, guard, address, nil, log)
}

func openFor(ctx context.Context, guard *egress.Guard, address string, s *shared, log *slog.Logger) (*Port, error) {
	p := &Port{guard: guard, pass: guard.Pass(""), log: log, shared: s, remotes: map[netip.AddrPort]int{}}
	l, err := p.listen(ctx, address)
	if err != nil {
		return nil, err
	}
	p.address, p.lanes = l.address, []*lane{l}
	return p, nil
}

// Addr is the address that the port is bound to.
func (p *Port) Addr() netip.AddrPort { return p.address }

// Sockets counts the open sockets.
func (p *Port) Sockets() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lanes)
}

// Close closes the port. Peer connections on it must be closed before.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	if p.shared != nil {
		errs = append(errs, p.shared.close())
	}
	for _, l := range p.lanes {
		errs = append(errs, l.close())
	}
	p.lanes = nil
	return errors.Join(errs...)
}

func (p *Port) listen(ctx context.Context, address string) (*lane, error) {
	c, err := p.guard.ListenUDP(ctx, address)
	if err != nil {
		return nil, err
	}
	s := newSocket(c, p.pass, p.reports())
	return &lane{
		mux:     ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: s, Logger: pionLog{p.log, "mux"}}),
		socket:  s,
		address: c.LocalAddr().(*net.UDPAddr).AddrPort(),
		remotes: map[netip.AddrPort]int{},
	}, nil
}

// reports bounds what browsers report. An SFU is trusted with more: it reports on hundreds of tracks.
func (p *Port) reports() *reports {
	if p.shared == nil {
		return nil
	}
	return newReports()
}

func (l *lane) close() error { return l.mux.Close() }

// acquire finds the socket for one more peer connection.
func (p *Port) acquire() (*lane, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, net.ErrClosed
	}
	for _, l := range p.lanes {
		if l.peers == 0 || p.distinct && !p.reused || p.shared != nil {
			l.peers++
			return l, nil
		}
	}
	l, err := p.listen(context.Background(), netip.AddrPortFrom(p.address.Addr(), 0).String())
	if err != nil {
		return nil, err
	}
	l.peers = 1
	p.lanes = append(p.lanes, l)
	return l, nil
}

// learn notes that a peer connection, which knows the addresses own of its far end, knows one more, and what this says about the far end.
func (p *Port) learn(l *lane, own []netip.AddrPort, a netip.AddrPort) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.remotes[a] > 0 {
		p.reused = true
	}
	for other := range p.remotes {
		if other.Addr() == a.Addr() && other != a && !slices.Contains(own, other) {
			p.distinct = true
		}
	}
	p.remotes[a]++
	l.remotes[a]++
	if l.remotes[a] > 1 {
		return ErrPortTaken
	}
	return nil
}

// open lets packets for one peer connection go to an address that is not national.
func (p *Port) open(l *lane, a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.socket.change(a, 1)
}

// release takes a peer connection off its socket. Sockets besides the first are closed when nobody is left on them.
func (p *Port) release(l *lane, remotes []netip.AddrPort, opened []netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range opened {
		l.socket.change(a, -1)
	}
	for _, a := range remotes {
		for _, m := range [...]map[netip.AddrPort]int{p.remotes, l.remotes} {
			if m[a]--; m[a] == 0 {
				delete(m, a)
			}
		}
	}
	if l.peers--; l.peers > 0 || p.closed {
		return
	}
	for i, other := range p.lanes {
		if i > 0 && other == l {
			p.lanes = append(p.lanes[:i], p.lanes[i+1:]...)
			_ = l.close()
			return
		}
	}
}

// api makes pion's entrance for one peer connection on a socket. reaches is asked about each address of the far end, those that ICE finds out by
// itself too.
func (p *Port) api(l *lane, reaches func(netip.Addr) bool, media *pion.MediaEngine, chain *interceptor.Registry) *pion.API {
	var e pion.SettingEngine
	e.LoggerFactory = pionLog{log: p.log}
	e.SetICEUDPMux(l.mux)
	e.SetNetworkTypes([]pion.NetworkType{pion.NetworkTypeUDP4, pion.NetworkTypeUDP6})
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.DisableActiveTCP(true)
	e.SetIncludeLoopbackCandidate(l.address.Addr().IsLoopback() || l.address.Addr().IsUnspecified()) // the far end may be on this machine
	e.SetICETimeouts(disconnectedAfter, failedAfter, keepaliveEvery)
	p.shared.set(&e)
	e.SetRemoteIPFilter(func(ip net.IP) bool {
		a, ok := netip.AddrFromSlice(ip)
		return ok && reaches(a.Unmap())
	})
	return pion.NewAPI(pion.WithSettingEngine(e), pion.WithMediaEngine(media), pion.WithInterceptorRegistry(chain))
}

// certificate is the one that all peer connections show: making one costs more than a call's set-up otherwise does.
func (p *Port) certificate() (*pion.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cert != nil && time.Until(p.cert.Expires()) > 48*time.Hour {
		return p.cert, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p.cert, err = pion.GenerateCertificate(key)
	return p.cert, err
}
