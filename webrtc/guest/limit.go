package guest

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"passerelle/bridge"
)

// maxAddresses is how many addresses' rates are remembered. Who falls out begins anew, with a full burst.
const maxAddresses = 10_000

// gate counts what comes from each address. Its methods may be called from any goroutine.
type gate struct {
	limit rate.Limit
	burst int

	mu    sync.Mutex
	rates *lru.Cache[netip.Addr, *rate.Limiter]
	legs  map[netip.Addr]int
	all   int
}

func newGate(each int) *gate {
	rates, _ := lru.New[netip.Addr, *rate.Limiter](maxAddresses) // the error is of a size that is not positive
	return &gate{limit: rate.Limit(each), burst: 10 * each, rates: rates, legs: map[netip.Addr]int{}}
}

// request says whether one more request of an address is answered.
func (g *gate) request(from netip.Addr) bool {
	from = network(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	l, ok := g.rates.Get(from)
	if !ok {
		l = rate.NewLimiter(g.limit, g.burst)
		g.rates.Add(from, l)
	}
	return l.Allow()
}

// network is what counts as one address: of IPv6, what one subscriber has.
func network(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is6() {
		p, _ := a.WithZone("").Prefix(64)
		return p.Addr()
	}
	return a
}

// admit counts a guest in, or says why not.
func (s *Server) admit(from netip.Addr) error {
	g := s.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	from = network(from)
	switch {
	case g.all >= s.cfg.Max:
		return fmt.Errorf("%w: %d guests (guests.max)", bridge.ErrBusy, g.all)
	case s.cfg.MaxPerAddress > 0 && g.legs[from] >= s.cfg.MaxPerAddress:
		return fmt.Errorf("%w: %d guests (guests.max_per_address)", errTooMany, g.legs[from])
	}
	g.all++
	g.legs[from]++
	s.metrics.legs.Inc()
	return nil
}

// leave counts a guest out.
func (s *Server) leave(from netip.Addr) {
	g := s.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	from = network(from)
	g.all--
	if g.legs[from]--; g.legs[from] == 0 {
		delete(g.legs, from)
	}
	s.metrics.legs.Dec()
}

// address is where a request comes from: the other end of the connection or, where that is a proxy of ours, whom the proxy says.
func (s *Server) address(r *http.Request) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	a := from.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && s.trusted(a); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		a = hop.Unmap()
	}
	return a
}

// secure tells whether a request came over TLS, to us or to a proxy of ours.
func (s *Server) secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && s.trusted(from.Addr().Unmap()) && r.Header.Get("X-Forwarded-Proto") == "https"
}

func (s *Server) trusted(a netip.Addr) bool {
	for _, p := range s.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// door is a listener that closes connections of addresses which have as many as they may. Proxies have no limit.
type door struct {
	net.Listener
	server *Server
	most   int

	mu   sync.Mutex
	open map[netip.Addr]int
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		a := network(c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr())
		d.mu.Lock()
		full := d.open[a] >= d.most && !d.server.trusted(a)
		if !full {
			d.open[a]++
		}
		d.mu.Unlock()
		if !full {
			return &guestConn{Conn: c, door: d, from: a}, nil
		}
		d.server.metrics.cut.WithLabelValues("too_many_connections").Inc()
		d.server.log.Debug("guest: connection refused", "cause", "too_many_connections", "from", a)
		_ = c.Close()
	}
}

// guestConn is a connection that is counted.
type guestConn struct {
	net.Conn
	door *door
	from netip.Addr
	once sync.Once
}

// Close implements net.Conn.
func (c *guestConn) Close() error {
	c.once.Do(func() {
		c.door.mu.Lock()
		defer c.door.mu.Unlock()
		if c.door.open[c.from]--; c.door.open[c.from] == 0 {
			delete(c.door.open, c.from)
		}
	})
	return c.Conn.Close()
}
