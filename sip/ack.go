package sip

import (
	"errors"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/bridge"
)

// ackOf is an ACK of ours, kept to answer a 2xx that comes again.
type ackOf struct {
	seq   uint32
	bytes []byte
	path  path
}

// onAck finds the leg whose 2xx is acknowledged.
func (s *Server) onAck(req *sipgo.Request, p path) {
	tag, _ := req.To().Params.Get("tag")
	if l := s.leg(tag, string(*req.CallID())); l != nil {
		l.offer(func() { l.acked(req, p) }) // if it is lost, the 2xx goes again, and so does the ACK
	}
}

// acked ends the wait for an ACK (RFC 3261, section 13.2.2.4); it may bring the answer to our offer.
func (l *Leg) acked(req *sipgo.Request, p path) {
	in := l.uas
	from, _ := req.From().Params.Get("tag")
	if in == nil || !in.sent || in.seq != req.CSeq().SeqNo || from != l.dialog.remoteTag() {
		return
	}
	l.stopUAS()
	if l.state == stateOver { // we hung up before it came: now we may say so
		l.sendBye(l.reason)
		return
	}
	l.follow(p)
	first := l.state == stateAnswered
	l.state = stateConfirmed
	if l.media.offered != nil {
		if err := l.acceptAnswer(req); err != nil {
			l.end(err, true)
			return
		}
	}
	if first {
		l.tell(nil)
	}
}

// acceptAnswer takes the SDP of an ACK, PRACK or 2xx as the answer to our offer.
func (l *Leg) acceptAnswer(m sipgo.Message) error {
	body, err := sdpBody(m)
	if err == nil && body == nil {
		err = errors.New("the answer to our offer is missing")
	}
	if err != nil {
		l.media.withdraw()
		return errors.Join(bridge.ErrSignalling, err)
	}
	codec := l.media.stream.Codec()
	if err := l.media.accept(body); err != nil {
		return mediaReason(err)
	}
	l.changed(codec)
	return nil
}
