package guest

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/bridge/links"
	"passerelle/internal/egress"
)

// page is where a leg's messages go. Implemented by socket and by resource.
type page interface {
	// send queues a message. It does not block; a page that does not read is cut.
	send(m message)
	// end closes the page when it has got what was sent.
	end(code int)
}

// Leg is one guest in a call, or on the way into one. It implements bridge.Leg, bridge.Display and bridge.Screen. One goroutine (run) owns all that is
// below "owned by run"; everybody else sends it functions. Exported methods may be called from any goroutine.
type Leg struct {
	server *Server
	caller bridge.Caller
	link   links.Link
	log    *slog.Logger
	pass   *egress.Pass
	voice  *voice

	work     chan func()       // in
	events   chan bridge.Event // out
	gone     chan struct{}     // closed when run has returned
	up       chan struct{}     // closed when media is up for the first time
	listener bool              // is shown whoever speaks, and says no layout: WHEP
	pictures

	// owned by run
	page      page           // nil: away
	peer      *peer          // nil: none yet
	first     offer          // empty: its page is gone, and the one that came back makes another
	closing   sync.WaitGroup // peers that were replaced
	isUp      bool
	ended     bool
	reason    error
	told      told
	pageGone  time.Time // zero: it is there
	mediaGone time.Time // zero: it is there, or never was
	left      bool      // the page closed its socket in order: it will come back soon, or not at all
}

// leftTime is how long a page may take that is loaded anew.
const leftTime = 6 * time.Second

func (s *Server) newLeg(c bridge.Caller, l links.Link, first offer) *Leg {
	networks := s.networks
	if a := s.port.Addr().Addr(); s.relay != nil && !a.IsUnspecified() {
		networks = append(slices.Clip(networks), netip.PrefixFrom(a, a.BitLen())) // the relay's sockets are beside the media port
	}
	leg := &Leg{
		server: s, caller: c, link: l, log: s.log.With("call", c.CallID), pass: s.guard.Pass(c.CallID, networks...), voice: newVoice(), first: first,
		work: make(chan func(), 128), events: make(chan bridge.Event, 64), gone: make(chan struct{}), up: make(chan struct{}),
	}
	leg.told.state = StateConnecting
	return leg
}

// Caller implements bridge.Leg.
func (l *Leg) Caller() bridge.Caller { return l.caller }

// Events implements bridge.Leg.
func (l *Leg) Events() <-chan bridge.Event { return l.events }

// Ring implements bridge.Leg. A guest's media is always encrypted.
func (l *Leg) Ring(_ context.Context, t bridge.Terms) error {
	if t.Codecs != nil && !slices.ContainsFunc(t.Codecs, func(c string) bool { return strings.EqualFold(c, "opus") }) {
		return fmt.Errorf("%w: a browser speaks Opus", bridge.ErrNoCodec)
	}
	l.pass.Grant(t.Networks...)
	return nil
}

// Answer implements bridge.Leg: it sends the answer to the page's offer and returns when media is up.
func (l *Leg) Answer(ctx context.Context) (bridge.Audio, error) {
	var err error
	if failed := l.do(ctx, func() {
		if l.peer == nil && l.first.SDP != "" { // else the page was loaded anew while it rang
			err = l.connect(&l.first)
		}
	}); failed != nil {
		return nil, failed
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", bridge.ErrSignalling, err)
	}
	timer := time.NewTimer(l.server.times.up)
	defer timer.Stop()
	select {
	case <-l.up:
		return l.voice, nil
	case <-timer.C:
		return nil, fmt.Errorf("%w: it did not come through within %v of the answer", bridge.ErrMediaTimeout, l.server.times.up)
	case <-l.gone:
		return nil, l.why()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// End implements bridge.Leg.
func (l *Leg) End(reason error) { l.later(func() { l.over(reason) }) }

// run owns the leg until it is over.
func (l *Leg) run() {
	defer close(l.gone)
	tick := time.NewTicker(l.server.times.tick)
	defer tick.Stop()
	for !l.ended {
		select {
		case f := <-l.work:
			f()
		case now := <-tick.C:
			l.watchOver(now)
		}
	}
	if l.peer != nil {
		l.peer.close()
	}
	l.closing.Wait()
	l.pass.Close()
}

// later gives run a function that must not be lost. It does not block, and may wait on a goroutine of its own, for no longer than run lives.
func (l *Leg) later(f func()) {
	select {
	case l.work <- f:
		return
	case <-l.gone:
		return
	default:
	}
	go func() {
		select {
		case l.work <- f:
		case <-l.gone:
		}
	}()
}

// do gives run a function and returns when it has run.
func (l *Leg) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case l.work <- func() { f(); close(done) }:
	case <-l.gone:
		return l.why()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-done:
		return nil
	case <-l.gone:
	}
	select {
	case <-done: // at the last moment
		return nil
	default:
		return l.why()
	}
}

