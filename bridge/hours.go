package bridge

import (
	"time"

	"passerelle/bridge/ivr"
	"passerelle/bridge/policy"
)

// hours are what ends a stay by itself: the longest duration that the rule grants, and too long a time alone. One timer is set to whatever comes first.
type hours struct {
	timer  *time.Timer
	ends   time.Time // zero: never
	warned bool      // that the end is near
	idle   time.Duration
	empty  time.Time // since when nobody else is there; zero: somebody is
}

// soon is how long before its end a caller is told.
const soon = time.Minute

func newHours(began time.Time, g policy.Grant) hours {
	h := hours{timer: time.NewTimer(time.Hour)}
	h.set(began, g)
	return h
}

func (h *hours) stop() { h.timer.Stop() }

// set takes the grant's limits over.
func (h *hours) set(began time.Time, g policy.Grant) {
	h.ends, h.idle = time.Time{}, g.Idle
	if g.Duration > 0 {
		h.ends = began.Add(g.Duration)
		h.warned = h.warned || g.Duration <= 2*soon
	}
	h.aim()
}

// company says whether anybody else is there.
func (h *hours) company(there bool) {
	switch {
	case there:
		h.empty = time.Time{}
	case h.empty.IsZero():
		h.empty = time.Now()
	}
	h.aim()
}

// aim sets the timer.
func (h *hours) aim() {
	next := time.Now().Add(time.Hour)
	sooner := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	if !h.ends.IsZero() {
		sooner(h.ends)
		if !h.warned {
			sooner(h.ends.Add(-soon))
		}
	}
	if h.idle > 0 && !h.empty.IsZero() {
		sooner(h.empty.Add(h.idle))
	}
	h.timer.Reset(time.Until(next))
}

// pass does what is due. It answers why the stay ends, if it does.
func (h *hours) pass(s *stay) error {
	defer h.aim()
	now := time.Now()
	if !h.ends.IsZero() {
		if !now.Before(h.ends) {
			return ErrMaxDuration
		}
		if !h.warned && !now.Before(h.ends.Add(-soon)) {
			h.warned = true
			s.say(ivr.MaxDurationSoon)
		}
	}
	if h.idle > 0 && !h.empty.IsZero() && !now.Before(h.empty.Add(h.idle)) {
		return ErrIdle
	}
	return nil
}
