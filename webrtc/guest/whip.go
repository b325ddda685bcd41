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

	patching sync.Mutex // held while a PATCH is served: what it is about, and what it does, are one
	offer    string     // the latest, which an ICE restart changes; guarded by patching, once there is an answer
	tag      string     // of the ICE session: an entity tag; likewise
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

// routeWHIP adds the routes of WHIP and WHEP. What neither knows is refused, so that it may come to mean something (RFC 9725, section 4.2).
func (s *Server) routeWHIP(mux *http.ServeMux) {
	const endpoint, session = "POST, OPTIONS", "PATCH, DELETE, OPTIONS"
	for _, kind := range []string{"whip", "whep"} {
		for _, path := range []string{"/" + kind, "/" + kind + "/{room}"} {
			mux.HandleFunc("POST "+path, s.forPages(func(w http.ResponseWriter, r *http.Request) { s.serveOffer(w, r, kind) }))
			mux.HandleFunc("OPTIONS "+path, s.forPages(s.serveEndpoint(endpoint)))
			mux.HandleFunc(path, s.forPages(s.serveNothing(endpoint)))
		}
		path := "/" + kind + "/r/{id}"
		mux.HandleFunc("PATCH "+path, s.forPages(s.serveFragment))
		mux.HandleFunc("DELETE "+path, s.forPages(s.serveDelete))
		mux.HandleFunc("OPTIONS "+path, s.forPages(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Accept-Patch", typeFragment)
			preflight(session)(w, r)
		}))
		mux.HandleFunc(path, s.forPages(s.serveNothing(session)))
	}
}

// serveEndpoint is OPTIONS of where calls begin. Who has a link is told of our TURN server: some clients take it before their offer only (section 4.6).
func (s *Server) serveEndpoint(methods string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			l, err := s.bearer(r)
			if err != nil {
				s.challenge(w, r, err, l)
				return
			}
			s.addServers(w.Header(), l)
		}
		w.Header().Set("Accept-Post", typeSDP)
		preflight(methods)(w, r)
	}
}

// serveNothing refuses all other methods.
func (s *Server) serveNothing(methods string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", methods)
		s.refuse(w, r, errMethod, noLink)
	}
}

// serveOffer is POST: it begins a call.
func (s *Server) serveOffer(w http.ResponseWriter, r *http.Request, kind string) {
	l, err := s.bearer(r)
	if err != nil {
		s.challenge(w, r, err, l)
		return
	}
	text, err := body(w, r, typeSDP, maxSDP)
	if err != nil {
		w.Header().Set("Accept-Post", typeSDP)
		s.refuse(w, r, err, l)
		return
	}
	sections, err := readOffer(text)
	if err == nil && kind == "whip" {
		err = single(sections)
	}
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
	h.Set("ETag", n.tag)
	h.Set("Accept-Patch", typeFragment)
	s.addServers(h, l)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer) // the client is gone if it fails
}

// bearer is the link that a request comes by (RFC 6750).
func (s *Server) bearer(r *http.Request) (links.Link, error) {
	if !s.configured(r) && !s.someOrigin(r.Header.Get("Origin")) {
		return noLink, errOrigin
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return noLink, errNoBearer
	}
	l, err := s.links.Check(r.Context(), strings.TrimSpace(token))
	if err != nil {
		return l, unavailable(err)
	}
	if room := r.PathValue("room"); room != "" && room != l.Room {
		return l, errRoom
	}
	return l, s.pageOK(r, l)
}

// challenge refuses a request whose bearer token lets nobody in, in the words of HTTP (RFC 6750, section 3).
func (s *Server) challenge(w http.ResponseWriter, r *http.Request, err error, l links.Link) {
	is := func(e error) bool { return errors.Is(err, e) }
	status := judge(err).status
	switch {
	case is(errNoBearer):
		w.Header().Set("WWW-Authenticate", "Bearer")
	case is(errRoom):
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope"`)
	case is(links.ErrWrong), is(links.ErrExpired), is(links.ErrRevoked):
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		status = http.StatusUnauthorized
	}
	s.refuseAs(w, r, status, err, l)
}

// addServers tells a client of our own TURN server, where there is one: of no other, ever (RFC 9725, section 4.6).
func (s *Server) addServers(h http.Header, l links.Link) {
	for _, server := range s.relay.credentials(l.Until) {
		for _, url := range server.URLs {
			h.Add("Link", fmt.Sprintf(`<%s>; rel="ice-server"; username=%q; credential=%q; credential-type="password"`, url, server.Username, server.Credential))
		}
	}
}

// body reads the content of a request.
func body(w http.ResponseWriter, r *http.Request, kind string, most int64) (string, error) {
	if mime, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(mime), kind) {
		return "", fmt.Errorf("%w: the content is not %s", errMedia, kind)
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
	n := &resource{server: s, id: rand.Text(), answers: make(chan string, 1), failed: make(chan string, 1), offer: text, tag: newTag()}
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

// resource finds the call that a request is about. Its address is the proof: nobody guesses it.
func (s *Server) resource(r *http.Request) (*resource, error) {
	s.mu.Lock()
	n := s.resources[r.PathValue("id")]
	s.mu.Unlock()
	if n == nil {
		return nil, errSession
	}
	return n, s.pageOK(r, n.leg.link)
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
