package sip

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	maxSources   = 4096      // that are counted one by one
	knownFor     = time.Hour // after a proof (digest, certificate) an address is not limited
	overallTimes = 50        // all unknown sources together get this many times the rate of one
)

// gate decides from the source address alone whether a message is read. Addresses of trunks, and those that proved to be one, always are; each
// other source (an IPv4 address, an IPv6 /64) has a bucket of tokens, and all of them together have one. Memory is bounded.
type gate struct {
	trunks []netip.Prefix
	each   rate.Limit

	mu      sync.Mutex
	all     *rate.Limiter
	sources map[netip.Prefix]*rate.Limiter
	proven  map[netip.Addr]time.Time
}

func newGate(each float64, trunks []netip.Prefix) *gate {
	g := &gate{trunks: trunks, each: rate.Limit(each), sources: map[netip.Prefix]*rate.Limiter{}, proven: map[netip.Addr]time.Time{}}
	g.all = rate.NewLimiter(g.each*overallTimes, burst(each*overallTimes))
	return g
}

func burst(each float64) int { return max(1, int(2*each)) }

// known tells whether an address is a trunk's, or proved to be one lately.
func (g *gate) known(a netip.Addr) bool {
	return contains(a, g.trunks) || g.proved(a)
}

// proved tells whether an address proved to be a trunk's lately, by a password or a certificate.
func (g *gate) proved(a netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	until, ok := g.proven[a]
	return ok && time.Now().Before(until)
}

// prove remembers an address as a trunk's.
func (g *gate) prove(a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.proven[a]; !ok && len(g.proven) >= maxSources {
		for old := range g.proven { // in no order: any one goes
			delete(g.proven, old)
			break
		}
	}
	g.proven[a] = time.Now().Add(knownFor)
}

// source is whom an address is counted for: the network of a trunk that it is in, else itself, or its /64 (IPv6).
func (g *gate) source(a netip.Addr) netip.Prefix {
	a = a.WithZone("")
	for _, t := range g.trunks {
		if t.Contains(a) {
			return t
		}
	}
	bits := 32
	if a.Is6() {
		bits = 64
	}
	source, _ := a.Prefix(bits) // the zero value for no address at all
	return source
}

// admit takes one token of the source.
func (g *gate) admit(a netip.Addr) bool {
	if g.known(a) {
		return true
	}
	source := g.source(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.sources[source]
	if l == nil {
		if len(g.sources) >= maxSources {
			for old := range g.sources {
				delete(g.sources, old)
				break
			}
		}
		l = rate.NewLimiter(g.each, burst(float64(g.each)))
		g.sources[source] = l
	}
	return l.Allow() && g.all.Allow()
}
