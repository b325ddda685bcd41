package guest

import (
	"fmt"
	"strings"
)

// maxFragment is how many lines a fragment may have.
const maxFragment = 200

// restarted is an offer with the ICE credentials of a fragment (RFC 8840, section 9), which begin ICE anew.
func restarted(offer, fragment string) (string, error) {
	if strings.Count(fragment, "\n") > maxFragment {
		return "", fmt.Errorf("%w: more than %d lines", errTooLarge, maxFragment)
	}
	var ufrag, pwd string
	for line := range lines(fragment) {
		switch {
		case strings.HasPrefix(line, "a=ice-ufrag:") && ufrag == "":
			ufrag = line
		case strings.HasPrefix(line, "a=ice-pwd:") && pwd == "":
			pwd = line
		}
	}
	if ufrag == "" || pwd == "" || len(ufrag) > 300 || len(pwd) > 300 {
		return "", fmt.Errorf("%w: an ICE restart needs a=ice-ufrag and a=ice-pwd", errMalformed)
	}
	var out strings.Builder
	for line := range lines(offer) {
		switch {
		case strings.HasPrefix(line, "a=ice-ufrag:"):
			line = ufrag
		case strings.HasPrefix(line, "a=ice-pwd:"):
			line = pwd
		case strings.HasPrefix(line, "a=candidate:"), line == "a=end-of-candidates":
			continue
		}
		out.WriteString(line + "\r\n")
	}
	return out.String(), nil
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
