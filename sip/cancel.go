package sip

import "passerelle/bridge"

// cancel answers a CANCEL (RFC 3261, section 9.2) and ends the INVITE that it means, unless that has its final answer: then it changes
// nothing, and the far end will end the call with a BYE.
func (s *Server) cancel(tx *serverTx) {
	invite := s.layer.cancelled(tx)
	if invite == nil {
		if !s.peers(tx.from) {
			s.drop(tx)
			return
		}
		s.plain(tx, 481, "Call/Transaction Does Not Exist")
		return
	}
	l := invite.getLeg()
	if l == nil { // refused already
		s.plain(tx, 200, "OK")
		return
	}
	tx.tag = l.dialog.localTag // the same as in the INVITE's answers
	s.plain(tx, 200, "OK")
	l.later(func() { l.cancelled(invite) })
}

func (l *Leg) cancelled(invite *serverTx) {
	if invite.final() {
		return
	}
	if l.state == stateEarly {
		l.end(bridge.ErrCancelled, true)
		return
	}
	invite.respond(l.server.sign(answer(invite.req, 487, "Request Terminated", l.dialog.localTag))) // of a re-INVITE
}
