package admin

import (
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// Bounds of what is remembered of those who ask.
const (
	maxAskers = 8192
	burst     = 5 // seconds' worth of requests that may come at once
)

// limits bounds how often each token, and each address without one, may ask. A failed login counts as a second's worth of requests. When too
// many are remembered, those who have not asked for the longest time are forgotten.
type limits struct {
	perSecond int
	login     int // as how many requests a failed login counts
	now       func() time.Time

	mu     sync.Mutex
	askers *lru.LRU[string, *asker]
}

// asker is one token or address.
type asker struct {
	limiter *rate.Limiter
	told    bool // that it asks too often
}

func newLimits(perSecond int) *limits {
	askers, _ := lru.NewLRU[string, *asker](maxAskers, nil) // the size is not 0
	return &limits{perSecond: perSecond, login: perSecond, now: time.Now, askers: askers}
}

// take counts n requests of who. Where there are too many, wait says when to ask again, and first that nobody was told so yet.
func (l *limits) take(who string, n int) (wait time.Duration, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.askers.Get(who)
	if !ok {
		a = &asker{limiter: rate.NewLimiter(rate.Limit(l.perSecond), burst*l.perSecond)}
		l.askers.Add(who, a)
	}
	now := l.now()
	if a.limiter.AllowN(now, n) {
		a.told = false
		return 0, false
	}
	first, a.told = !a.told, true
	missing := float64(n) - a.limiter.TokensAt(now)
	return time.Duration(missing / float64(l.perSecond) * float64(time.Second)), first
}

// addressKey is by what an address is remembered: an IPv6 host has a /64 to itself.
func addressKey(a netip.Addr) string {
	if a = a.Unmap().WithZone(""); a.Is6() {
		p, _ := a.Prefix(64) // it is not longer than the address
		return p.String()
	}
	return a.String()
}
