package guest

import (
	"net/http"
	"net/url"
	"slices"

	"passerelle/bridge"
	"passerelle/bridge/links"
)

// Pages of others (Fetch, section 3.2). A browser says which page a request comes from and lets that page read an answer only where the answer permits it; before
// most requests it asks with OPTIONS, which says nothing of the link. So the preflight is answered by what configuration and any rule take, and the
// request itself by the rule of its link.

// originOK refuses pages of somewhere else (RFC 6454) than guests.origins says, for the session and the WebSocket. Who is no browser says no origin, and has to
// have a token like everybody.
func (s *Server) originOK(r *http.Request) error {
	if o := r.Header.Get("Origin"); o == "" || s.own(r, o) || slices.Contains(s.cfg.Origins, o) {
		return nil
	}
	return errOrigin
}

// everywhere is the entry of guests.origins that takes all pages, for WHIP and WHEP only.
const everywhere = "*"

// configured tells whether WHIP and WHEP are open to the page of a request, whatever the rules say.
func (s *Server) configured(r *http.Request) bool {
	return s.originOK(r) == nil || slices.Contains(s.cfg.Origins, everywhere)
}

// pageOK refuses a request of WHIP or WHEP that comes from a page which neither guests.origins nor the link's rule takes.
func (s *Server) pageOK(r *http.Request, l links.Link) error {
	if s.configured(r) {
		return nil
	}
	d := s.policy.Decide(r.Context(), facts(l, s.address(r), s.secure(r), "whip"))
	switch {
	case !d.Allowed:
		return &bridge.Refused{Rule: d.Rule, Refusal: d.Refusal}
	case !d.Grant.TakesOrigin(r.Header.Get("Origin")):
		return errOrigin
	}
	return nil
}

// own tells whether an origin is that of our own page.
func (s *Server) own(r *http.Request, origin string) bool {
	if s.cfg.PublicURL != "" {
		if u, err := url.Parse(s.cfg.PublicURL); err == nil && origin == u.Scheme+"://"+u.Host {
			return true
		}
	}
	scheme := "http"
	if s.secure(r) {
		scheme = "https"
	}
	return origin == scheme+"://"+r.Host
}

// allowOrigin says to a browser which page may read the answer.
func (s *Server) allowOrigin(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Origin")
	if s.configured(r) {
		readable(w, r)
	}
}

// forPages answers requests of WHIP and WHEP so that pages which any rule takes, too, can read the answer, or the refusal.
func (s *Server) forPages(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.someOrigin(r.Header.Get("Origin")) {
			readable(w, r)
		}
		next(w, r)
	}
}

// readable lets the page that a request comes from read the answer.
func readable(w http.ResponseWriter, r *http.Request) {
	if o := r.Header.Get("Origin"); o != "" {
		w.Header().Set("Access-Control-Allow-Origin", o)
		w.Header().Set("Access-Control-Expose-Headers", "Location, ETag, Link, Retry-After, Accept-Patch, Accept-Post, Allow")
	}
}

// preflight answers what a browser asks before a request of another page.
func preflight(methods string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Allow", methods)
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusOK) // which RFC 9725, section 4.2, wants
	}
}
