package sip

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/bridge"
	"passerelle/internal/egress"
)

// status is how a reason is told in SIP: before the answer by a response, after it by a BYE with a Reason header (RFC 3326).
type status struct {
	code       int
	phrase     string
	cause      int    // Q.850
	retryAfter int    // seconds; 0: none
	warnCode   int    // RFC 3261, section 20.43
	warning    string // what a person should read; empty: none
	told       bool   // warning is the sentence of a rule
}

// maxWarning is how long the sentence of a rule may be, in bytes.
const maxWarning = 160

// statusOf turns a reason into SIP's words. It is the only place that does. What a rule refuses is told in the rule's words, and is busy for this caller
// rather than for everybody.
func statusOf(reason error) status {
	s := usualStatus(reason)
	r, ok := errors.AsType[*bridge.Refused](reason)
	if !ok {
		return s
	}
	if errors.Is(reason, bridge.ErrBusy) {
		s = status{code: 486, phrase: "Busy Here", cause: 17}
	}
	if text := readable(r.Text); text != "" {
		s.warning, s.told = text, true
		if s.warnCode == 0 {
			s.warnCode = 399
		}
	}
	return s
}

// readable leaves one bounded line of printable ASCII.
func readable(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r < ' ' || r == 0x7f:
			return -1
		case r > '~':
			return '?'
		}
		return r
	}, s)
	return strings.TrimSpace(s[:min(len(s), maxWarning)])
}

// usualStatus is how a reason is told where there is nothing more to say.
func usualStatus(reason error) status {
	for _, s := range [...]struct {
		err error
		status
	}{
		{egress.ErrDenied, status{
			code: 403, phrase: "Forbidden", cause: 21, warnCode: 399, warning: "Media may not be sent to the address that is named in the SDP",
		}},
		{bridge.ErrCancelled, status{code: 487, phrase: "Request Terminated", cause: 16}},
		{bridge.ErrNoPIN, status{code: 403, phrase: "Forbidden", cause: 21}},
		{bridge.ErrBadPIN, status{code: 403, phrase: "Forbidden", cause: 21}},
		{bridge.ErrGuessing, status{code: 403, phrase: "Forbidden", cause: 21}},
		{bridge.ErrForbidden, status{code: 403, phrase: "Forbidden", cause: 21}},
		{bridge.ErrBusy, status{code: 503, phrase: "Service Unavailable", cause: 42, retryAfter: 10}},
		{bridge.ErrDraining, status{code: 503, phrase: "Service Unavailable", cause: 41, retryAfter: 60}},
		{bridge.ErrNotEncrypted, status{
			code: 488, phrase: "Not Acceptable Here", cause: 88, warnCode: 304,
			warning: "This call must be encrypted: offer RTP/SAVP with SDES or DTLS-SRTP",
		}},
		{bridge.ErrNoCodec, status{
			code: 488, phrase: "Not Acceptable Here", cause: 88, warnCode: 305, warning: "No audio format in common",
		}},
		{bridge.ErrE2EE, status{
			code: 488, phrase: "Not Acceptable Here", cause: 88, warnCode: 399, warning: "The room is end-to-end encrypted",
		}},
		{bridge.ErrRoomEnded, status{code: 480, phrase: "Temporarily Unavailable", cause: 16}},
		{bridge.ErrRemoved, status{code: 603, phrase: "Decline", cause: 21}},
		{bridge.ErrDirectory, status{code: 503, phrase: "Service Unavailable", cause: 41, retryAfter: 30}},
		{bridge.ErrSFU, status{code: 503, phrase: "Service Unavailable", cause: 41, retryAfter: 30}},
		{bridge.ErrMediaTimeout, status{code: 480, phrase: "Temporarily Unavailable", cause: 27}},
		{bridge.ErrSignalling, status{code: 400, phrase: "Bad Request", cause: 111}},
		{bridge.ErrMaxDuration, status{code: 480, phrase: "Temporarily Unavailable", cause: 102}},
		{bridge.ErrRules, status{code: 403, phrase: "Forbidden", cause: 21}},
		{bridge.ErrUnavailable, status{code: 503, phrase: "Service Unavailable", cause: 41, retryAfter: 30}},
		{bridge.ErrNotAdmitted, status{code: 603, phrase: "Decline", cause: 21}},
		{bridge.ErrLobbyTimeout, status{code: 480, phrase: "Temporarily Unavailable", cause: 19}},
		{bridge.ErrIdle, status{code: 480, phrase: "Temporarily Unavailable", cause: 16}},
		{bridge.ErrEnded, status{code: 480, phrase: "Temporarily Unavailable", cause: 16}},
		{bridge.ErrHungUp, status{code: 480, phrase: "Temporarily Unavailable", cause: 16}},
	} {
		if errors.Is(reason, s.err) {
			return s.status
		}
	}
	if reason == nil {
		return status{code: 480, phrase: "Temporarily Unavailable", cause: 16}
	}
	return status{code: 500, phrase: "Server Internal Error", cause: 41}
}

