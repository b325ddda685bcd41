package media

import "time"

// bucket bounds how often something happens: rate times a second, with bursts of as many as fit into it. The zero value is full.
type bucket struct {
	tokens float64
	last   time.Time
}

// take tells whether it may happen once more.
func (b *bucket) take(now time.Time, rate, burst float64) bool {
	if b.last.IsZero() {
		b.tokens = burst
	} else {
		b.tokens = min(burst, b.tokens+now.Sub(b.last).Seconds()*rate)
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
