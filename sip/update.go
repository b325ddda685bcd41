package sip

import (
	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/sip/sdp"
)

// update takes an UPDATE (RFC 3311, section 5.2): without a body a refresh of session and target, with one an offer. In an early dialog only
// the first kind can come, for we have not answered the INVITE's offer yet.
func (l *Leg) update(tx *serverTx) {
	s := l.server
	timer, ok := s.negotiateTimer(tx)
	if !ok {
		return
	}
	offer, ok := s.sdpOf(tx)
	if !ok {
		return
	}
	var body []byte
	if offer != nil {
		switch {
		case l.media.offered != nil || l.uac != nil: // glare
			s.plain(tx, 491, "Request Pending")
			return
		case l.uas != nil && !l.uas.sent: // their offer has no answer yet
			s.plain(tx, 500, "Server Internal Error", retryAfter())
			return
		}
		var err error
		if body, err = l.takeOffer(offer); err != nil {
			tx.respond(s.refusal(tx.req, tx.tag, mediaReason(err)))
			return
		}
	}
	l.dialog.refresh(tx.req.Contact())
	l.learn(tx.req)
	res := answer(tx.req, 200, "OK", tx.tag)
	res.AppendHeader(s.contact(l.dialog.path))
	res.AppendHeader(sipgo.NewHeader("Allow", allow))
	res.AppendHeader(sipgo.NewHeader("Supported", supported))
	l.timer.replace(timer)
	l.timer.write(res, l.peer.timer)
	setSDP(res, body)
	tx.respond(s.sign(res))
	if l.state == stateConfirmed {
		l.startTimer()
	}
}

// refreshNow refreshes the session: by an UPDATE without a body where the far end allows it, else by a re-INVITE with the offer that changes
// nothing (RFC 4028, section 7.4).
func (l *Leg) refreshNow() {
	if l.state != stateConfirmed {
		return
	}
	if !l.peer.update {
		l.reoffer(func(*sdp.Abilities) {}, func(err error) {
			if err != nil {
				l.refreshFailed(0)
			}
		})
		return
	}
	_, err := l.request(sipgo.UPDATE, func(req *sipgo.Request) {
		req.AppendHeader(l.server.contact(l.dialog.path))
		req.AppendHeader(sipgo.NewHeader("Allow", allow))
		req.AppendHeader(sipgo.NewHeader("Supported", supported))
		l.timer.ask(req)
	}, func(res *sipgo.Response, err error) {
		switch {
		case err != nil:
			l.refreshFailed(0)
		case res.StatusCode < 200 || l.state != stateConfirmed:
		case res.StatusCode < 300:
			l.dialog.refresh(res.Contact())
			l.timer.read(res)
			l.startTimer()
		case res.StatusCode == 422:
			l.timer.raise(res)
			l.refreshNow()
		case res.StatusCode == 491:
			l.after(l.backoff(), l.refreshNow)
		case res.StatusCode == 405 || res.StatusCode == 501:
			l.peer.update = false
			l.refreshNow()
		default:
			l.refreshFailed(res.StatusCode)
		}
	})
	if err != nil {
		l.refreshFailed(0)
	}
}
