package sip

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/bridge"
	"passerelle/internal/egress"
)

type legState int

const (
	stateEarly     legState = iota // the INVITE has no final answer
	stateAnswered                  // 2xx sent, no ACK yet
	stateConfirmed                 // both know that the call is up
	stateOver                      // ended; a BYE or CANCEL may still wait for its answer
)

var errStopping = fmt.Errorf("%w: the node stops", bridge.ErrDraining)

// Leg is one SIP call, in or out. It implements bridge.Leg. One goroutine (run) owns all that is below "owned by run"; everybody else sends it
// functions. Exported methods may be called from any goroutine.
type Leg struct {
	server *Server
	caller bridge.Caller
	trunk  *trunk // nil: outbound
	log    *slog.Logger

	up atomic.Pointer[string] // the far end's tag while the call is answered, for Replaces

	work   chan func()       // in
	events chan bridge.Event // out
	gone   chan struct{}     // closed when run has returned

	// owned by run
	state    legState
	dialog   *dialog
	media    *session
	uas      *incoming // the far end's INVITE that is being answered or waits for its ACK; nil: none
	uac      *outgoing // our INVITE that has no final answer; nil: none
	reliable reliable  // the 18x that waits for PRACK
	timer    sessionTimer
	peer     peer
	lastACK  *ackOf // to send again when a 2xx comes again

	challenges []*sipgo.Response // that our INVITE answers, of a proxy and of the far end
	challenged int               // status of the last one

	fixed    bool // the terms are, and the offer of an INVITE is answered
	moves    int  // of the far end, to addresses that were not granted before
	held     bool
	started  time.Time // of media: when the call was answered or resumed
	waiting  int       // transactions whose end run waits for
	reason   error
	watch    *time.Timer // of media
	answered func(error) // tells who waits in Answer or Dial; nil: nobody
}

// peer is what the far end said that it can do.
type peer struct {
	update bool // Allow has UPDATE
	timer  bool // Supported has timer
	rel    bool // Require has 100rel
}

func (s *Server) newLeg(d *dialog, m *session, c bridge.Caller) *Leg {
	return &Leg{
		server: s, caller: c, log: s.log.With("call", c.CallID), dialog: d, media: m,
		work: make(chan func(), 64), events: make(chan bridge.Event, 64), gone: make(chan struct{}),
	}
}

// Caller says who is there and how they came.
func (l *Leg) Caller() bridge.Caller { return l.caller }

// Events delivers what the far end does.
func (l *Leg) Events() <-chan bridge.Event { return l.events }

// End refuses or ends the call.
func (l *Leg) End(reason error) {
	if !l.offer(func() { l.end(reason, true) }) {
		l.later(func() { l.end(reason, true) })
	}
}

// run owns the leg until nothing is left to be sent or waited for.
func (l *Leg) run() {
	defer close(l.gone)
	defer l.dialog.pass.Close()
	if s := l.dialog.path.stream; s != nil {
		s.calls.Add(1)
	}
	defer func() {
		if s := l.dialog.path.stream; s != nil {
			s.calls.Add(-1)
		}
	}()
	for l.state != stateOver || l.waiting > 0 || l.uas != nil {
		select {
		case f := <-l.work:
			f()
		case <-l.server.dead:
			l.end(errStopping, false)
			l.stopUAS()
			l.waiting = 0
		}
	}
}

// offer gives run a function without waiting; false: its queue is full, or it is over.
func (l *Leg) offer(f func()) bool {
	select {
	case <-l.gone:
		return false
	default:
	}
	select {
	case l.work <- f:
		return true
	default:
		return false
	}
}

// later gives run a function that must not be lost. It may wait on a goroutine of its own, for no longer than run lives.
func (l *Leg) later(f func()) {
	if l.offer(f) {
		return
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
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-l.gone:
		return l.why()
	}
}

// await waits for the outcome of what do began.
func (l *Leg) await(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-l.gone:
		return l.why()
	}
}

// why is the reason for the end of a leg that is over: run's goroutine asks when it is, others when it is gone.
func (l *Leg) why() error {
	if l.reason == nil {
		return bridge.ErrHungUp
	}
	return l.reason
}

// after runs f on the leg's goroutine after a time, unless the timer is stopped or the leg is gone.
func (l *Leg) after(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() { l.later(f) })
}

// emit tells the bridge. It never blocks: a bridge that does not read for 64 events loses the newest, but Ended always fits.
func (l *Leg) emit(e bridge.Event) {
	if l.state == stateOver {
		return
	}
	if len(l.events) < cap(l.events)-1 {
		l.events <- e
	}
}

// over marks the end once: the last event, the media and whoever waits.
func (l *Leg) over(reason error) {
	if l.state == stateOver {
		return
	}
	l.log.Debug("sip: leg over", "reason", bridge.Label(reason))
	l.events <- bridge.Event{Kind: bridge.Ended, Reason: reason} // one place is kept free by emit
	close(l.events)
	l.state, l.reason = stateOver, reason
	l.up.Store(nil)
	if l.media != nil {
		_ = l.media.stream.Close()
	}
	if l.trunk != nil {
		l.trunk.give()
	}
	l.timer.stop()
	l.reliable.stop()
	if l.watch != nil {
		l.watch.Stop()
	}
	l.tell(reason)
}

// tell answers who waits in Answer or Dial.
func (l *Leg) tell(err error) {
	if l.answered != nil {
		l.answered(err)
		l.answered = nil
	}
}

// maxMoves bounds how often a far end may go on from another address.
const maxMoves = 16

// follow notes where the far end speaks from now: a NAT may have moved it, or a connection was opened anew. It must be where its trunk may call from,
// and where the call may send to.
func (l *Leg) follow(p path) {
	from, pass := p.remote.Addr(), l.dialog.pass
	if !pass.Includes(from) && l.trunk != nil && contains(from, l.trunk.addresses) && l.moves < maxMoves {
		l.moves++
		pass.Grant(netip.PrefixFrom(from, from.BitLen()))
	}
	if !pass.Permits(from, egress.SIP) {
		return
	}
	if p.stream != l.dialog.path.stream {
		if old := l.dialog.path.stream; old != nil {
			old.calls.Add(-1)
		}
		if p.stream != nil {
			p.stream.calls.Add(1)
		}
	}
	l.dialog.path = p
}

// request sends a request of ours within the dialog; on is called on the leg's goroutine. It reports whether it was sent.
func (l *Leg) request(method sipgo.RequestMethod, fill func(*sipgo.Request), on func(*sipgo.Response, error)) (*clientTx, error) {
	s, d := l.server, l.dialog
	d.localSeq++
	req := d.request(method, d.localSeq)
	p := s.way(s.ctx, d)
	s.complete(req, p)
	if fill != nil {
		fill(req)
	}
	l.waiting++
	final := false
	tx, err := s.layer.send(req, p, func(res *sipgo.Response, err error) {
		l.later(func() {
			if !final && (err != nil || res.StatusCode >= 200) {
				final = true
				l.waiting--
			}
			on(res, err)
		})
	})
	if err != nil {
		l.waiting--
	}
	return tx, err
}

// random is a number below n. It needs to be spread, not secret.
func random(n int) int { return rand.IntN(n) }

var _ bridge.Leg = (*Leg)(nil)