// reasonOf turns the far end's refusal into a reason. It is the only place that does.
func reasonOf(code int) error {
	err := bridge.ErrSignalling
	switch code {
	case 401, 403, 407, 603, 607, 608:
		err = bridge.ErrForbidden
	case 486, 600, 503:
		err = bridge.ErrBusy
	case 487:
		err = bridge.ErrCancelled
	case 415, 488, 606:
		err = bridge.ErrNoCodec
	case 480, 404, 408, 410, 484, 604:
		err = bridge.ErrHungUp
	}
	return fmt.Errorf("%w (SIP %d)", err, code)
}

// reasonHeader is the Reason of a refusal or a BYE.
func (s status) reasonHeader() sipgo.Header {
	reason := fmt.Sprintf("Q.850;cause=%d", s.cause)
	if s.told {
		reason += fmt.Sprintf(";text=%q", s.warning)
	}
	return sipgo.NewHeader("Reason", reason)
}

// answer builds a response with the headers that each of ours has. tag is our To tag; it is ignored where the request has one.
func answer(req *sipgo.Request, code int, phrase, tag string) *sipgo.Response {
	res := sipgo.NewResponse(code, phrase)
	sipgo.CopyHeaders("Via", req, res)
	if code > 100 && code < 300 && req.IsInvite() {
		sipgo.CopyHeaders("Record-Route", req, res)
	}
	res.AppendHeader(sipgo.HeaderClone(req.From()))
	to := sipgo.HeaderClone(req.To()).(*sipgo.ToHeader)
	if code > 100 && !to.Params.Has("tag") && tag != "" {
		to.Params.Add("tag", tag)
	}
	res.AppendHeader(to)
	res.AppendHeader(sipgo.HeaderClone(req.CallID()))
	res.AppendHeader(sipgo.HeaderClone(req.CSeq()))
	if code == 100 {
		sipgo.CopyHeaders("Timestamp", req, res)
	}
	return res
}

// refusal is the response that tells a reason.
func (s *Server) refusal(req *sipgo.Request, tag string, reason error) *sipgo.Response {
	st := statusOf(reason)
	res := answer(req, st.code, st.phrase, tag)
	if st.retryAfter > 0 {
		res.AppendHeader(sipgo.NewHeader("Retry-After", strconv.Itoa(st.retryAfter)))
	}
	if st.warning != "" {
		res.AppendHeader(sipgo.NewHeader("Warning", fmt.Sprintf("%d %s %q", st.warnCode, s.warnAgent(), st.warning)))
	}
	res.AppendHeader(st.reasonHeader())
	return s.sign(res)
}

// sign adds Server and closes the message.
func (s *Server) sign(res *sipgo.Response) *sipgo.Response {
	if s.cfg.UserAgent != "" {
		res.AppendHeader(sipgo.NewHeader("Server", s.cfg.UserAgent))
	}
	if res.Body() == nil {
		res.SetBody(nil)
	}
	return res
}

// plain answers with a status and no more.
func (s *Server) plain(tx *serverTx, code int, phrase string, more ...sipgo.Header) {
	tag := tx.tag
	if tag == "" {
		tag = newTag()
	}
	res := answer(tx.req, code, phrase, tag)
	for _, h := range more {
		res.AppendHeader(h)
	}
	tx.respond(s.sign(res))
}

func (s *Server) warnAgent() string {
	if s.cfg.Advertise != "" {
		return s.cfg.Advertise
	}
	return "passerelle"
}
