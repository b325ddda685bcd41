package mix

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// beats notes when it is ticked, and may take its time.
type beats struct {
	at   []time.Duration
	from time.Time
	slow func(n int) time.Duration
}

func (b *beats) Tick() {
	b.at = append(b.at, time.Since(b.from))
	if b.slow != nil {
		time.Sleep(b.slow(len(b.at)))
	}
}

// tickFor runs a clock in simulated time.
func tickFor(t *testing.T, d time.Duration, workers int, tickers ...*beats) *Clock {
	t.Helper()
	c := NewClock(workers)
	c.sleep = func(until time.Time) { time.Sleep(time.Until(until)) }
	for _, b := range tickers {
		b.from = time.Now()
		c.Add(b)
	}
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	if err := c.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	return c
}

func TestClockKeepsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &beats{slow: func(int) time.Duration { return 7 * time.Millisecond }}
		c := tickFor(t, 10*time.Second+time.Millisecond, 2, b)
		if len(b.at) != 500 {
			t.Fatalf("%d ticks in 10 s", len(b.at))
		}
		for i, at := range b.at {
			if at != time.Duration(i+1)*Period {
				t.Fatalf("tick %d at %v", i, at)
			}
		}
		if l := c.Load(); l.Ticks != 500 || l.Skipped != 0 || l.Lateness99 != 0 || l.Work50 != 7*time.Millisecond {
			t.Errorf("%+v", l)
		}
	})
}

func TestClockCatchesUpWithoutBurst(t *testing.T) {
	for _, x := range []struct {
		stall   time.Duration
		ticks   int
		skipped uint64
	}{{55 * time.Millisecond, 100, 0}, {time.Second, 51, 49}} {
		synctest.Test(t, func(t *testing.T) {
			b := &beats{slow: func(n int) time.Duration {
				if n == 20 {
					return x.stall
				}
				return 0
			}}
			c := tickFor(t, 2*time.Second+time.Millisecond, 1, b)
			for i := 1; i < len(b.at); i++ {
				if d := b.at[i] - b.at[i-1]; d < spacing {
					t.Errorf("ticks %d and %d are %v apart", i-1, i, d)
				}
			}
			if end := b.at[len(b.at)-1]; end != 2*time.Second {
				t.Errorf("the last tick is at %v: time was lost", end)
			}
			if l := c.Load(); len(b.at) != x.ticks || l.Skipped != x.skipped {
				t.Errorf("stall of %v: %d ticks, %d skipped", x.stall, len(b.at), l.Skipped)
			}
		})
	}
}

func TestClockUsesItsWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []*beats
		for range 8 {
			all = append(all, &beats{slow: func(int) time.Duration { return 4 * time.Millisecond }})
		}
		c := tickFor(t, time.Second+time.Millisecond, 4, all...)
		// 32 ms of work by four at a time.
		if l := c.Load(); l.Work99 != 8*time.Millisecond || l.Lateness99 != 0 {
			t.Errorf("%+v", l)
		}
		for i, b := range all {
			if len(b.at) != 50 {
				t.Errorf("ticker %d: %d ticks", i, len(b.at))
			}
		}
	})
}

func TestClockInRealTime(t *testing.T) {
	c := NewClock(2)
	m := New(Options{})
	c.Add(m)
	seen := make(chan time.Duration, 100)
	c.Observe(func(late time.Duration) {
		select {
		case seen <- late:
		default:
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	o, e := listen(t, m, codec(t, "PCMA"), nil)
	for range 5 {
		if late := <-seen; late < 0 {
			t.Errorf("a tick came %v early", -late)
		}
	}
	var during atomic.Bool
	c.Hold(func() { during.Store(true) })
	if !during.Load() {
		t.Error("Hold did nothing")
	}
	o.Detach()
	c.Remove(m)
	c.Remove(m)
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if e.frames == 0 || c.Load().Ticks < 5 {
		t.Error("nothing was ticked")
	}
}

// TestMovingBetweenTicks moves outputs about while the clock runs: each gets one frame in each tick.
func TestMovingBetweenTicks(t *testing.T) {
	c := NewClock(1)
	rooms := []*Mixer{New(Options{}), New(Options{}), New(Options{})}
	for _, m := range rooms {
		c.Add(m)
	}
	ear := &ear{t: t}
	o, err := NewOutput(codec(t, "PCMA"), ear)
	if err != nil {
		t.Fatal(err)
	}
	o.Attach(rooms[0], nil)
	defer o.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300 {
			o.Attach(rooms[i%3], nil)
		}
	}()
	n := 0
	for running := true; running; n++ {
		select {
		case <-done:
			running = false
		default:
		}
		c.tick()
	}
	if ear.frames != n {
		t.Errorf("%d frames in %d ticks", ear.frames, n)
	}
}
