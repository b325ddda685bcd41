package guest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"passerelle/bridge"
	"passerelle/bridge/links"
)

// resource is a call by WHIP (RFC 9725) or WHEP (draft-ietf-wish-whep), as HTTP sees it. It implements page: what a page would be told, nobody asks for.
type resource struct {
	server  *Server
	id      string
	leg     *Leg
	answers chan string // of the latest offer
	failed  chan string // why it could not be taken

	mu    sync.Mutex
	offer string // the latest, which an ICE restart changes
	tag   string // of the ICE session
}

// send implements page.
func (r *resource) send(m message) {
	switch m := m.(type) {
	case *answer:
		put(r.answers, m.SDP)
	case *failure:
		put(r.failed, m.Text)
	}
}

// put leaves a text in a channel of one, in place of an older one.
func put(c chan string, s string) {
	select {
	case <-c:
	default:
	}
	c <- s // run alone puts
}

// end implements page.
func (r *resource) end(int) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	delete(r.server.resources, r.id)
}

// answerTime bounds how long rules and room may take until the answer.
const answerTime = 20 * time.Second

const (
	typeSDP      = "application/sdp"
	typeFragment = "application/trickle-ice-sdpfrag" // RFC 8840
)

// routeWHIP adds the routes of WHIP and WHEP.
func (s *Server) routeWHIP(mux *http.ServeMux) {
	for _, kind := range []string{"whip", "whep"} {
		for _, path := range []string{"/" + kind, "/" + kind + "/{room}"} {
			mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) { s.serveOffer(w, r, kind) })
			mux.HandleFunc("OPTIONS "+path, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Accept-Post", typeSDP)
				s.servePreflight(w, r)
			})
		}
		path := "/" + kind + "/r/{id}"
		mux.HandleFunc("PATCH "+path, s.serveFragment)
		mux.HandleFunc("DELETE "+path, s.serveDelete)
		mux.HandleFunc("OPTIONS "+path, s.servePreflight)
	}
}

// serveOffer is POST: it begins a call.
func (s *Server) serveOffer(w http.ResponseWriter, r *http.Request, kind string) {
	l, err := s.bearer(r)
	if err != nil {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		s.refuse(w, r, err, l)
		return
	}
	text, err := body(w, r, typeSDP, maxSDP)
	if err != nil {
		s.refuse(w, r, err, l)
		return
	}
	sections, err := readOffer(text)
	if err != nil {
		s.refuse(w, r, err, l)
		return
	}
	n, err := s.begin(r, l, kind, text, sections)
	if err != nil {
		s.refuse(w, r, err, l)
		return
	}
	answer, err := n.await(r.Context())
	if err != nil {
		n.leg.End(bridge.ErrHungUp)
		s.refuse(w, r, err, l)
		return
	}
	h := w.Header()
	h.Set("Content-Type", typeSDP)
	h.Set("Location", "/"+kind+"/r/"+n.id)
	h.Set("ETag", n.etag())
	h.Set("Accept-Patch", typeFragment)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer) // the client is gone if it fails
}

// bearer is the link that a request comes by (RFC 6750).
func (s *Server) bearer(r *http.Request) (links.Link, error) {
	if err := s.originOK(r, true); err != nil {
		return noLink, err
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return noLink, fmt.Errorf("%w: no bearer token", links.ErrWrong)
	}
	l, err := s.links.Check(r.Context(), strings.TrimSpace(token))
	if err != nil {
		return l, unavailable(err)
	}
	if room := r.PathValue("room"); room != "" && room != l.Room {
		return l, fmt.Errorf("%w: it is for another room", links.ErrWrong)
	}
	return l, nil
}

// body reads the content of a request.
func body(w http.ResponseWriter, r *http.Request, kind string, most int64) (string, error) {
	if mime, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(mime), kind) {
		return "", fmt.Errorf("%w: the content is not %s", errMalformed, kind)
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return "", fmt.Errorf("%w: %d bytes are taken", errTooLarge, most)
	}
	if err != nil {
		return "", fmt.Errorf("%w: the content did not come", errMalformed)
	}
	return string(b), nil
}

