package sip

import (
	"strconv"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/bridge"
)

// options answers the pings of trunks and proxies (RFC 3261, section 11): 200 when a call would be taken, 503 when not. Unknown sources hear
// nothing.
func (s *Server) options(tx *serverTx) {
	if !s.peers(tx.from) {
		s.drop(tx)
		return
	}
	tag := newTag()
	if reason := s.full(); reason != nil {
		tx.respond(s.refusal(tx.req, tag, reason))
		return
	}
	if u := unsupported(tx.req); u != "" {
		s.plain(tx, 420, "Bad Extension", sipgo.NewHeader("Unsupported", u))
		return
	}
	tx.respond(s.capabilities(tx.req, tag))
}

// capabilities is the 200 to an OPTIONS.
func (s *Server) capabilities(req *sipgo.Request, tag string) *sipgo.Response {
	res := answer(req, 200, "OK", tag)
	res.AppendHeader(sipgo.NewHeader("Allow", allow))
	res.AppendHeader(sipgo.NewHeader("Accept", "application/sdp, application/dtmf-relay, application/dtmf"))
	res.AppendHeader(sipgo.NewHeader("Accept-Language", "en, fr"))
	res.AppendHeader(sipgo.NewHeader("Supported", supported))
	return s.sign(res)
}

// full says why no new call can be taken; nil: it can.
func (s *Server) full() error {
	if s.draining.Load() {
		return bridge.ErrDraining
	}
	if s.calls.Max > 0 && s.Legs() >= s.calls.Max {
		return bridge.ErrBusy
	}
	return nil
}

// retryAfter is a short while for the far end to wait (RFC 3261, section 14.2: 0 to 10 s at random).
func retryAfter() sipgo.Header {
	return sipgo.NewHeader("Retry-After", strconv.Itoa(random(11)))
}
