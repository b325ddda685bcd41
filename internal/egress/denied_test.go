package egress

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// listen collects what a guard reports.
func listen(g *Guard) *[]Denied {
	list := new([]Denied)
	g.OnDenied(func(d Denied) { *list = append(*list, d) })
	return list
}

// TestReports: the first refusal of a destination is told at once, the others once a minute and at the end, and none is lost.
func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New()
		got := listen(g)
		a, b := g.Pass("a"), g.Pass("b")
		refuse := func(p *Pass, s string, u Use, times int) {
			for range times {
				p.Permits(addr(s), u)
			}
		}
		refuse(a, "192.0.2.1", RTP, 10)
		refuse(a, "::ffff:192.0.2.1", SIP, 1)
		refuse(b, "192.0.2.1", RTP, 1)
		refuse(a, "2001:db8::1%eth0", ICE, 1)
		refuse(g.node, "192.0.2.1", Dial, 1)
		time.Sleep(reportEvery - time.Nanosecond)
		refuse(a, "192.0.2.1", RTP, 5)
		time.Sleep(time.Nanosecond)
		refuse(a, "192.0.2.1", RTP, 1)
		refuse(a, "192.0.2.1", RTP, 2)
		a.Close()
		b.Close()
		want := []Denied{
			{Call: "a", Address: addr("192.0.2.1"), Use: RTP, Count: 1},
			{Call: "a", Address: addr("192.0.2.1"), Use: SIP, Count: 1},
			{Call: "b", Address: addr("192.0.2.1"), Use: RTP, Count: 1},
			{Call: "a", Address: addr("2001:db8::1"), Use: ICE, Count: 1},
			{Address: addr("192.0.2.1"), Use: Dial, Count: 1},
			{Call: "a", Address: addr("192.0.2.1"), Use: RTP, Count: 9 + 5 + 1},
			{Call: "a", Address: addr("192.0.2.1"), Use: RTP, Count: 2},
		}
		if fmt.Sprint(*got) != fmt.Sprint(want) {
			t.Errorf("told\n%v, want\n%v", *got, want)
		}
		for u, n := range map[Use]uint64{RTP: 19, SIP: 1, ICE: 1, Dial: 1, DNS: 0} {
			if g.DeniedFor(u) != n {
				t.Errorf("%s: %d refusals, want %d", u, g.DeniedFor(u), n)
			}
		}
		if g.Denied() != 22 {
			t.Errorf("%d refusals, want 22", g.Denied())
		}
	})
}

// TestFlood: one call that wants everywhere is told of for a few destinations, many such calls for no more than the record can take; what has no report
// of its own is counted in another one, and room is made in time.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New()
		got := listen(g)
		everywhere := func(p *Pass, n int) {
			a := addr("192.0.2.0")
			for range n {
				p.Permits(a, RTP)
				a = a.Next()
			}
		}
		one := g.Pass("one")
		everywhere(one, 250)
		if len(*got) != maxSeen || len(one.seen) != maxSeen {
			t.Errorf("told of %d destinations of one call, keeps %d", len(*got), len(one.seen))
		}
		for i := range 100 {
			everywhere(g.Pass(fmt.Sprint(i)), 10)
		}
		if len(*got) != reportBurst {
			t.Errorf("told %d times, want %d", len(*got), reportBurst)
		}
		time.Sleep(reportEvery)
		*got = nil
		one.Permits(addr("198.51.100.1"), RTP)
		if len(*got) != 1 || (*got)[0].Others != 250-maxSeen || len(one.seen) != 1 {
			t.Errorf("told %v, keeps %d", *got, len(one.seen))
		}
		if g.Denied() != 250+1000+1 {
			t.Errorf("counted %d", g.Denied())
		}
	})
}

// TestNobodyListens: without somebody to tell, refusals are counted and nothing is kept.
func TestNobodyListens(t *testing.T) {
	g := New()
	p := g.Pass("a")
	p.Permits(netip.Addr{}, SIP)
	p.Permits(addr("192.0.2.1"), SIP)
	if len(p.seen) != 0 || g.DeniedFor(SIP) != 2 {
		t.Errorf("keeps %d, counted %d", len(p.seen), g.DeniedFor(SIP))
	}
	p.Close()
}

func TestUses(t *testing.T) {
	seen := map[string]bool{}
	for _, u := range Uses() {
		seen[u.String()] = true
	}
	if len(seen) != len(uses) || seen[""] {
		t.Errorf("uses: %v", seen)
	}
}
