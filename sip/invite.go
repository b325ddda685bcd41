package sip

import (
	"context"
	"errors"
	"strings"
	"time"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/bridge"
	"passerelle/sip/sdp"
)

// incoming is an INVITE of the far end, until its 2xx is acknowledged.
type incoming struct {
	tx        *serverTx
	seq       uint32
	initial   bool
	offer     []byte // its SDP
	lateOffer bool   // it had no SDP: ours is in the 2xx (or the reliable 18x), theirs in the ACK (or PRACK)
	answer    []byte // the SDP for the 2xx
	sent      bool   // the 2xx is out
	resend    *time.Timer
	interval  time.Duration
	giveUp    *time.Timer
}

// invite takes a new call (RFC 3261, section 13.3): who calls, may they, can we talk. What is refused here never reaches the bridge.
func (s *Server) invite(tx *serverTx) {
	req := tx.req
	t := s.admit(tx)
	if t == nil {
		return
	}
	tx.tag = newTag()
	offer, ok := s.acceptable(tx)
	if !ok {
		return
	}
	timer, ok := s.negotiateTimer(tx)
	if !ok {
		return
	}
	reason := s.full()
	if reason == nil {
		reason = t.take()
	}
	if reason != nil {
		tx.respond(s.refusal(req, tx.tag, reason))
		return
	}
	l, err := s.accept(tx, t, offer)
	if err != nil {
		t.give()
		s.log.Debug("sip: call refused", "trunk", t.Name, "err", err)
		tx.respond(s.refusal(req, tx.tag, mediaReason(err)))
		return
	}
	l.timer = timer
	tx.respond(s.sign(answer(req, 100, "Trying", "")))
	tx.setLeg(l)
	l.log.Debug("sip: call", "trunk", t.Name, "transport", tx.from.transport, "encrypted", l.caller.Encrypted)
	if err := s.add(l, s.handler); err != nil {
		_ = l.media.stream.Close()
		l.dialog.pass.Close()
		t.give()
		tx.respond(s.refusal(req, tx.tag, err))
	}
}

// admit finds the trunk, asks for its password, or leaves the caller without an answer.
func (s *Server) admit(tx *serverTx) *trunk {
	t, challenge, stale := s.match(tx.req, tx.from)
	switch {
	case t != nil && tx.isMerged:
		s.plain(tx, 482, "Loop Detected")
		return nil
	case t != nil:
		if t.Digest.User != "" || len(t.TLSNames) > 0 {
			s.transport.gate.prove(tx.from.remote.Addr())
		}
		return t
	case challenge != nil:
		res := answer(tx.req, 401, "Unauthorized", newTag())
		for _, h := range s.digest.headers(challenge, tx.from.remote.Addr(), stale) {
			res.AppendHeader(h)
		}
		tx.respondOnce(s.sign(res))
	default:
		s.drop(tx)
	}
	return nil
}

// acceptable refuses what we cannot understand (RFC 3261, section 8.2) and returns the SDP, nil for a late offer.
func (s *Server) acceptable(tx *serverTx) (offer []byte, ok bool) {
	req := tx.req
	if code, phrase := s.replaces(req); code != 0 {
		s.plain(tx, code, phrase)
		return nil, false
	}
	if u := unsupported(req); u != "" {
		s.plain(tx, 420, "Bad Extension", sipgo.NewHeader("Unsupported", u))
		return nil, false
	}
	if c := req.Contact(); c == nil || c.Address.Wildcard || c.Address.Host == "" {
		s.plain(tx, 400, "Missing Contact")
		return nil, false
	}
	if accept := tokens(req, "accept"); len(accept) > 0 && !acceptsSDP(accept) {
		s.plain(tx, 406, "Not Acceptable")
		return nil, false
	}
	return s.sdpOf(tx)
}

func acceptsSDP(accept []string) bool {
	for _, a := range accept {
		a, _, _ = strings.Cut(a, ";")
		if a = strings.TrimSpace(a); a == "application/sdp" || a == "application/*" || a == "*/*" {
			return true
		}
	}
	return false
}

// sdpOf is the SDP of a request; it answers 415 where the body is something else.
func (s *Server) sdpOf(tx *serverTx) (body []byte, ok bool) {
	for _, e := range tokens(tx.req, "content-encoding", "e") {
		if e != "identity" {
			s.plain(tx, 415, "Unsupported Media Type", sipgo.NewHeader("Accept-Encoding", "identity"))
			return nil, false
		}
	}
	body, err := sdpBody(tx.req)
	if err != nil {
		s.plain(tx, 415, "Unsupported Media Type", sipgo.NewHeader("Accept", "application/sdp"))
		return nil, false
	}
	return body, true
}

