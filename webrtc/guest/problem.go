package guest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"passerelle/bridge/links"
)

// problem is a refusal over HTTP (RFC 9457).
type problem struct {
	Status int       `json:"status"`
	Title  string    `json:"title"`
	Detail string    `json:"detail,omitempty"`
	Code   string    `json:"code"`
	From   time.Time `json:"from,omitzero"` // of link_early
}

// refuse answers a request with the problem that an error is. l is the link, where it is known.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error, l links.Link) {
	s.refuseAs(w, r, judge(err).status, err, l)
}

// refuseAs refuses with a status of its own.
func (s *Server) refuseAs(w http.ResponseWriter, r *http.Request, status int, err error, l links.Link) {
	v := judge(err)
	v.status = status
	p := problem{Status: v.status, Title: v.title, Detail: explain(err), Code: v.code}
	if errors.Is(err, errOffer) || errors.Is(err, errMalformed) || errors.Is(err, errMedia) {
		p.Detail = err.Error() // which is about what they sent
	}
	if errors.Is(err, links.ErrEarly) {
		p.From = l.From
	}
	if v.status == http.StatusTooManyRequests || v.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	s.metrics.refused.WithLabelValues(v.code).Inc()
	s.log.Info("guest refused", "reason", v.code, "link", l.ID, "from", s.address(r), "request", r.Pattern, "error", err)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(v.status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone if it fails
}

// retryAfter is when a client that was refused for now may try again, in seconds.
const retryAfter = 5
