package sip

import (
	"bytes"
	"strings"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/bridge"
)

// info takes an INFO (RFC 6086, in its older use): digits in both MIME types, a keyframe request (RFC 5168) that has nothing to act on
// here, and nothing at all, which some devices send to see whether we are alive.
func (l *Leg) info(tx *serverTx) {
	s := l.server
	body := tx.req.Body()
	switch t := contentType(tx.req); {
	case len(body) == 0:
		s.plain(tx, 200, "OK")
	case t == "application/dtmf-relay" || t == "application/dtmf":
		digit, ok := parseDigit(t, body)
		if !ok {
			s.plain(tx, 400, "Malformed Digit")
			return
		}
		s.plain(tx, 200, "OK")
		l.emit(bridge.Event{Kind: bridge.Digit, Digit: digit, Way: "info"})
	case t == "application/media_control+xml":
		s.plain(tx, 200, "OK")
	default:
		s.plain(tx, 415, "Unsupported Media Type", sipgo.NewHeader("Accept", "application/dtmf-relay, application/dtmf, application/media_control+xml"))
	}
}

// parseDigit reads the digit of a body: "Signal=5" and "Duration=160" on lines of their own for dtmf-relay, "5" alone for dtmf, where some
// send the first form, too. 10 and 11 are * and #, 12 to 15 are A to D, as in RFC 4733.
func parseDigit(contentType string, body []byte) (byte, bool) {
	const keys = "0123456789*#ABCD"
	value := ""
	for _, line := range strings.FieldsFunc(string(body[:min(len(body), 512)]), func(r rune) bool { return r == '\r' || r == '\n' }) {
		k, v, ok := strings.Cut(line, "=")
		if ok && strings.EqualFold(strings.TrimSpace(k), "signal") {
			value = strings.TrimSpace(v)
			break
		}
		if !ok && contentType == "application/dtmf" {
			value = strings.TrimSpace(line)
			break
		}
	}
	value = strings.ToUpper(value)
	if len(value) == 2 && value[0] == '1' && value[1] <= '5' && value[1] >= '0' {
		return keys[10+value[1]-'0'], true
	}
	if len(value) != 1 || bytes.IndexByte([]byte(keys), value[0]) < 0 {
		return 0, false
	}
	return value[0], true
}
