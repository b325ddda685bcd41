package federation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
)

// Leg is a room of another site, as a call's far end. It implements bridge.Leg, bridge.Screen by its window, and bridge.Display: nothing is said into the far
// room. Its methods may be called from any goroutine.
type Leg struct {
	*window // in front of our room's pictures
	theirs  *window

	server *Server
	site   configs.Site
	room   string // the far one
	caller bridge.Caller
	log    *slog.Logger
	pass   *egress.Pass
	voice  *voice
	alone  atomic.Bool // nobody is in our room

	news   chan struct{}     // in: the windows are to be settled
	events chan bridge.Event // out: Ended, and nothing else
	ending chan struct{}     // closed by End
	up     chan struct{}     // closed when the far room is entered
	gone   chan struct{}     // closed when nothing of the leg is left

	mu     sync.Mutex
	busy   bool // Answer was called: it, or run, lets go of everything
	ended  bool
	reason error
}

// How long a room may be empty, ours or the far one, before they are parted: two legs must not keep two rooms alive for ever.
const (
	desertedTime = 5 * time.Minute
	lookEvery    = 5 * time.Second
)

// Caller implements bridge.Leg.
func (l *Leg) Caller() bridge.Caller { return l.caller }

// Events implements bridge.Leg.
func (l *Leg) Events() <-chan bridge.Event { return l.events }

// Tell implements bridge.Display.
func (l *Leg) Tell(s bridge.Standing) { l.alone.Store(s.Alone) }

// Ring implements bridge.Leg. The site is reached where it is in a national network, or in one that the rule grants. Media is always encrypted.
func (l *Leg) Ring(ctx context.Context, t bridge.Terms) error {
	if t.Codecs != nil && !slices.ContainsFunc(t.Codecs, func(c string) bool { return strings.EqualFold(c, "opus") }) {
		return fmt.Errorf("%w: LiveKit speaks Opus", bridge.ErrNoCodec)
	}
	l.pass.Grant(t.Networks...)
	for _, name := range t.Names {
		if err := l.pass.GrantName(ctx, name); err != nil {
			l.log.Warn("a host that the rule grants is not found", "host", name, "error", err)
		}
	}
	return nil
}

// Answer implements bridge.Leg: it enters the far room.
func (l *Leg) Answer(ctx context.Context) (bridge.Audio, error) {
	l.mu.Lock()
	if l.ended || l.busy {
		l.mu.Unlock()
		return nil, l.why()
	}
	l.busy = true
	l.mu.Unlock()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-l.ending:
			stop(bridge.ErrCancelled)
		case <-ctx.Done():
		}
	}()
	f, err := l.enter(ctx)

	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended && f != nil:
		f.leave()
		fallthrough
	case l.ended:
		l.finish()
		return nil, bridge.ErrCancelled
	case err != nil:
		l.busy = false
		return nil, err
	}
	close(l.up)
	go l.run(f)
	return l.voice, nil
}

// enter joins the far room. The error says what is wrong with the site in terms of a call.
func (l *Leg) enter(ctx context.Context) (*far, error) {
	remote, err := l.reach(ctx)
	if err == nil {
		var f *far
		if f, err = l.join(ctx); err == nil {
			l.voice.remote(remote)
			l.log.Info("the far room is entered", "people", len(f.people), "remote", remote.Addr())
			return f, nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, egress.ErrDenied):
		return nil, fmt.Errorf("%w: %w", bridge.ErrForbidden, err)
	case errors.Is(err, bridge.ErrE2EE), errors.Is(err, bridge.ErrForbidden):
		return nil, err
	}
	return nil, fmt.Errorf("%w: site %s: %v", bridge.ErrSignalling, l.site.Name, err) // not our SFU's: what it says is told, not what it is
}

// reach finds the site's address. Where it is not on this machine, nothing on this machine is sent to.
func (l *Leg) reach(ctx context.Context) (netip.AddrPort, error) {
	u, err := url.Parse(l.site.URL)
	if err != nil {
		return netip.AddrPort{}, err
	}
	a, err := l.pass.Lookup(ctx, u.Hostname(), egress.Dial)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if !a.IsLoopback() {
		l.pass.Outside()
	}
	port := map[string]int{"ws": 80, "wss": 443}[u.Scheme]
	if p, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		port = int(p)
	}
	return netip.AddrPortFrom(a, uint16(port)), nil
}

// run follows the far room until the leg is over, and lets go of everything.
func (l *Leg) run(f *far) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	empty := time.Now() // since when a room has been; after now: it is not
	told := false
	tell := func(reason error) {
		if !told && reason != nil {
			told = true
			l.log.Info("the far room is over", "reason", bridge.Label(reason), "error", reason)
			l.events <- bridge.Event{Kind: bridge.Ended, Reason: reason} // it has one place
		}
	}
	events := f.session.Events()
	for {
		select {
		case <-l.news:
			l.settle()
		case <-l.ending:
			f.leave()
			l.mu.Lock()
			defer l.mu.Unlock()
			l.finish()
			return
		case e, ok := <-events:
			if !ok {
				events = nil
				tell(fmt.Errorf("%w: the site's session ended", bridge.ErrSignalling))
				continue
			}
			tell(f.follow(e))
		case now := <-tick.C:
			l.settle() // what had to wait
			switch {
			case f.populated() && !l.alone.Load():
				empty = now
			case now.Sub(empty) >= desertedTime:
				tell(bridge.ErrIdle)
			}
		}
	}
}

// End implements bridge.Leg.
func (l *Leg) End(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended, l.reason = true, reason
	close(l.ending)
	if !l.busy {
		l.finish()
	}
}

// finish is the last of a leg. l.mu is held.
func (l *Leg) finish() {
	l.voice.close()
	l.pass.Close()
	close(l.events)
	close(l.gone)
}

// why is the reason for the end of a leg that is over.
func (l *Leg) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reason == nil {
		return bridge.ErrHungUp
	}
	return l.reason
}

var (
	_ bridge.Leg     = (*Leg)(nil)
	_ bridge.Screen  = (*Leg)(nil)
	_ bridge.Display = (*Leg)(nil)
	_ bridge.Audio   = (*voice)(nil)
)
