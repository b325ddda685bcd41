package guest

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// newTag is a strong entity tag, of one ICE session (RFC 9725, section 4.3.1).
func newTag() string { return `"` + rand.Text() + `"` }

// serveFragment is PATCH (RFC 9725, section 4.3): candidates, which ICE-lite has no use for because it learns them from checks, or credentials that are not
// those of before: an ICE restart. Requests of one call are served one after the other.
func (s *Server) serveFragment(w http.ResponseWriter, r *http.Request) {
	n, err := s.resource(r)
	if err != nil {
		s.refuse(w, r, err, noLink)
		return
	}
	text, err := body(w, r, typeFragment, maxBody)
	var f fragment
	if err == nil {
		f, err = readFragment(text)
	}
	if err != nil {
		w.Header().Set("Accept-Patch", typeFragment)
		s.refuse(w, r, err, n.leg.link)
		return
	}
	n.patching.Lock()
	defer n.patching.Unlock()
	match := strings.Join(r.Header.Values("If-Match"), ",")
	switch {
	case match == "":
		s.refuse(w, r, errNoTag, n.leg.link)
	case !matches(match, n.tag):
		s.refuse(w, r, errOldTag, n.leg.link)
	case f.ufrag == "" && match == "*":
		s.refuse(w, r, fmt.Errorf("%w: an ICE restart needs a=ice-ufrag and a=ice-pwd", errMalformed), n.leg.link)
	case f.ufrag == "" || f.same(n.offer):
		w.WriteHeader(http.StatusNoContent)
	default:
		s.restart(w, r, n, f)
	}
}

// matches tells whether a list of entity tags names one (RFC 9110, section 13.1.1).
func matches(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == tag || one == "*" {
			return true
		}
	}
	return false
}

// restart begins ICE anew. Where that fails, the ICE session of before goes on. n.patching is held.
func (s *Server) restart(w http.ResponseWriter, r *http.Request, n *resource, f fragment) {
	text := f.restarted(n.offer)
	err := n.leg.do(r.Context(), func() {
		n.forget()
		n.leg.handle(n, "offer", &offer{SDP: text})
	})
	var answer string
	if err == nil {
		answer, err = n.await(r.Context())
	}
	if err != nil {
		s.refuse(w, r, err, n.leg.link)
		return
	}
	n.offer, n.tag = text, newTag()
	w.Header().Set("Content-Type", typeFragment)
	w.Header().Set("ETag", n.tag)
	_, _ = io.WriteString(w, transportOf(answer)) // the client is gone if it fails
}

// forget drops what was said to a request that did not wait for it. The leg's goroutine calls it, before it says anything else.
func (r *resource) forget() {
	for _, c := range [...]chan string{r.answers, r.failed} {
		select {
		case <-c:
		default:
		}
	}
}
