package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// setups measures INVITE to 200, and calls a second, with some calls under way at any time; each call is hung up as soon as it was answered.
func (b *bench) setups(ctx context.Context) error {
	calls := 600
	if b.quick {
		calls = 200
	}
	r, err := startRig(ctx, b.gateway, "")
	if err != nil {
		return err
	}
	defer r.stop()
	c, err := newCaller(r.sip)
	if err != nil {
		return err
	}
	defer c.close()
	l, err := newLoad()
	if err != nil {
		return err
	}
	defer l.rtp.close()
	defer l.rtcp.Close()
	offer := description(l.port(), "8", "8 PCMA/8000")
	for _, at := range []int{1, workers} {
		times, took, err := b.setUp(ctx, c, offer, calls, at)
		if err != nil {
			return fmt.Errorf("%d at a time: %w", at, err)
		}
		s := setup{atOnce: at, perSecond: float64(len(times)) / took.Seconds(), times: times}
		b.report.setups = append(b.report.setups, s)
		b.say("  %d at a time: %.0f calls a second, INVITE to 200 p50 %v, p99 %v", at, s.perSecond, of(times, 0.5), of(times, 0.99))
	}
	return nil
}

// setUp makes calls, so many at a time, and hangs each up.
func (b *bench) setUp(ctx context.Context, c *caller, offer string, calls, atOnce int) (times []time.Duration, took time.Duration, err error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	var (
		mu     sync.Mutex
		next   atomic.Int32
		group  sync.WaitGroup
		failed error
	)
	start := time.Now()
	for range atOnce {
		group.Go(func() {
			for int(next.Add(1)) <= calls {
				d, _, took, err := c.dial(ctx, offer)
				if err == nil {
					err = d.hangUp(ctx)
				}
				mu.Lock()
				times = append(times, took)
				if failed == nil {
					failed = err
				}
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	group.Wait()
	slices.Sort(times)
	return times, time.Since(start), failed
}

// of is a quantile of sorted times.
func of(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Round(10 * time.Microsecond)
}
