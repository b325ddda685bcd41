package guest

import (
	"fmt"
	"strings"
)

// maxFragment is how many lines a fragment may have.
const maxFragment = 200

// fragment is what a client sends of ICE after its offer (RFC 8840, section 9). Its candidates are not kept.
type fragment struct {
	ufrag, pwd string // empty, both: none
}

// readFragment reads a fragment. Of several credentials the first count: all sections are bundled.
func readFragment(text string) (fragment, error) {
	if strings.Count(text, "\n") > maxFragment {
		return fragment{}, fmt.Errorf("%w: more than %d lines", errTooLarge, maxFragment)
	}
	var f fragment
	for line := range lines(text) {
		if len(line) < 2 || line[0] < 'a' || line[0] > 'z' || line[1] != '=' {
			return fragment{}, fmt.Errorf("%w: this is no SDP fragment", errMalformed)
		}
		if v, ok := strings.CutPrefix(line, ufragLine); ok && f.ufrag == "" {
			f.ufrag = v
		}
		if v, ok := strings.CutPrefix(line, pwdLine); ok && f.pwd == "" {
			f.pwd = v
		}
	}
	if (f.ufrag == "") != (f.pwd == "") || !iceText(f.ufrag) || !iceText(f.pwd) {
		return fragment{}, fmt.Errorf("%w: credentials of ICE are a=ice-ufrag and a=ice-pwd, of letters, digits, + and /, up to %d", errMalformed, maxICE)
	}
	return f, nil
}

const (
	ufragLine = "a=ice-ufrag:"
	pwdLine   = "a=ice-pwd:"
	maxICE    = 256 // characters of each (RFC 8839, section 5.4)
)

// iceText tells whether a text is made of ice-chars, as many as there may be.
func iceText(s string) bool {
	return len(s) <= maxICE && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '+' && c != '/'
	})
}

// same tells whether the fragment's credentials are those of an offer.
func (f fragment) same(offer string) bool {
	for line := range lines(offer) {
		if v, ok := strings.CutPrefix(line, ufragLine); ok {
			return v == f.ufrag
		}
	}
	return false
}

// restarted is an offer with the fragment's credentials, which begin ICE anew.
func (f fragment) restarted(offer string) string {
	var out strings.Builder
	for line := range lines(offer) {
		switch {
		case strings.HasPrefix(line, ufragLine):
			line = ufragLine + f.ufrag
		case strings.HasPrefix(line, pwdLine):
			line = pwdLine + f.pwd
		case strings.HasPrefix(line, "a=candidate:"), line == "a=end-of-candidates":
			continue
		}
		out.WriteString(line + "\r\n")
	}
	return out.String()
}

// transportOf is the fragment that tells the credentials and candidates of an answer.
func transportOf(answer string) string {
	var out strings.Builder
	seen, section := map[string]bool{}, false
	for line := range lines(answer) {
		switch {
		case strings.HasPrefix(line, "m="):
			if section {
				return out.String() // all sections are bundled: the first tells it all
			}
			section = true
			out.WriteString(line + "\r\n")
		case line == "a=ice-lite", strings.HasPrefix(line, "a=ice-ufrag:"), strings.HasPrefix(line, "a=ice-pwd:"), strings.HasPrefix(line, "a=mid:"),
			strings.HasPrefix(line, "a=candidate:"), line == "a=end-of-candidates":
			if !seen[line] {
				out.WriteString(line + "\r\n")
			}
			seen[line] = true
		}
	}
	return out.String()
}

// lines goes through the lines of an SDP.
func lines(text string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			if line = strings.TrimRight(line, "\r\n"); line != "" && !yield(line) {
				return
			}
		}
	}
}
