package sip

import (
	"strings"

	sipgo "github.com/emiago/sipgo/sip"
)

const (
	allow     = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, PRACK"
	supported = "100rel, timer"
)

// onRequest is called with each new request, in the order of its socket, and must not block.
func (s *Server) onRequest(tx *serverTx) {
	switch tag, _ := tx.req.To().Params.Get("tag"); {
	case !s.sound(tx):
	case tx.req.IsCancel():
		s.cancel(tx)
	case tag != "":
		s.inDialog(tx, tag)
	default:
		s.outside(tx)
	}
}

// sound refuses what contradicts itself. Only a trunk is told.
func (s *Server) sound(tx *serverTx) bool {
	req := tx.req
	code, phrase := 0, ""
	from, _ := req.From().Params.Get("tag")
	switch {
	case !strings.EqualFold(req.SipVersion, "SIP/2.0"):
		code, phrase = 505, "Version Not Supported"
	case !strings.EqualFold(string(req.CSeq().MethodName), string(req.Method)): // sipgo writes methods in upper case
		code, phrase = 400, "CSeq Method Differs"
	case from == "":
		code, phrase = 400, "Missing From Tag"
	case count(req, "cseq") > 1 || count(req, "call-id", "i") > 1 || count(req, "from", "f") > 1 || count(req, "to", "t") > 1 ||
		count(req, "content-length", "l") > 1 || count(req, "max-forwards") > 1:
		code, phrase = 400, "Repeated Header"
	case req.Recipient.Scheme != "sip" && req.Recipient.Scheme != "sips" && req.Recipient.Scheme != "tel":
		code, phrase = 416, "Unsupported URI Scheme"
	default:
		return true
	}
	if !s.peers(tx.from) {
		s.drop(tx)
		return false
	}
	s.plain(tx, code, phrase)
	return false
}

// outside handles requests that begin something.
func (s *Server) outside(tx *serverTx) {
	switch tx.req.Method {
	case sipgo.INVITE:
		s.invite(tx)
		return
	case sipgo.OPTIONS:
		s.options(tx)
		return
	}
	if !s.peers(tx.from) {
		s.drop(tx)
		return
	}
	switch tx.req.Method {
	case sipgo.BYE, sipgo.INFO, sipgo.UPDATE, sipgo.PRACK:
		s.plain(tx, 481, "Call/Transaction Does Not Exist")
	case sipgo.REGISTER, sipgo.SUBSCRIBE, sipgo.NOTIFY, sipgo.REFER, sipgo.MESSAGE, sipgo.PUBLISH:
		s.plain(tx, 405, "Method Not Allowed", sipgo.NewHeader("Allow", allow))
	default:
		s.plain(tx, 501, "Not Implemented", sipgo.NewHeader("Allow", allow))
	}
}

// drop leaves a request of an unknown source without any answer: a scanner learns nothing, not even that somebody listens.
func (s *Server) drop(tx *serverTx) {
	s.metrics.dropped.WithLabelValues("unknown").Inc()
	tx.forget()
}

// inDialog hands a request to the leg that it is for. Who knows both tags and the Call-ID is the far end, wherever it sends from now.
func (s *Server) inDialog(tx *serverTx, tag string) {
	l := s.leg(tag, string(*tx.req.CallID()))
	if l == nil {
		if !s.peers(tx.from) {
			s.drop(tx)
			return
		}
		s.plain(tx, 481, "Call/Transaction Does Not Exist")
		return
	}
	tx.tag = tag
	if !l.offer(func() { l.handle(tx) }) {
		tx.forget() // it will be sent again
	}
}

// handle is called on the leg's goroutine with each request within its dialog (RFC 3261, section 12.2.2).
func (l *Leg) handle(tx *serverTx) {
	s, req, d := l.server, tx.req, l.dialog
	from, _ := req.From().Params.Get("tag")
	switch unknown := unsupported(req); {
	case from != d.remoteTag() || l.state == stateOver:
		s.plain(tx, 481, "Call/Transaction Does Not Exist")
		return
	case int64(req.CSeq().SeqNo) <= d.remoteSeq:
		s.plain(tx, 500, "CSeq Out Of Order")
		return
	case unknown != "":
		d.remoteSeq = int64(req.CSeq().SeqNo)
		s.plain(tx, 420, "Bad Extension", sipgo.NewHeader("Unsupported", unknown))
		return
	}
	d.remoteSeq = int64(req.CSeq().SeqNo)
	l.follow(tx.from)
	switch req.Method {
	case sipgo.BYE:
		l.bye(tx)
	case sipgo.INVITE:
		l.reinvite(tx)
	case sipgo.UPDATE:
		l.update(tx)
	case sipgo.INFO:
		l.info(tx)
	case sipgo.PRACK:
		l.prack(tx)
	case sipgo.OPTIONS:
		tx.respond(s.capabilities(tx.req, tx.tag))
	case sipgo.REFER: // transfers are the bridge's to grant, and it grants none yet (RFC 3515, section 2.4.2)
		s.plain(tx, 603, "Decline")
	default:
		s.plain(tx, 405, "Method Not Allowed", sipgo.NewHeader("Allow", allow))
	}
}

// headers are all fields of the given names: the long one and its compact form.
func headers(m interface{ GetHeaders(string) []sipgo.Header }, names ...string) []sipgo.Header {
	var out []sipgo.Header
	for _, n := range names {
		out = append(out, m.GetHeaders(n)...)
	}
	return out
}

func count(m interface{ GetHeaders(string) []sipgo.Header }, names ...string) int {
	return len(headers(m, names...))
}

// tokens are the comma-separated words of all fields of the given names, in lower case.
func tokens(m interface{ GetHeaders(string) []sipgo.Header }, names ...string) []string {
	var out []string
	for _, h := range headers(m, names...) {
		for _, t := range strings.Split(h.Value(), ",") {
			if t = strings.ToLower(strings.TrimSpace(t)); t != "" {
				out = append(out, t)
			}
		}
	}
	return out
}

func has(list []string, word string) bool {
	for _, w := range list {
		if w == word {
			return true
		}
	}
	return false
}

// unsupported lists the option tags that a request requires and we do not know (RFC 3261, section 8.2.2.3).
func unsupported(req *sipgo.Request) string {
	var unknown []string
	for _, t := range tokens(req, "require") {
		if t != "100rel" && t != "timer" {
			unknown = append(unknown, t)
		}
	}
	return strings.Join(unknown, ", ")
}
