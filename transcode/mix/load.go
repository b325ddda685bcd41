package mix

import (
	"slices"
	"sync"
	"time"
)

// remembered is how many ticks a load is measured over: 20 s.
const remembered = 1000

// Load is how well a clock keeps its time. Lateness and work are of the last 20 s.
type Load struct {
	Ticks, Skipped uint64        // since the clock was made
	Lateness50     time.Duration // how late ticks began
	Lateness99     time.Duration
	Work50         time.Duration // how long the work of a tick took; at 20 ms there is no time left
	Work99         time.Duration
}

// load collects it.
type load struct {
	mu             sync.Mutex
	late, work     [remembered]time.Duration
	ticks, skipped uint64
	observe        func(late time.Duration)
}

// Observe lets f hear of every tick how late it began, for a histogram. f must be quick. It is to be called before Run.
func (c *Clock) Observe(f func(late time.Duration)) {
	c.load.mu.Lock()
	defer c.load.mu.Unlock()
	c.load.observe = f
}

func (l *load) note(late, work time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.ticks % remembered
	l.late[i], l.work[i] = late, work
	l.ticks++
	if l.observe != nil {
		l.observe(late)
	}
}

func (l *load) skip(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.skipped += uint64(n)
}

// Load is how the clock is doing.
func (c *Clock) Load() Load {
	l := &c.load
	l.mu.Lock()
	n := int(min(l.ticks, remembered))
	late, work := slices.Clone(l.late[:n]), slices.Clone(l.work[:n])
	r := Load{Ticks: l.ticks, Skipped: l.skipped}
	l.mu.Unlock()
	if n == 0 {
		return r
	}
	slices.Sort(late)
	slices.Sort(work)
	r.Lateness50, r.Lateness99 = late[n/2], late[n*99/100]
	r.Work50, r.Work99 = work[n/2], work[n*99/100]
	return r
}
