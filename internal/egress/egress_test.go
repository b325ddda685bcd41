package egress

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func network(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestNetworks: what is national, what a pass adds for itself alone, and that no form of an address leads around it.
func TestNetworks(t *testing.T) {
	g := New(network("192.0.2.0/24"), network("2001:db8:1::/48"))
	a, b := g.Pass("a", network("198.51.100.0/24")), g.Pass("b", network("2001:db8:2::/48"))
	for s, want := range map[string]string{
		"127.0.0.1": "ab", "::1": "ab", "10.1.2.3": "ab", "172.16.0.1": "ab", "172.31.255.255": "ab", "192.168.1.1": "ab", "fd00::1": "ab",
		"169.254.1.1": "ab", "fe80::1": "ab", "fe80::1%eth0": "ab", "::ffff:10.0.0.1": "ab", "192.0.2.255": "ab", "::ffff:192.0.2.1": "ab", "2001:db8:1::1": "ab",
		"198.51.100.1": "a", "::ffff:198.51.100.1": "a", "2001:db8:2::1": "b", "2001:db8:2::1%lo": "b",
		"0.0.0.0": "", "::": "", "8.8.8.8": "", "11.0.0.1": "", "172.15.255.255": "", "172.32.0.0": "", "192.0.3.0": "", "198.51.101.0": "",
		"255.255.255.255": "", "224.0.0.1": "", "ff02::1": "", "2001:db8:3::1": "", "64:ff9b::a00:1": "", "2002:a00:1::": "", "::10.0.0.1": "",
	} {
		got := ""
		for name, p := range map[string]*Pass{"a": a, "b": b} {
			if (p.Check(addr(s), RTP) == nil) != p.Includes(addr(s)) || p.Permits(addr(s), RTP) != p.Includes(addr(s)) {
				t.Errorf("%s: Check, Permits and Includes differ", s)
			}
			if p.Includes(addr(s)) {
				got += name
			}
		}
		if sorted := []byte(got); string(sorted) != want {
			slices.Sort(sorted)
			if string(sorted) != want {
				t.Errorf("%s: permitted to %q, want %q", s, sorted, want)
			}
		}
	}
	if a.Includes(netip.Addr{}) {
		t.Error("no address at all is permitted")
	}
	if o := Only(network("127.0.0.1/32")).Pass(""); !o.Includes(addr("127.0.0.1")) || o.Includes(addr("127.0.0.2")) || o.Includes(addr("10.0.0.1")) {
		t.Error("Only permits other networks than the given ones")
	}
}

// TestOutside: a far end on another machine does not reach what listens on this one.
func TestOutside(t *testing.T) {
	p := New().Pass("a", network("0.0.0.0/0"))
	p.Outside()
	for s, want := range map[string]bool{"127.0.0.1": false, "127.255.0.1": false, "::1": false, "::ffff:127.0.0.1": false, "10.0.0.1": true, "192.0.2.1": true} {
		if p.Includes(addr(s)) != want {
			t.Errorf("%s: permitted %v, want %v", s, !want, want)
		}
	}
}

// TestClose: what was granted ends with the call.
func TestClose(t *testing.T) {
	p := New().Pass("a", network("192.0.2.0/24"))
	p.Grant(network("198.51.100.0/24"))
	for _, s := range []string{"192.0.2.1", "198.51.100.1"} {
		if !p.Includes(addr(s)) {
			t.Errorf("%s is not permitted", s)
		}
	}
	p.Close()
	p.Grant(network("192.0.2.0/24"))
	p.Close()
	for _, s := range []string{"192.0.2.1", "198.51.100.1"} {
		if p.Includes(addr(s)) {
			t.Errorf("%s is permitted after Close", s)
		}
	}
	if !p.Includes(addr("10.0.0.1")) {
		t.Error("a national network is not permitted after Close")
	}
}

// TestNothingPerPacket: asking costs no memory, whatever the answer, once a destination has been seen.
func TestNothingPerPacket(t *testing.T) {
	g := New()
	told := 0
	g.OnDenied(func(Denied) { told++ })
	p := g.Pass("a", network("192.0.2.0/24"), network("2001:db8::/32"))
	for _, s := range []string{"10.0.0.1", "::ffff:192.0.2.1", "2001:db8::1", "198.51.100.1"} {
		a := addr(s)
		if n := testing.AllocsPerRun(1000, func() { p.Permits(a, RTP) }); n != 0 {
			t.Errorf("%s: %v allocations", s, n)
		}
	}
	if told != 1 || g.Denied() != 1001 {
		t.Errorf("told %d times of %d refusals", told, g.Denied())
	}
}

func TestDial(t *testing.T) {
	g := Only(network("127.0.0.1/32"))
	l, err := g.ListenTCP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := g.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, to := range []string{"127.0.0.2:" + port, "192.0.2.1:" + port, "[::1]:" + port} {
		if c, err := g.DialContext(t.Context(), "tcp", to); !errors.Is(err, ErrDenied) {
			t.Errorf("%s: %v %v", to, c, err)
		}
	}
	if n := g.DeniedFor(Dial); n != 3 {
		t.Errorf("%d refusals, want 3", n)
	}
	if _, err := g.DialContext(t.Context(), "tcp", "127.0.0.1"); err == nil || errors.Is(err, ErrDenied) {
		t.Errorf("without a port: %v", err)
	}
	u, err := g.ListenUDP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.Close()
	for _, address := range []string{"127.0.0.1:x", "localhost:0", "127.0.0.1", "[::1%lo]:x", ""} {
		if c, err := g.ListenUDP(t.Context(), address); err == nil {
			t.Errorf("UDP listens on %q: %v", address, c.LocalAddr())
		}
		if c, err := g.ListenTCP(t.Context(), address); err == nil {
			t.Errorf("TCP listens on %q: %v", address, c.Addr())
		}
	}
}

func TestParseNetworks(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "192.0.2.7/24": "192.0.2.0/24", "2001:db8::7": "2001:db8::7/128", "2001:db8::7/32": "2001:db8::/32",
		"::ffff:192.0.2.7": "192.0.2.7/32", "0.0.0.0/0": "0.0.0.0/0", "": "", "192.0.2.0/33": "", "192.0.2": "", "host": "", "192.0.2.0/-1": "",
	} {
		p, err := ParseNetwork(in)
		if (err == nil) != (want != "") || err == nil && p.String() != want {
			t.Errorf("%q: %v %v, want %q", in, p, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "such as") {
			t.Errorf("%q: %v does not say what is expected", in, err)
		}
	}
	if list, err := ParseNetworks([]string{"10.0.0.0/8", "x"}); err == nil {
		t.Errorf("took x: %v", list)
	}
	if list, err := ParseNetworks(nil); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
}

func FuzzParseNetwork(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "::/0", "fe80::1%eth0", "1.2.3.4", "::ffff:1.2.3.4/100", "/", "::1/129"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseNetwork(s)
		if err != nil {
			return
		}
		if !p.IsValid() || p != p.Masked() {
			t.Errorf("%q: %v", s, p)
		}
		if again, err := ParseNetwork(p.String()); err != nil || again != p {
			t.Errorf("%q: %v, then %v %v", s, p, again, err)
		}
	})
}
