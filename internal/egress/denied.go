package egress

import (
	"net/netip"
	"time"
)

// Use is what a destination is wanted for.
type Use uint8

// The uses of destinations.
const (
	RTP  Use = iota // media of a call
	SIP             // signalling of a call
	ICE             // a peer connection
	Dial            // a connection of the node: to the SFU, the directory, a database …
	DNS             // a name server
)

var uses = [...]string{RTP: "rtp", SIP: "sip", ICE: "ice", Dial: "dial", DNS: "dns"}

// Uses lists them all.
func Uses() []Use { return []Use{RTP, SIP, ICE, Dial, DNS} }

// String is the use in one word.
func (u Use) String() string { return uses[u] }

// Denied is a destination that was refused.
type Denied struct {
	Call    string // id; empty: not of one call
	Address netip.Addr
	Use     Use
	Count   uint64 // refusals of this destination since the last report of it, this one included
	Others  uint64 // refusals of other destinations of the same call, or part of the node, that had no report of their own since
}

// How much is reported. Everything is counted.
const (
	reportEvery = time.Minute // for one destination of one call
	reportRate  = 20          // a second, of all calls together
	reportBurst = 100
	maxSeen     = 32 // destinations of one call
)

// target is a refused destination of a call, tally what is not reported of it.
type (
	target struct {
		address netip.Addr
		use     Use
	}
	tally struct {
		count    uint64
		reported time.Time // zero: never
	}
)

// OnDenied says who is told of refusals: of each destination of a call at once when it is refused first, then at most once a minute, and at the end of the
// call. f is called from any goroutine and must not block. Nobody else is told any more.
func (g *Guard) OnDenied(f func(Denied)) { g.report.Store(&f) }

// Denied counts the refusals so far.
func (g *Guard) Denied() uint64 {
	var sum uint64
	for _, u := range Uses() {
		sum += g.DeniedFor(u)
	}
	return sum
}

// DeniedFor counts those of one use.
func (g *Guard) DeniedFor(u Use) uint64 { return g.denied[u].Load() }

// deny counts a refusal and reports it where it is time to. A destination that is refused again costs no allocation.
func (p *Pass) deny(a netip.Addr, u Use) {
	p.guard.denied[u].Add(1)
	if p.guard.report.Load() == nil {
		return
	}
	now, at := time.Now(), target{a, u}
	p.mu.Lock()
	t := p.tally(at, now)
	if t == nil {
		p.others++
		p.mu.Unlock()
		return
	}
	t.count++
	var d Denied
	told := now.Sub(t.reported) >= reportEvery && p.take(at, t, now, &d)
	p.mu.Unlock()
	if told {
		p.tell(d)
	}
}

// tally finds or makes the place for a target; nil: there is none. p.mu is held.
func (p *Pass) tally(at target, now time.Time) *tally {
	t := p.seen[at]
	if t == nil && len(p.seen) >= maxSeen {
		p.forget(now)
	}
	if t == nil && len(p.seen) < maxSeen {
		t = new(tally)
		p.seen[at] = t
	}
	return t
}

// forget makes room: targets that were reported long ago, or that there was no time to report, leave. p.mu is held.
func (p *Pass) forget(now time.Time) {
	for at, t := range p.seen {
		if now.Sub(t.reported) >= reportEvery {
			p.others += t.count
			delete(p.seen, at)
		}
	}
}

// take moves what is not reported of a target into d, unless too much is reported already. p.mu is held.
func (p *Pass) take(at target, t *tally, now time.Time, d *Denied) bool {
	if !p.guard.reports.AllowN(now, 1) {
		return false
	}
	*d = Denied{Call: p.call, Address: at.address, Use: at.use, Count: t.count, Others: p.others}
	t.count, t.reported, p.others = 0, now, 0
	return true
}

// flush reports what is left at the end of a call.
func (p *Pass) flush(now time.Time) {
	var list []Denied
	p.mu.Lock()
	for at, t := range p.seen {
		var d Denied
		if t.count > 0 && p.take(at, t, now, &d) {
			list = append(list, d)
		}
	}
	p.mu.Unlock()
	for _, d := range list {
		p.tell(d)
	}
}

// tell hands a report on.
func (p *Pass) tell(d Denied) { (*p.guard.report.Load())(d) }