// why is the reason for the end of a leg that is gone.
func (l *Leg) why() error {
	if l.reason == nil {
		return bridge.ErrHungUp
	}
	return l.reason
}

// emit tells the bridge. A bridge that does not read for 64 events loses the newest, but Ended always fits.
func (l *Leg) emit(e bridge.Event) {
	if !l.ended && len(l.events) < cap(l.events)-1 {
		l.events <- e
	}
}

// over marks the end, once: the bridge is told, and the page.
func (l *Leg) over(reason error) {
	if l.ended {
		return
	}
	l.log.Debug("guest: leg over", "reason", bridge.Label(reason), "error", reason)
	l.ended, l.reason = true, reason
	l.events <- bridge.Event{Kind: bridge.Ended, Reason: reason} // one place is kept free by emit
	close(l.events)
	l.voice.connect(nil)
	if l.page != nil {
		l.page.send(ending(reason))
		l.page.end(closing(reason))
		l.page = nil
	}
}

// connect takes an offer of the page: with a new peer connection where it has one, else with the one there is.
func (l *Leg) connect(o *offer) error {
	sections, err := readOffer(o.SDP)
	if err != nil {
		return err
	}
	if o.Tracks == nil {
		guess(sections)
	} else if err := assign(sections, o.Tracks); err != nil {
		return err
	}
	var text string
	if p := l.peer; p != nil && !o.Fresh {
		if text, err = p.take(o.SDP, sections); err != nil {
			return err
		}
	} else {
		if p, text, err = l.newPeer(o.SDP, sections); err != nil {
			return err
		}
		l.replace(p)
	}
	l.voice.connect(l.peer.voice)
	l.look()
	l.tell(&answer{text})
	return nil
}

// replace puts another peer connection in the place of the one there was.
func (l *Leg) replace(p *peer) {
	if old := l.peer; old != nil {
		l.cut()
		l.closing.Go(old.close)
	}
	l.peer = p
	l.mediaGone = time.Now() // until it is up
}

// mediaState follows the state of a peer connection.
func (l *Leg) mediaState(p *peer, s pion.PeerConnectionState) {
	if p != l.peer {
		return
	}
	switch s {
	case pion.PeerConnectionStateConnected:
		l.mediaGone = time.Time{}
		l.server.metrics.connect.Observe(time.Since(p.began).Seconds())
		if pair, err := p.SCTP().Transport().ICETransport().GetSelectedCandidatePair(); err == nil && pair != nil {
			l.voice.reaches(pair.Remote.Address, pair.Remote.Port)
		}
		if !l.isUp {
			l.isUp = true
			close(l.up)
		}
		for i := range p.tiles {
			l.lost(p, i)
		}
	case pion.PeerConnectionStateFailed, pion.PeerConnectionStateClosed:
		if l.mediaGone.IsZero() {
			l.mediaGone = time.Now()
		}
	}
}

// watchOver ends a leg whose page or media has been gone for too long, and tells the room's stage how much the line takes.
func (l *Leg) watchOver(now time.Time) {
	grace := l.server.cfg.Grace
	switch {
	case l.page == nil && l.left && !l.mediaGone.IsZero() && now.Sub(l.pageGone) > leftTime:
		l.over(bridge.ErrHungUp)
	case l.page == nil && now.Sub(l.pageGone) > grace:
		l.over(fmt.Errorf("%w: the page did not come back within %v", bridge.ErrSignalling, grace))
	case l.isUp && !l.mediaGone.IsZero() && now.Sub(l.mediaGone) > grace:
		l.over(fmt.Errorf("%w: it did not come back within %v", bridge.ErrMediaTimeout, grace))
	default:
		l.adapt()
	}
}

var (
	_ bridge.Leg     = (*Leg)(nil)
	_ bridge.Display = (*Leg)(nil)
	_ bridge.Screen  = (*Leg)(nil)
	_ bridge.Audio   = (*voice)(nil)
	_ page           = (*socket)(nil)
	_ page           = (*resource)(nil)
)
