package ivr

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"passerelle/configs"
)

func addr(s string) Source { return Source{Address: netip.MustParseAddr(s)} }

func TestGuessesPerSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuesses(configs.Guess{PerSource: 3, Overall: 100, Window: time.Minute})
		one, other := addr("192.0.2.1"), addr("192.0.2.2")
		for i := range 3 {
			if !g.Try(one) {
				t.Fatalf("try %d is refused", i+1)
			}
			time.Sleep(10 * time.Second)
		}
		if g.Try(one) || g.Try(addr("::ffff:192.0.2.1")) {
			t.Error("a fourth try is taken")
		}
		if !g.Try(other) {
			t.Error("another source is refused")
		}
		time.Sleep(30*time.Second - 1) // a minute after the first try, less a nanosecond
		if g.Try(one) {
			t.Error("a try is taken before the window has passed")
		}
		time.Sleep(time.Nanosecond)
		if !g.Try(one) || g.Try(one) {
			t.Error("want one more try, and no more, when the first has left the window")
		}
	})
}

func TestGuessesOverall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuesses(configs.Guess{PerSource: 3, Overall: 5, Window: time.Minute})
		for i := range 5 {
			if !g.Try(Source{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}) {
				t.Fatalf("try %d is refused", i+1)
			}
		}
		if g.Try(addr("198.51.100.1")) {
			t.Error("a sixth try is taken")
		}
		time.Sleep(time.Minute)
		if !g.Try(addr("198.51.100.1")) {
			t.Error("refused after the window")
		}
	})
}

func TestGuessesRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuesses(configs.Guess{PerSource: 2, Overall: 2, Window: time.Minute})
		one := addr("2001:db8::1")
		for range 100 {
			if !g.Try(one) {
				t.Fatal("right PINs count")
			}
			g.Right(one)
		}
		for i, want := range []bool{true, true, false} {
			if g.Try(one) != want {
				t.Errorf("try %d: want two wrong PINs, and no more", i+1)
			}
		}
		g.Right(addr("2001:db8:ffff::1")) // which has not tried: the overall count must not go below what there was
		g.Right(addr("2001:db8:ffff::1"))
		g.Right(addr("2001:db8:ffff::1"))
	})
}

func TestGuessesIPv6(t *testing.T) {
	g := NewGuesses(configs.Guess{PerSource: 1, Window: time.Minute})
	if !g.Try(addr("2001:db8:0:1::1")) || g.Try(addr("2001:db8:0:1:ffff::2")) {
		t.Error("addresses of one /64 are not one source")
	}
	if !g.Try(addr("2001:db8:0:2::1")) {
		t.Error("the next /64 is refused")
	}
	if !g.Try(addr("fe80::1%eth0")) || g.Try(addr("fe80::2%eth1")) {
		t.Error("zones make sources")
	}
	carrier := addr("203.0.113.1")
	alice, bob := carrier, carrier
	alice.Number, bob.Number = "+33123456701", "+33123456702"
	if !g.Try(alice) || g.Try(alice) || !g.Try(bob) || !g.Try(carrier) {
		t.Error("callers of one carrier, whose numbers are proven, are not sources of their own")
	}
	if !g.Try(Source{}) || g.Try(Source{}) {
		t.Error("want that a source without address is one source")
	}
}

func TestGuessesDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuesses(configs.Guess{PerSource: 10, Overall: 40, Window: time.Minute})
		one := addr("192.0.2.1")
		before := time.Duration(-1)
		for range 10 {
			d := g.Delay(one)
			if d <= before && before != -1 || d > maxDelay {
				t.Errorf("%s after %s", d, before)
			}
			before = d
			g.Try(one)
		}
		if got := g.Delay(one); got != maxDelay {
			t.Errorf("%s at the limit, want %s", got, maxDelay)
		}
		if got := g.Delay(addr("192.0.2.2")); got == 0 || got > maxDelay/10 {
			t.Errorf("%s for others when a quarter of the overall limit is used, want a sixteenth of %s", got, maxDelay)
		}
		time.Sleep(time.Minute)
		if got := g.Delay(one); got != 0 {
			t.Errorf("%s after the window, want none", got)
		}
	})
}

func TestGuessesUnlimited(t *testing.T) {
	g := NewGuesses(configs.Guess{Window: time.Minute})
	for range 1000 {
		if !g.Try(addr("192.0.2.1")) || g.Delay(addr("192.0.2.1")) != 0 {
			t.Fatal("limits of 0 limit")
		}
	}
	if len(g.overall) > 0 || len(*g.from(addr("192.0.2.1"), time.Now())) > 0 {
		t.Error("tries are kept that no limit needs")
	}
}

// Many sources do not take much memory, and do not wash out those who just tried.
func TestGuessesMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuesses(configs.Guess{PerSource: 1, Window: time.Hour})
		source := func(i int) Source {
			return Source{Address: netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(i))))}
		}
		for i := range maxSources + 100 {
			time.Sleep(time.Millisecond)
			if !g.Try(source(i)) {
				t.Fatalf("source %d is refused", i)
			}
		}
		if len(g.sources) != maxSources {
			t.Errorf("%d sources are kept, want %d", len(g.sources), maxSources)
		}
		if g.Try(source(maxSources + 99)) {
			t.Error("the newest is forgotten")
		}
		if !g.Try(source(0)) {
			t.Error("the oldest is kept")
		}
	})
}

// Whoever calls many times at once gets no more tries.
func TestGuessesAtOnce(t *testing.T) {
	g := NewGuesses(configs.Guess{PerSource: 7, Overall: 100, Window: time.Minute})
	var wg sync.WaitGroup
	taken := make(chan bool, 50)
	for range cap(taken) {
		wg.Go(func() { taken <- g.Try(addr("192.0.2.1")) })
	}
	wg.Wait()
	close(taken)
	n := 0
	for ok := range taken {
		if ok {
			n++
		}
	}
	if n != 7 {
		t.Errorf("%d tries are taken, want 7", n)
	}
}
