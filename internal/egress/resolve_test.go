package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is a name server on loopback, and what it answers.
type zone struct {
	mu      sync.Mutex
	records map[string][]netip.Addr // by name with its last dot
}

func (z *zone) set(name string, addrs ...netip.Addr) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records[name] = addrs
}

// serve starts the name server, and has the guard ask it instead of the system's.
func serve(t *testing.T, g *Guard) *zone {
	t.Helper()
	z := &zone{records: map[string][]netip.Addr{}}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(z.answer(buf[:n]), from)
		}
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	g.resolver.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return g.dialNameServer(ctx, "udp", c.LocalAddr().String())
	}
	return z
}

func (z *zone) answer(query []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	z.mu.Lock()
	defer z.mu.Unlock()
	name := strings.ToLower(q.Name.String())
	m.Response, m.Additionals = true, nil
	for _, a := range z.records[name] {
		h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 0}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	if z.records[name] == nil {
		m.RCode = dnsmessage.RCodeNameError
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// TestPinned: during a call a name keeps the addresses that it had first, and only those that are permitted are used; the node asks each time.
func TestPinned(t *testing.T) {
	g := New()
	z := serve(t, g)
	z.set("pbx.example.", addr("192.0.2.1"), addr("10.0.0.1"))
	p := g.Pass("a")
	lookup := func(p *Pass, want string) {
		t.Helper()
		if a, err := p.Lookup(t.Context(), "PBX.example", SIP); err != nil || a != addr(want) {
			t.Errorf("%v %v, want %s", a, err, want)
		}
	}
	lookup(p, "10.0.0.1")
	if g.Denied() != 0 {
		t.Error("an address that nobody had to use is a refusal")
	}
	z.set("pbx.example.", addr("10.0.0.2"))
	lookup(p, "10.0.0.1")
	lookup(g.Pass("b"), "10.0.0.2")
	lookup(g.node, "10.0.0.2")
	z.set("pbx.example.", addr("10.0.0.3"))
	lookup(g.node, "10.0.0.3")
	z.set("pbx.example.", addr("192.0.2.1"), addr("2001:db8::1"))
	if a, err := g.Pass("c").Lookup(t.Context(), "pbx.example", SIP); !errors.Is(err, ErrDenied) || g.DeniedFor(SIP) != 1 {
		t.Errorf("%v %v, %d refusals", a, err, g.DeniedFor(SIP))
	}
	if a, err := p.Lookup(t.Context(), "nobody.example", SIP); err == nil {
		t.Errorf("nobody is at %v", a)
	}
}

// TestGrantedName: a name that was granted permits the addresses which it had then, for that call, and no others.
func TestGrantedName(t *testing.T) {
	g := New()
	z := serve(t, g)
	z.set("partner.example.", addr("198.51.100.7"), addr("2001:db8::7"), addr("0.0.0.0"), addr("224.0.0.1"))
	p := g.Pass("a")
	if err := p.GrantName(t.Context(), "partner.example"); err != nil {
		t.Fatal(err)
	}
	z.set("partner.example.", addr("203.0.113.1"))
	for s, want := range map[string]bool{
		"198.51.100.7": true, "2001:db8::7": true, "198.51.100.8": false, "203.0.113.1": false, "0.0.0.0": false, "224.0.0.1": false,
	} {
		if p.Includes(addr(s)) != want {
			t.Errorf("%s: permitted %v, want %v", s, !want, want)
		}
	}
	if a, err := p.Lookup(t.Context(), "partner.example.", SIP); err != nil || a != addr("198.51.100.7") && a != addr("2001:db8::7") {
		t.Errorf("%v %v", a, err)
	}
	if g.Pass("b").Includes(addr("198.51.100.7")) {
		t.Error("another call may go there, too")
	}
	if err := p.GrantName(t.Context(), "nobody.example"); err == nil {
		t.Error("granted nobody")
	}
	p.Close()
	if p.Includes(addr("198.51.100.7")) {
		t.Error("permitted after the call")
	}
}

// TestManyNames: a call that names ever new hosts is stopped, and so is a name with ever more addresses.
func TestManyNames(t *testing.T) {
	g := New()
	z := serve(t, g)
	p := g.Pass("a")
	name := func(i int) string { return "host" + strings.Repeat("x", i) + ".example" }
	for i := range maxNames + 1 {
		z.set(name(i)+".", addr("10.0.0.1"))
		if _, err := p.Lookup(t.Context(), name(i), SIP); (err == nil) != (i < maxNames) {
			t.Errorf("name %d: %v", i, err)
		}
	}
	if _, err := p.Lookup(t.Context(), name(0), SIP); err != nil {
		t.Errorf("a name that is known: %v", err)
	}
	var many []netip.Addr
	for a := addr("10.0.0.1"); len(many) < 2*maxAddresses; a = a.Next() {
		many = append(many, a)
	}
	z.set("many.example.", many...)
	if got, err := g.node.resolve(t.Context(), "many.example"); err != nil || len(got) != maxAddresses {
		t.Errorf("%d addresses, %v", len(got), err)
	}
}

// TestNameServer: a name server is a destination like any other.
func TestNameServer(t *testing.T) {
	g := Only(network("127.0.0.1/32"))
	got := listen(g)
	for _, s := range []string{"192.0.2.53:53", "127.0.0.2:53", "[fe80::1%lo]:53"} {
		if c, err := g.dialNameServer(t.Context(), "udp", s); !errors.Is(err, ErrDenied) {
			t.Errorf("%s: %v %v", s, c, err)
		}
	}
	if g.DeniedFor(DNS) != 3 || len(*got) != 3 || (*got)[0].Use != DNS {
		t.Errorf("%d refusals, told %v", g.DeniedFor(DNS), *got)
	}
	c, err := g.dialNameServer(t.Context(), "udp", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := g.dialNameServer(t.Context(), "udp", "dns.example:53"); err == nil {
		t.Error("a name server by name")
	}
}
