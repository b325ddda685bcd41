// Package egress opens every socket of Passerelle and is asked before anything is sent: a destination is one of the permitted networks, or
// nothing leaves. Names are resolved here, once per connection, and the address that was checked is the address that is dialled.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
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

// Guard knows the permitted networks. Its methods may be called from any goroutine.
type Guard struct {
	networks []netip.Prefix
	denied   atomic.Uint64
}

// New makes a guard that permits the machine's own networks and the given ones.
func New(networks ...netip.Prefix) *Guard {
	return &Guard{networks: append(own(), networks...)}
}

// ParseNetwork reads a network in CIDR form, or a single address.
func ParseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an IP address nor a network such as 192.0.2.0/24", s)
	}
	return p.Masked(), nil
}

// ParseNetworks reads several networks.
func ParseNetworks(list []string) ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		p, err := ParseNetwork(s)
		if err != nil {
			return nil, err
		}
		networks = append(networks, p)
	}
	return networks, nil
}

// Permits answers nil when packets may be sent to the address.
func (g *Guard) Permits(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	for _, p := range g.networks {
		if p.Contains(a) {
			return nil
		}
	}
	g.denied.Add(1)
	return fmt.Errorf("%s: %w: add it to egress.networks or to the trunk, if it may be reached", a, ErrDenied)
}

// Denied counts the refusals so far.
func (g *Guard) Denied() uint64 { return g.denied.Load() }

// ListenUDP opens a UDP socket on host:port.
func (g *Guard) ListenUDP(ctx context.Context, address string) (*net.UDPConn, error) {
	c, err := new(net.ListenConfig).ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

// ListenTCP opens a TCP listener on host:port.
func (g *Guard) ListenTCP(ctx context.Context, address string) (*net.TCPListener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// Lookup resolves a host to the first of its addresses that is permitted.
func (g *Guard) Lookup(ctx context.Context, host string) (netip.Addr, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	err = fmt.Errorf("%s has no address", host)
	for _, a := range addrs {
		if err = g.Permits(a); err == nil {
			return a.Unmap(), nil
		}
	}
	return netip.Addr{}, err
}

// DialContext connects to host:port over tcp or udp. The host is resolved here and every address is checked before it is tried.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	err = fmt.Errorf("%s has no address", host)
	for _, a := range addrs {
		if err = g.Permits(a); err != nil {
			continue
		}
		var c net.Conn
		if c, err = new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(a.Unmap().String(), port)); err == nil {
			return c, nil
		}
	}
	return nil, err
}
