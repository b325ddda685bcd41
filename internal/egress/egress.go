// Package egress opens every socket of Passerelle and is asked before anything is sent: a destination is in one of the national networks, or in one
// that a call was granted, or nothing leaves. Names are resolved here, by name servers that are destinations like any other, and the address that was
// checked is the address that is dialled.
//
//	Guard   the national networks, and the sockets
//	Pass    what one call, or one part of the node, may reach besides them
//	Denied  a refusal, as it is told to the record
//
// Listening is not bounded: on which address a node listens is its admin's configuration, and nothing is sent by it. What answers over such a socket
// asks a Pass first.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// ErrDenied is wrapped by every refusal.
var ErrDenied = errors.New("destination is not in a permitted network")

// own are the networks of the machine itself and of its site: loopback, RFC 1918, RFC 4193 and link-local ones.
func own() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"),
	}
}

// Guard knows the national networks. Its methods may be called from any goroutine.
type Guard struct {
	national []netip.Prefix
	resolver *net.Resolver
	node     *Pass

	denied  [len(uses)]atomic.Uint64
	report  atomic.Pointer[func(Denied)]
	reports *rate.Limiter
}

// New makes a guard whose national networks are the machine's own ones and the given ones.
func New(networks ...netip.Prefix) *Guard { return Only(append(own(), networks...)...) }

// Only makes a guard whose national networks are the given ones, without the machine's own.
func Only(networks ...netip.Prefix) *Guard {
	g := &Guard{national: networks, reports: rate.NewLimiter(reportRate, reportBurst)}
	g.node = g.Pass("")
	g.resolver = &net.Resolver{PreferGo: true, Dial: g.dialNameServer} // Go's own: the C library's opens sockets that nobody checks
	return g
}

// ListenUDP opens a UDP socket on address:port, or on :port for all addresses.
func (g *Guard) ListenUDP(ctx context.Context, address string) (*net.UDPConn, error) {
	if err := literal(address); err != nil {
		return nil, err
	}
	c, err := new(net.ListenConfig).ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

// ListenTCP opens a TCP listener on address:port, or on :port for all addresses.
func (g *Guard) ListenTCP(ctx context.Context, address string) (*net.TCPListener, error) {
	if err := literal(address); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// literal refuses a host name to listen on: it would be looked up by the system, past the guard.
func literal(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return err
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return fmt.Errorf("listen on %q: expected an IP address and a port", address)
	}
	return nil
}

// DialContext connects to host:port over tcp or udp, within the national networks: it is for what the node itself needs. The host is resolved
// here and every address is checked before it is tried.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return g.node.DialContext(ctx, network, address)
}

// dialNameServer is how the resolver reaches a name server of the system's configuration.
func (g *Guard) dialNameServer(ctx context.Context, network, address string) (net.Conn, error) {
	server, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	if err := g.node.Check(server.Addr(), DNS); err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}
