package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of one pass.
const (
	maxNames     = 16 // that are resolved for one call
	maxAddresses = 8  // of one name
)

var errNames = errors.New("too many names for one call")

// Pass says what one call may reach besides the national networks: those of its trunk, and those that a rule granted. Its methods may be called from
// any goroutine.
type Pass struct {
	guard   *Guard
	call    string
	granted atomic.Pointer[[]netip.Prefix]
	outside atomic.Bool

	mu     sync.Mutex
	closed bool
	names  map[string][]netip.Addr // as they were resolved first
	seen   map[target]*tally
	others uint64 // refusals of targets that found no place in seen and have not been reported
}

// Pass makes the pass of a call, or, without a call's id, of a part of the node, for networks besides the national ones. Close ends it.
func (g *Guard) Pass(call string, networks ...netip.Prefix) *Pass {
	p := &Pass{guard: g, call: call, names: map[string][]netip.Addr{}, seen: map[target]*tally{}}
	p.Grant(networks...)
	return p
}

// Grant permits further networks.
func (p *Pass) Grant(networks ...netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	now := slices.Clone(networks)
	if was := p.granted.Load(); was != nil {
		now = slices.Concat(*was, networks)
	}
	p.granted.Store(&now)
}

// GrantName permits the addresses that a name has now, and holds on to them for as long as the pass lives: who serves the name cannot lead the call
// elsewhere later.
func (p *Pass) GrantName(ctx context.Context, name string) error {
	addrs, err := p.resolve(ctx, name)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if !a.IsUnspecified() && !a.IsMulticast() {
			p.Grant(netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return nil
}

// Outside takes the machine itself out of what is permitted: for a far end on another one, which has no business with what listens here on loopback.
func (p *Pass) Outside() { p.outside.Store(true) }

// Includes tells whether packets may be sent to an address. It neither allocates nor locks, and counts nothing.
func (p *Pass) Includes(a netip.Addr) bool {
	a = plain(a)
	if a.IsLoopback() && p.outside.Load() {
		return false
	}
	if contains(p.guard.national, a) {
		return true
	}
	granted := p.granted.Load()
	return granted != nil && contains(*granted, a)
}

// Permits is Includes, and counts and reports a refusal as one of a use.
func (p *Pass) Permits(a netip.Addr, u Use) bool {
	if p.Includes(a) {
		return true
	}
	p.deny(plain(a), u)
	return false
}

// Check is Permits as an error, which wraps ErrDenied.
func (p *Pass) Check(a netip.Addr, u Use) error {
	if p.Permits(a, u) {
		return nil
	}
	return fmt.Errorf("%s: %w: its trunk, a rule or egress.networks must name it, if it may be reached", plain(a), ErrDenied)
}

// Lookup resolves a host to the first of its addresses that is permitted. During a call a name keeps the addresses that it had first.
func (p *Pass) Lookup(ctx context.Context, host string, u Use) (netip.Addr, error) {
	addrs, err := p.permitted(ctx, host, u)
	if err != nil {
		return netip.Addr{}, err
	}
	return addrs[0], nil
}

// DialContext connects to host:port over tcp or udp. The host is resolved here and only permitted addresses are tried.
func (p *Pass) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := p.permitted(ctx, host, Dial)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		var c net.Conn
		if c, err = new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// permitted resolves a host to those of its addresses that are permitted: at least one, or an error.
func (p *Pass) permitted(ctx context.Context, host string, u Use) ([]netip.Addr, error) {
	all, err := p.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, a := range all {
		if p.Includes(a) {
			addrs = append(addrs, a)
		}
	}
	if addrs == nil {
		return nil, p.Check(all[0], u)
	}
	return addrs, nil
}

// resolve answers the addresses of a host: at least one, or an error. A pass of a call asks once for each name.
func (p *Pass) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	p.mu.Lock()
	addrs, full := p.names[name], len(p.names) >= maxNames
	p.mu.Unlock()
	switch {
	case addrs != nil:
		return addrs, nil
	case full:
		return nil, fmt.Errorf("%s: %w", host, errNames)
	}
	addrs, err := p.guard.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	if addrs = addrs[:min(len(addrs), maxAddresses)]; len(addrs) == 0 {
		return nil, fmt.Errorf("%s has no address", host)
	}
	if p.call == "" { // the node's own servers may move
		return addrs, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.names[name]; first != nil {
		return first, nil // another goroutine was faster
	}
	p.names[name] = addrs
	return addrs, nil
}

// Close takes back what was granted, and reports the refusals that were not reported yet.
func (p *Pass) Close() {
	p.mu.Lock()
	p.closed = true
	p.granted.Store(nil)
	p.mu.Unlock()
	p.flush(time.Now())
}

// plain is an address as networks contain it: without a zone, and not mapped into IPv6.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
