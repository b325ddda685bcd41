package guest

import (
	"bufio"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"

	"passerelle/bridge/links"
)

//go:embed page
var files embed.FS

// contentPolicy lets the page load nothing but its own files, and speak with nobody but its own server (Content Security Policy, level 3).
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self'; " +
	"connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Bounds of requests.
const (
	maxBody   = 8 << 10 // bytes of a request, besides offers
	maxHeader = 16 << 10
)

// noLink is the link of a request where none is known.
var noLink links.Link

// handler routes requests.
func (s *Server) handler() http.Handler {
	root, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // a mistake of ours, which every test would meet
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.Handle("GET /page/", http.StripPrefix("/page/", plain(http.FileServerFS(root))))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("POST /api/v1/session", s.serveSession)
	mux.HandleFunc("OPTIONS /api/v1/session", preflight("POST, OPTIONS"))
	mux.HandleFunc("GET /api/v1/ws", s.serveSocket)
	s.routeWHIP(mux)
	return s.guarded(mux)
}

// guarded does what every answer needs: headers, counting, and a limit for each address.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self), speaker-selection=(self), autoplay=(self), fullscreen=(self), screen-wake-lock=(self)")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		s.allowOrigin(w, r)
		if !s.gate.request(s.address(r)) {
			s.refuse(w, r, fmt.Errorf("%w: %d requests a second (guests.rate)", errTooMany, s.cfg.Rate), noLink)
			return
		}
		c := &counted{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(c, r)
		s.metrics.requests.WithLabelValues(strconv.Itoa(c.status/100) + "xx").Inc()
	})
}

// counted remembers the status of an answer.
type counted struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (c *counted) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

// Hijack implements http.Hijacker, for the WebSocket.
func (c *counted) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(c.ResponseWriter).Hijack()
}

// plain keeps directories and what is not a page's file from being served.
func plain(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "" || strings.HasSuffix(r.URL.Path, "/") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// servePage is GET /.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, files, "page/index.html")
}

// serveSession is POST /api/v1/session: it takes a link and gives a session.
func (s *Server) serveSession(w http.ResponseWriter, r *http.Request) {
	if err := s.originOK(r); err != nil {
		s.refuse(w, r, err, noLink)
		return
	}
	var request struct {
		Link string `json:"link"`
	}
	if mime, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); mime != "application/json" {
		s.refuse(w, r, fmt.Errorf("%w: the content is not application/json", errMedia), noLink)
		return
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&request); err != nil {
		s.refuse(w, r, fmt.Errorf("%w: not a JSON object with a link", errMalformed), noLink)
		return
	}
	l, err := s.links.Check(r.Context(), request.Link)
	if err != nil {
		s.log.Debug("guest: link refused", "token", links.Short(request.Link))
		s.refuse(w, r, unavailable(err), l)
		return
	}
	n, err := s.open(r.Context(), l, s.address(r), s.secure(r))
	if err != nil {
		s.refuse(w, r, err, l)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct { // the client is gone if it fails
		Session string `json:"session"`
		Terms   Terms  `json:"terms"`
	}{n.token, n.terms})
}