// begin makes the leg of a call by WHIP or WHEP and starts it.
func (s *Server) begin(r *http.Request, l links.Link, kind, text string, sections []section) (*resource, error) {
	n := &resource{server: s, id: rand.Text(), answers: make(chan string, 1), failed: make(chan string, 1), offer: text, tag: rand.Text()}
	leg, err := s.enter(l, s.caller(l, s.address(r), s.secure(r), "whip"), offer{SDP: text})
	if err != nil {
		return nil, err
	}
	leg.page, leg.listener, n.leg = n, kind == "whep", leg
	guess(sections)
	for _, c := range sections {
		if c.use == UseCamera {
			leg.flows[0].On = true
		}
	}
	s.mu.Lock()
	refused := s.draining
	if !refused {
		s.resources[n.id] = n
	}
	s.mu.Unlock()
	if refused {
		s.leave(leg.caller.Source)
		leg.pass.Close()
		return nil, bridge.ErrDraining
	}
	s.start(leg, nil)
	return n, nil
}

// await waits for the answer to the latest offer.
func (r *resource) await(ctx context.Context) (string, error) {
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	select {
	case a := <-r.answers:
		return a, nil
	case why := <-r.failed:
		return "", fmt.Errorf("%w: %s", errOffer, why)
	case <-r.leg.gone:
		return "", r.leg.why()
	case <-timer.C:
		return "", fmt.Errorf("%w: no answer within %v", bridge.ErrUnavailable, answerTime)
	case <-ctx.Done():
		return "", bridge.ErrHungUp
	}
}

func (r *resource) etag() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return `"` + r.tag + `"`
}

// resource finds the call that a request is about.
func (s *Server) resource(r *http.Request) (*resource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.resources[r.PathValue("id")]; n != nil {
		return n, nil
	}
	return nil, errSession
}

// serveDelete is DELETE: the end of a call.
func (s *Server) serveDelete(w http.ResponseWriter, r *http.Request) {
	n, err := s.resource(r)
	if err != nil {
		s.refuse(w, r, err, noLink)
		return
	}
	n.leg.End(bridge.ErrHungUp)
	select {
	case <-n.leg.gone:
	case <-r.Context().Done():
	}
	w.WriteHeader(http.StatusOK)
}

// serveFragment is PATCH: candidates, which ICE-lite has no use for, or an ICE restart.
func (s *Server) serveFragment(w http.ResponseWriter, r *http.Request) {
	n, err := s.resource(r)
	if err != nil {
		s.refuse(w, r, err, noLink)
		return
	}
	text, err := body(w, r, typeFragment, maxBody)
	if err != nil {
		s.refuse(w, r, err, n.leg.link)
		return
	}
	match := r.Header.Get("If-Match")
	switch {
	case match == "":
		s.precondition(w, http.StatusPreconditionRequired)
	case match == n.etag():
		w.WriteHeader(http.StatusNoContent)
	case match != "*":
		s.precondition(w, http.StatusPreconditionFailed)
	default:
		s.restart(w, r, n, text)
	}
}

// precondition refuses a PATCH without the right If-Match (RFC 9725, section 4.3).
func (s *Server) precondition(w http.ResponseWriter, status int) {
	s.metrics.refused.WithLabelValues("precondition").Inc()
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"status":%d,"title":%q,"code":"malformed"}`, status, http.StatusText(status))
}

// restart does an ICE restart.
func (s *Server) restart(w http.ResponseWriter, r *http.Request, n *resource, fragment string) {
	n.mu.Lock()
	text, err := restarted(n.offer, fragment)
	n.mu.Unlock()
	if err != nil {
		s.refuse(w, r, err, n.leg.link)
		return
	}
	n.leg.later(func() { n.leg.handle(n, "offer", &offer{SDP: text}) })
	answer, err := n.await(r.Context())
	if err != nil {
		s.refuse(w, r, err, n.leg.link)
		return
	}
	n.mu.Lock()
	n.offer, n.tag = text, rand.Text()
	n.mu.Unlock()
	w.Header().Set("Content-Type", typeFragment)
	w.Header().Set("ETag", n.etag())
	_, _ = io.WriteString(w, transportOf(answer)) // the client is gone if it fails
}
