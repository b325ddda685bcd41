package sip

import (
	"strings"

	sipgo "github.com/emiago/sipgo/sip"
)

// replaced is a Replaces header (RFC 3891, section 6.1).
type replaced struct {
	callID, toTag, fromTag string
	earlyOnly              bool
}

// parseReplaces reads one; false: it is malformed.
func parseReplaces(s string) (replaced, bool) {
	id, rest, _ := strings.Cut(s, ";")
	r := replaced{callID: strings.TrimSpace(id)}
	for _, p := range strings.Split(rest, ";") {
		k, v, _ := strings.Cut(p, "=")
		switch strings.ToLower(strings.TrimSpace(k)) {
		case "to-tag":
			r.toTag = strings.TrimSpace(v)
		case "from-tag":
			r.fromTag = strings.TrimSpace(v)
		case "early-only":
			r.earlyOnly = true
		}
	}
	return r, r.callID != "" && r.toTag != "" && r.fromTag != ""
}

// replaces refuses an INVITE that wants to take the place of another call (RFC 3891, section 3): 400 for a malformed header or several of
// them; 481 where no such call is, and where it is an early one that we did not begin; 486 where only an early one is meant and ours is
// confirmed; else 403, for nobody is authorized to replace a call: its caller has typed a PIN, the new one has not. Code 0: no such header.
func (s *Server) replaces(req *sipgo.Request) (code int, phrase string) {
	h := req.GetHeaders("replaces")
	switch len(h) {
	case 0:
		return 0, ""
	case 1:
	default:
		return 400, "Several Replaces"
	}
	r, ok := parseReplaces(h[0].Value())
	if !ok {
		return 400, "Malformed Replaces"
	}
	l := s.leg(r.toTag, r.callID)
	if l == nil {
		return 481, "Call/Transaction Does Not Exist"
	}
	if remote := l.up.Load(); remote == nil || *remote != r.fromTag {
		return 481, "Call/Transaction Does Not Exist"
	}
	if r.earlyOnly {
		return 486, "Busy Here"
	}
	return 403, "Forbidden"
}
