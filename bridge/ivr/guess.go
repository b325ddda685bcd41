package ivr

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"passerelle/configs"
)

const (
	maxSources = 4096            // that are remembered; of more, those that were quiet for longest are forgotten
	maxDelay   = 5 * time.Second // of an answer, when a limit is near
)

// Guesses bounds how fast PINs can be guessed. A PIN counts as wrong from the moment it is tried until it turns out to be right, so that many calls
// at once get no more tries than one. Its methods may be called from any goroutine.
type Guesses struct {
	limits configs.Guess

	mu      sync.Mutex
	overall tries
	sources map[Source]*tries
}

// Source is where guesses come from: the caller's number where somebody vouches for it, because many callers share the address of a carrier; else
// an address.
type Source struct {
	Address netip.Addr
	Number  string // proven, or empty
}

// key is what the tries of a source are kept under. An IPv6 source is its network, /64: whoever has one address there has all.
func (s Source) key() Source {
	s.Address = s.Address.Unmap().WithZone("")
	if s.Address.Is6() {
		s.Address = netip.PrefixFrom(s.Address, 64).Masked().Addr()
	}
	return s
}

// NewGuesses makes a limiter. A limit of 0 is none.
func NewGuesses(limits configs.Guess) *Guesses {
	return &Guesses{limits: limits, sources: make(map[Source]*tries)}
}

// Try tells whether a PIN from this source may be looked up, and counts it as wrong if so.
func (g *Guesses) Try(source Source) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	from := g.from(source, now)
	g.overall.forget(now.Add(-g.limits.Window))
	if from.full(g.limits.PerSource) || g.overall.full(g.limits.Overall) {
		return false
	}
	from.add(now, g.limits.PerSource)
	g.overall.add(now, g.limits.Overall)
	return true
}

// Right takes the last try of this source back: its PIN was right, or nobody could tell.
func (g *Guesses) Right(source Source) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.from(source, time.Now()).takeBack()
	g.overall.takeBack()
}

// Delay is how long the answer to this source's next try should wait. It grows with the square of the used part of the limits, up to 5 s: one wrong
// PIN costs nobody more than an instant, the last ones before a limit cost seconds.
func (g *Guesses) Delay(source Source) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	from := g.from(source, now)
	g.overall.forget(now.Add(-g.limits.Window))
	used := max(from.used(g.limits.PerSource), g.overall.used(g.limits.Overall))
	return time.Duration(used * used * float64(maxDelay))
}

// from finds the tries of a source.
func (g *Guesses) from(source Source, now time.Time) *tries {
	key := source.key()
	t := g.sources[key]
	if t == nil {
		if len(g.sources) >= maxSources {
			g.evict()
		}
		t = &tries{}
		g.sources[key] = t
	}
	t.forget(now.Add(-g.limits.Window))
	return t
}

// evict forgets the source that has been quiet for longest.
func (g *Guesses) evict() {
	var oldest Source
	var at time.Time
	for key, t := range g.sources {
		if last := t.last(); !oldest.Address.IsValid() || last.Before(at) {
			oldest, at = key, last
		}
	}
	delete(g.sources, oldest)
}

// tries are the times of wrong PINs, the oldest first.
type tries []time.Time

func (t *tries) forget(before time.Time) {
	*t = slices.DeleteFunc(*t, func(at time.Time) bool { return !at.After(before) })
}

// add keeps no more than the limit needs.
func (t *tries) add(at time.Time, limit int) {
	if limit > 0 {
		*t = append(*t, at)
	}
}

func (t *tries) takeBack() { *t = (*t)[:max(0, len(*t)-1)] }

func (t *tries) full(limit int) bool { return limit > 0 && len(*t) >= limit }

func (t *tries) used(limit int) float64 {
	if limit <= 0 {
		return 0
	}
	return min(1, float64(len(*t))/float64(limit))
}

func (t *tries) last() time.Time {
	if len(*t) == 0 {
		return time.Time{}
	}
	return (*t)[len(*t)-1]
}
