package sip

import (
	"context"
	"fmt"
	"time"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/bridge"
	"passerelle/sip/sdp"
	"passerelle/transcode"
)

// reinvite takes an INVITE within the dialog (RFC 3261, section 14.2): hold, resume, a moved address, added media, a session refresh.
func (l *Leg) reinvite(tx *serverTx) {
	s := l.server
	switch {
	case l.uas != nil && !l.uas.sent: // ours is not to answer two at once
		s.plain(tx, 500, "Server Internal Error", retryAfter())
		return
	case l.uac != nil || l.media.offered != nil: // glare
		s.plain(tx, 491, "Request Pending")
		return
	case l.state == stateEarly:
		s.plain(tx, 491, "Request Pending")
		return
	}
	timer, ok := s.negotiateTimer(tx)
	if !ok {
		return
	}
	offer, ok := s.sdpOf(tx)
	if !ok {
		return
	}
	in := &incoming{tx: tx, seq: tx.req.CSeq().SeqNo, lateOffer: offer == nil}
	tx.setLeg(l)
	if offer != nil {
		var err error
		if in.answer, err = l.takeOffer(offer); err != nil {
			tx.respond(s.refusal(tx.req, tx.tag, mediaReason(err)))
			return
		}
	} else {
		in.answer = l.media.offer()
	}
	l.stopUAS() // a 2xx whose ACK we have not seen: who sends the next INVITE has seen it
	l.state = stateConfirmed
	l.tell(nil)
	l.dialog.refresh(tx.req.Contact())
	l.learn(tx.req)
	l.uas = in
	res := answer(tx.req, 200, "OK", tx.tag)
	l.timer.replace(timer)
	l.timer.write(res, l.peer.timer)
	l.send2xx(res, in.answer)
	l.startTimer()
}

// takeOffer answers an offer of the far end in mid-call and tells the bridge what it changes.
func (l *Leg) takeOffer(offer []byte) ([]byte, error) {
	codec := l.media.stream.Codec()
	body, err := l.media.answer(offer)
	if err != nil {
		return nil, err
	}
	l.changed(codec)
	return body, nil
}

// changed tells the bridge of a new codec and of hold.
func (l *Leg) changed(was transcode.Codec) {
	if now := l.media.stream.Codec(); was.Name != "" && (!now.Is(was) || now.PayloadType != was.PayloadType) {
		l.emit(bridge.Event{Kind: bridge.Updated})
	}
	if held := l.media.agreed.Held(); held != l.held && l.media.abilities.Direction == sdp.SendRecv {
		l.held = held
		l.emit(bridge.Event{Kind: bridge.Hold, Held: held})
	}
	l.started = time.Now() // media gets its full time again after a change
}

// outgoing is an INVITE of ours.
type outgoing struct {
	initial bool
	tx      *clientTx
	done    func(error)
	rang    bool   // a provisional answer came: it may be cancelled
	cancels bool   // it is to be cancelled, when it may
	rack    string // of the last reliable answer
}

// reoffer sends our offer, or a refresh of the session, in a re-INVITE (section 14.1). Where both ends do so at once it is tried again after the
// random time of that section.
func (l *Leg) reoffer(change func(*sdp.Abilities), done func(error)) {
	if l.state != stateConfirmed && l.state != stateAnswered {
		done(l.notNow())
		return
	}
	if l.uac != nil || l.uas != nil || l.media.offered != nil { // also while an ACK is on its way
		l.after(l.backoff(), func() { l.reoffer(change, done) })
		return
	}
	before := l.media.abilities
	change(&l.media.abilities)
	fail := func(err error) {
		l.media.withdraw()
		l.media.abilities = before
		done(err)
	}
	out := &outgoing{done: done}
	body := l.media.offer()
	var err error
	out.tx, err = l.request(sipgo.INVITE, func(req *sipgo.Request) {
		req.AppendHeader(l.server.contact(l.dialog.path))
		req.AppendHeader(sipgo.NewHeader("Allow", allow))
		req.AppendHeader(sipgo.NewHeader("Supported", supported))
		l.timer.ask(req)
		setSDP(req, body)
	}, func(res *sipgo.Response, err error) { l.reoffered(out, change, fail, res, err) })
	if err != nil {
		fail(err)
		return
	}
	l.uac = out
}

