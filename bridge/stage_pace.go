package bridge

import (
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// pace lets so many pictures a second of one layer through. A picture that is one too many is dropped, and all that follow with it, up to a keyframe that is
// not: they build on it, and nothing is decoded here. It is for one goroutine; the zero value has no bound.
type pace struct {
	most    int // pictures a second; 0: no bound
	limit   *rate.Limiter
	begun   int       // pictures, up to two
	stamps  [2]uint32 // of the newest picture, and of the one before
	dropped bool      // it, and those after it
}

// What is let through beyond the bound: cameras are not exact, and their pictures wait in queues and come together.
const (
	paceSlack = 1.1 // of the bound
	paceExtra = 1   // picture a second
	paceBurst = 5   // pictures at once, at least; else a second's worth
)

// admit tells whether a packet may pass, and whether something before it did not.
func (c *pace) admit(p *packet, most int) (ok, gap bool) {
	if most != c.most {
		*c = pace{most: most, dropped: c.dropped}
		if most > 0 {
			c.limit = rate.NewLimiter(rate.Limit(paceSlack*float64(most)+paceExtra), max(most, paceBurst))
		}
	}
	if c.limit == nil && !c.dropped {
		return true, false
	}
	if slices.Contains(c.stamps[:c.begun], p.timestamp) { // more of it
		return !c.dropped, false
	}
	c.begun, c.stamps = min(c.begun+1, len(c.stamps)), [2]uint32{p.timestamp, c.stamps[0]}
	switch was := c.dropped; {
	case was && !p.marks.key:
	case c.allow(p.arrival):
		c.dropped = false
		return true, was
	default:
		c.dropped = true
	}
	return false, false
}

func (c *pace) allow(at time.Time) bool { return c.limit == nil || c.limit.AllowN(at, 1) }
