package sip

import (
	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/bridge"
)

// bye ends the call at the far end's wish (RFC 3261, section 15.1.2). An INVITE of theirs that has no answer yet is ended, too.
func (l *Leg) bye(tx *serverTx) {
	l.server.plain(tx, 200, "OK")
	if in := l.uas; in != nil && !in.sent {
		in.tx.respond(l.server.sign(answer(in.tx.req, 487, "Request Terminated", l.dialog.localTag)))
	}
	l.stopUAS()
	l.over(bridge.ErrHungUp)
}

// end ends the call at our wish: by a refusal, a CANCEL or a BYE, whatever fits the state. Where tell is false nothing is sent any more.
func (l *Leg) end(reason error, tell bool) {
	if l.state == stateOver {
		return
	}
	state := l.state
	if state == stateEarly && l.uas != nil {
		l.uas.tx.respond(l.server.refusal(l.uas.tx.req, l.dialog.localTag, reason))
		l.stopUAS()
		l.over(reason)
		return
	}
	l.over(reason)
	switch {
	case !tell:
	case l.uac != nil && l.uac.initial:
		l.uac.cancel(l)
	case state == stateAnswered || l.uas != nil && l.uas.sent:
		// A BYE may not overtake the ACK (section 15): acked or neverAcked sends it.
	case state == stateConfirmed:
		if in := l.uas; in != nil { // a re-INVITE that we had not answered
			in.tx.respond(l.server.sign(answer(in.tx.req, 487, "Request Terminated", l.dialog.localTag)))
			l.stopUAS()
		}
		l.sendBye(reason)
	}
}

// sendBye says good-bye once; no matter what is answered, the call is over.
func (l *Leg) sendBye(reason error) {
	_, err := l.request(sipgo.BYE, func(req *sipgo.Request) {
		req.AppendHeader(statusOf(reason).reasonHeader())
	}, func(*sipgo.Response, error) {})
	if err != nil {
		l.log.Debug("sip: BYE", "err", err)
	}
}