// reoffered takes the answers to a re-INVITE.
func (l *Leg) reoffered(out *outgoing, change func(*sdp.Abilities), fail func(error), res *sipgo.Response, err error) {
	if err == nil && res.StatusCode < 200 {
		return
	}
	if l.uac != out { // a 2xx again: so was our ACK lost
		l.ackAgain(res)
		return
	}
	l.uac = nil
	switch {
	case err != nil:
		fail(err)
		l.end(fmt.Errorf("%w: %w", bridge.ErrSignalling, err), true)
	case res.StatusCode < 300:
		l.dialog.refresh(res.Contact())
		l.ack(out.tx.req.CSeq().SeqNo)
		if l.state == stateOver {
			return
		}
		l.timer.read(res)
		l.startTimer()
		if err := l.acceptAnswer(res); err != nil {
			fail(err)
			return
		}
		out.done(nil)
	case res.StatusCode == 491 && l.state == stateConfirmed:
		l.media.withdraw()
		l.after(l.backoff(), func() { l.reoffer(change, out.done) })
	case res.StatusCode == 481 || res.StatusCode == 408:
		fail(reasonOf(res.StatusCode))
		l.end(fmt.Errorf("%w (SIP %d)", bridge.ErrSignalling, res.StatusCode), true)
	default:
		fail(fmt.Errorf("re-INVITE refused: %w", reasonOf(res.StatusCode)))
	}
}

// backoff is how long to wait after a 491 (section 14.1): the owner of the Call-ID 2.1 to 4 s, the other one up to 2 s, in steps of 10 ms.
func (l *Leg) backoff() time.Duration {
	unit := l.server.timers.t1 / 50 // 10 ms with the T1 of the RFC
	if l.trunk == nil {
		return time.Duration(210+random(191)) * unit
	}
	return time.Duration(random(201)) * unit
}

// ack acknowledges a 2xx (section 13.2.2.4): a request of its own, along the route set.
func (l *Leg) ack(seq uint32) { l.ackWith(seq, nil) }

// ackWith may bring the answer to the far end's offer.
func (l *Leg) ackWith(seq uint32, body []byte) {
	s := l.server
	req := l.dialog.request(sipgo.ACK, seq)
	p := s.way(s.ctx, l.dialog)
	setSDP(req, body)
	s.complete(req, p)
	l.lastACK = &ackOf{seq: seq, bytes: []byte(req.String()), path: p}
	if err := p.send(l.lastACK.bytes); err != nil {
		l.log.Debug("sip: ACK", "err", err)
	}
}

// ackAgain answers a 2xx that came again.
func (l *Leg) ackAgain(res *sipgo.Response) {
	if a := l.lastACK; a != nil && res != nil && res.StatusCode < 300 && res.CSeq().SeqNo == a.seq {
		_ = a.path.send(a.bytes)
	}
}

// onStray takes responses of no transaction: a 2xx after its transaction is gone is answered by the ACK once more.
func (s *Server) onStray(res *sipgo.Response, _ path) {
	if !res.IsSuccess() || res.CSeq().MethodName != sipgo.INVITE {
		return
	}
	tag, _ := res.From().Params.Get("tag")
	if l := s.leg(tag, string(*res.CallID())); l != nil {
		l.offer(func() { l.ackAgain(res) })
	}
}

// Hold asks the far end to be silent and sends nothing but what keeps the way open; Resume takes it back. They return when the far end agreed.
func (l *Leg) Hold(ctx context.Context) error { return l.direct(ctx, sdp.SendOnly) }

// Resume ends Hold.
func (l *Leg) Resume(ctx context.Context) error { return l.direct(ctx, sdp.SendRecv) }

func (l *Leg) direct(ctx context.Context, d sdp.Direction) error {
	done := make(chan error, 1)
	err := l.do(ctx, func() {
		l.reoffer(func(a *sdp.Abilities) { a.Direction = d }, func(err error) { done <- err })
	})
	if err != nil {
		return err
	}
	return l.await(ctx, done)
}