// accept makes the leg of a call. An offer is looked at, so that the bridge knows what can be agreed upon, and is answered when the bridge has said
// under which terms.
func (s *Server) accept(tx *serverTx, t *trunk, offer []byte) (*Leg, error) {
	req := tx.req
	id := newTag()[:12]
	source := tx.from.remote.Addr()
	pass := s.guard.Pass(id, t.reach(source)...)
	if !source.IsLoopback() {
		pass.Outside()
	}
	m, err := s.openSession(s.ctx, tx.from, pass, t.codecs, t.encryption)
	if err != nil {
		return nil, err
	}
	in := &incoming{tx: tx, seq: req.CSeq().SeqNo, initial: true, offer: offer, lateOffer: offer == nil}
	encrypted := t.encryption != sdp.Off
	if offer != nil {
		_, can, _, err := sdp.Answer(offer, m.abilities, nil)
		if err != nil {
			_ = m.stream.Close()
			return nil, err
		}
		encrypted = can.Encrypted()
	}
	d := dialogOfUAS(req, tx.from)
	d.pass = pass
	d.localTag = tx.tag
	d.local.Params.Add("tag", tx.tag)
	name, number, proven := identity(req, t.TrustIdentity)
	called := user(&req.Recipient)
	if called == "" {
		called = user(&req.To().Address)
	}
	l := s.newLeg(d, m, bridge.Caller{
		CallID: id, Protocol: "sip", Trunk: t.Name, Name: name, Number: number, Proven: proven, Called: cleanNumber(called),
		Source: source, Transport: tx.from.transport, Encrypted: encrypted, Language: t.Language,
		Identity: t.identity(tx.from, number, proven),
	})
	l.trunk, l.uas = t, in
	l.learn(req)
	l.peer.rel = has(tokens(req, "require"), "100rel")
	m.stream.OnDigit(func(digit byte) {
		l.later(func() { l.emit(bridge.Event{Kind: bridge.Digit, Digit: digit, Way: "rtp"}) })
	})
	return l, nil
}

// learn notes what the far end can do.
func (l *Leg) learn(m interface{ GetHeaders(string) []sipgo.Header }) {
	if allowed := tokens(m, "allow"); len(allowed) > 0 {
		l.peer.update = has(allowed, "update")
	}
	if list := tokens(m, "supported", "k"); len(list) > 0 {
		l.peer.timer = has(list, "timer")
	}
}

// Ring answers the far end's offer under the terms and sends 180, reliably where the far end requires it. The terms of the first Ring hold.
func (l *Leg) Ring(ctx context.Context, t bridge.Terms) error {
	l.lookUp(ctx, t.Names)
	var err error
	if e := l.do(ctx, func() {
		if err = l.agree(t); err == nil {
			err = l.ring()
		}
	}); e != nil {
		return e
	}
	return err
}

func (l *Leg) ring() error {
	if l.state != stateEarly || l.uas == nil {
		return l.notNow()
	}
	if l.reliable.busy() {
		return nil
	}
	res := answer(l.uas.tx.req, 180, "Ringing", l.dialog.localTag)
	res.AppendHeader(l.server.contact(l.dialog.path))
	res.AppendHeader(sipgo.NewHeader("Allow", allow))
	if l.peer.rel {
		l.ringReliably(res)
		return nil
	}
	l.uas.tx.respond(l.server.sign(res))
	return nil
}

// notNow says why a verb does not fit the state.
func (l *Leg) notNow() error {
	if l.state == stateOver {
		return l.why()
	}
	return errors.New("sip: the call is answered already")
}

// Answer sends 200 and returns the sound when the ACK is there. Without a Ring before, the trunk's own terms hold.
func (l *Leg) Answer(ctx context.Context) (bridge.Audio, error) {
	done := make(chan error, 1)
	err := l.do(ctx, func() {
		if l.state != stateEarly || l.uas == nil {
			done <- l.notNow()
			return
		}
		if err := l.agree(bridge.Terms{}); err != nil {
			done <- err
			return
		}
		l.answered = func(err error) { done <- err }
		if !l.reliable.withSDP() { // else when the PRACK is there (RFC 3262, section 3)
			l.answerNow()
		}
	})
	if err != nil {
		return nil, err
	}
	if err := l.await(ctx, done); err != nil {
		return nil, err
	}
	return l.media.stream, nil
}

// answerNow sends the 2xx of the first INVITE.
func (l *Leg) answerNow() {
	if l.uas.lateOffer && l.media.offered == nil && l.media.state == nil {
		l.uas.answer = l.media.offer()
	}
	l.reliable.quiet()
	l.state, l.started = stateAnswered, time.Now()
	tag := l.dialog.remoteTag()
	l.up.Store(&tag)
	res := answer(l.uas.tx.req, 200, "OK", l.dialog.localTag)
	l.timer.write(res, l.peer.timer)
	l.send2xx(res, l.uas.answer)
	l.startTimer()
	l.watchMedia()
}

// send2xx completes and sends a 2xx to an INVITE and repeats it until the ACK (RFC 3261, section 13.3.1.4), also over TCP.
func (l *Leg) send2xx(res *sipgo.Response, body []byte) {
	in, s := l.uas, l.server
	res.AppendHeader(s.contact(l.dialog.path))
	res.AppendHeader(sipgo.NewHeader("Allow", allow))
	res.AppendHeader(sipgo.NewHeader("Supported", supported))
	setSDP(res, body)
	in.tx.respond(s.sign(res))
	in.sent, in.interval = true, s.timers.t1
	in.resend = l.after(in.interval, l.again2xx)
	in.giveUp = l.after(s.timers.timeout(), l.neverAcked)
}

func (l *Leg) again2xx() {
	in := l.uas
	if in == nil || !in.sent {
		return
	}
	in.tx.repeat()
	in.interval = min(2*in.interval, l.server.timers.t2)
	in.resend = l.after(in.interval, l.again2xx)
}

// neverAcked ends a call whose 2xx was never acknowledged.
func (l *Leg) neverAcked() {
	if l.uas == nil || !l.uas.sent {
		return
	}
	l.stopUAS()
	l.media.withdraw()
	if l.state == stateOver {
		l.sendBye(l.reason)
		return
	}
	l.state = stateConfirmed // as far as a BYE is concerned
	l.end(errors.Join(bridge.ErrSignalling, errors.New("no ACK")), true)
}

// stopUAS ends the wait for an ACK.
func (l *Leg) stopUAS() {
	if l.uas == nil {
		return
	}
	if l.uas.resend != nil {
		l.uas.resend.Stop()
		l.uas.giveUp.Stop()
	}
	l.uas = nil
}
