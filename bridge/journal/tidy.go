package journal

import (
	"context"
	"errors"
	"time"
)

const (
	tidyEvery = time.Hour
	tidyTime  = 50 * time.Minute
	jump      = 5 * time.Minute // between the clock on the wall and the one that only counts
	trustIn   = 24              // hours without a jump until a clock that jumped is believed again
)

// tidy applies retention and shortening once an hour, and leaves nothing in the spill for longer than that.
func (w *Writer) tidy(ctx context.Context) {
	select {
	case <-w.reached:
	case <-ctx.Done():
		return
	}
	every := time.NewTicker(tidyEvery)
	defer every.Stop()
	clock := steady{trust: trustIn}
	before := w.now()
	for {
		w.spill.trim(true)
		now := w.now()
		// Sub of times with a monotonic reading compares those; without one, it compares the wall clock.
		if clock.tick(now.Round(0).Sub(before.Round(0)), now.Sub(before)) {
			w.prune(ctx, now)
		} else {
			w.log.Warn("the clock jumped: nothing is removed from the journal until it has been steady for a day")
		}
		before = now
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *Writer) prune(ctx context.Context, now time.Time) {
	limited, cancel := context.WithTimeout(ctx, tidyTime)
	defer cancel()
	did, err := w.store.Prune(limited, w.node, w.cfg, w.key, now)
	if err != nil && !errors.Is(err, context.Canceled) {
		w.log.Error("retention of the journal", "error", err)
	}
	if did != (Pruned{}) {
		w.log.Info("the journal was shortened", "records_shortened", did.Shortened, "records_removed", did.Removed)
	}
}

// steady tells whether the clock on the wall can be believed: one that jumps would make everything old at once.
type steady struct{ trust int }

// tick takes how far the two clocks went since the last time.
func (s *steady) tick(wall, counted time.Duration) bool {
	if off := wall - counted; off > jump || off < -jump {
		s.trust = 0
	} else {
		s.trust++
	}
	return s.trust >= trustIn
}
