package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"passerelle/bridge"
)

// problem is an answer that is not what was asked for, as RFC 9457 has it. Its text says what happened and what to do; it is for people.
type problem struct {
	Type   string  `json:"type"`  // urn:passerelle:problem:WORD: for programs
	Title  string  `json:"title"` // of the status
	Status int     `json:"status"`
	Detail string  `json:"detail"`
	ID     string  `json:"request_id"`
	Errors []fault `json:"errors,omitempty"` // which parts of the request were wrong

	wait      time.Duration // after which to ask again
	challenge string        // WWW-Authenticate (RFC 6750, section 3)
	again     bool          // somebody who asks too often was told so a moment ago
}

// problemType begins the type of every problem.
const problemType = "urn:passerelle:problem:"

// fault is one part of a request that is wrong.
type fault struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Error is the text.
func (p *problem) Error() string { return p.Detail }

// refuse makes a problem. word is the end of its type.
func refuse(status int, word, detail string, args ...any) *problem {
	return &problem{Type: problemType + word, Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(detail, args...)}
}

// toProblem is the one place where errors become HTTP statuses.
func toProblem(err error) *problem {
	var p *problem
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &long):
		return refuse(http.StatusRequestEntityTooLarge, "too-large", "The body is longer than the %d bytes that this operation takes. Send a shorter one.", long.Limit)
	case errors.Is(err, bridge.ErrNoCall):
		return noCall()
	case errors.Is(err, bridge.ErrNotNow):
		return refuse(http.StatusConflict, "not-now", "The call is in a state in which this cannot be done. Look at its state, and try again when it has changed.")
	case errors.Is(err, context.DeadlineExceeded):
		p = refuse(http.StatusServiceUnavailable, "no-answer", "The node did not answer in time. It may be busy: look at /api/v1/node, and try again.")
		p.wait = time.Second
		return p
	}
	return refuse(http.StatusInternalServerError, "internal", "Something went wrong inside the node. Its log tells more under this request's id.")
}

func noCall() *problem {
	return refuse(http.StatusNotFound, "no-call", "There is no such call on this node. It may have ended, or be on another node: list those that run with GET /api/v1/calls.")
}

// write answers with the problem.
func (p problem) write(w http.ResponseWriter, id string) {
	p.ID = id
	w.Header().Set("Content-Type", "application/problem+json")
	if p.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((p.wait+time.Second-1)/time.Second)))
	}
	if p.challenge != "" {
		w.Header().Set("WWW-Authenticate", p.challenge)
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone if it fails
}

// reply answers with JSON.
func reply(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n')) // the client is gone if it fails
	return nil
}
