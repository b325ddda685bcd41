package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"passerelle/configs"
	"passerelle/internal/webclient"
)

// The access levels of Visio's rooms: who enters without waiting for a host.
const (
	Public     = "public"     // everybody
	Trusted    = "trusted"    // who is signed in: no caller is
	Restricted = "restricted" // members
)

// Bounds of what is asked of Visio, and of what is kept of it.
const (
	accessKept  = 10 * time.Second // an answer: a host who closes a room is obeyed after that
	failureKept = 2 * time.Second  // the lack of one
	maxAccess   = 4096             // rooms
	maxAsking   = 8                // requests at the same time
	maxRoom     = 64 << 10         // bytes of an answer
)

// Visio asks Visio's API who enters a room without waiting for a host: GET rooms/<id>/, which Visio (suitenumerique/meet) answers to everybody, with the
// room's id and access_level. Its answer for a public room holds the PIN and a token as well, so nothing of an answer is told to logs or errors.
type Visio struct {
	base    *url.URL
	client  *http.Client
	timeout time.Duration
	log     *slog.Logger
	turns   chan struct{} // holds a token for each request under way

	known *lru.Cache[string, access]

	mu     sync.Mutex
	until  time.Time // before this, Visio wants no request
	failed bool      // the last request
}

// access is what is known of one room.
type access struct {
	level string
	until time.Time // it holds
}

// NewVisio makes one that asks cfg.URL and waits for timeout at most for one answer.
func NewVisio(cfg configs.Visio, dial Dial, timeout time.Duration, log *slog.Logger) (*Visio, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, errors.New("directory.visio.url: expected a URL such as https://visio.example.org/api/v1.0/")
	}
	client, err := webclient.New(webclient.Options{Dial: dial, CAFile: cfg.CAFile, Handshake: timeout})
	if err != nil {
		return nil, fmt.Errorf("directory.visio: %w", err)
	}
	known, err := lru.New[string, access](maxAccess)
	if err != nil {
		return nil, fmt.Errorf("directory.visio: %w", err)
	}
	return &Visio{base: base, client: client, timeout: timeout, log: log, turns: make(chan struct{}, maxAsking), known: known}, nil
}

// Access is the room's access level: Public, Trusted or Restricted. Where Visio does not answer, knows no such room or says a word that we do not know,
// it is Restricted, the strictest: callers wait for a host. It is empty for a room whose name is not the id of a Visio room, for Visio has no say in it.
func (v *Visio) Access(ctx context.Context, room string) string {
	if id, err := uuid.Parse(room); err != nil || id.String() != room {
		return ""
	}
	if level, ok := v.remembered(room); ok {
		return level
	}
	select {
	case v.turns <- struct{}{}:
		defer func() { <-v.turns }()
	case <-ctx.Done():
		return Restricted
	}
	if level, ok := v.remembered(room); ok { // another caller asked while we waited
		return level
	}
	level, err := v.ask(ctx, room)
	if err != nil && ctx.Err() != nil {
		return Restricted // the caller's time was over: that says nothing about Visio
	}
	v.note(err)
	switch level {
	case Public, Trusted, Restricted:
		v.known.Add(room, access{level, time.Now().Add(accessKept)})
		return level
	case "":
	default:
		v.log.Warn("Visio says an access level that is not known: callers wait for a host", "room", room)
	}
	v.known.Add(room, access{Restricted, time.Now().Add(failureKept)})
	return Restricted
}

func (v *Visio) remembered(room string) (string, bool) {
	a, ok := v.known.Get(room)
	return a.level, ok && time.Now().Before(a.until)
}

// note tells the log when Visio ceases to answer, and when it is back.
func (v *Visio) note(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil && !v.failed {
		v.log.Warn("Visio does not say who enters rooms: callers wait for a host", "err", err)
	}
	if err == nil && v.failed {
		v.log.Info("Visio says again who enters rooms")
	}
	v.failed = err != nil
}

// ask sends one request. A room that Visio does not know has no level and is no error.
func (v *Visio) ask(ctx context.Context, room string) (string, error) {
	v.mu.Lock()
	wait := time.Until(v.until)
	v.mu.Unlock()
	if wait > 0 {
		return "", fmt.Errorf("visio wants no request for %v", wait.Round(time.Second))
	}
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.base.JoinPath("rooms", room).String()+"/", nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := v.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("visio: %w", quiet(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRoom+1))
	if err != nil {
		return "", fmt.Errorf("visio: %w", quiet(err))
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return parseAccess(body, room)
	case http.StatusNotFound:
		if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "text/html" { // of a web server that knows no such path
			return "", errors.New("visio: status 404 with a page: is directory.visio.url right?")
		}
		v.log.Info("Visio does not know the room: callers wait for a host", "room", room)
		return "", nil
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		wait := retryAfter(resp.Header.Get("Retry-After"))
		v.mu.Lock()
		v.until = time.Now().Add(wait)
		v.mu.Unlock()
		return "", fmt.Errorf("visio: status %d: no request for %v", resp.StatusCode, wait)
	}
	return "", fmt.Errorf("visio: status %d: is directory.visio.url right?", resp.StatusCode)
}

// parseAccess reads the level out of an answer about the room. Visio also answers for names that are no room of its own, without an id: that is not
// the room that was asked for.
func parseAccess(body []byte, room string) (string, error) {
	var a struct {
		ID     string `json:"id"`
		Access string `json:"access_level"`
	}
	switch {
	case len(body) > maxRoom:
		return "", fmt.Errorf("visio: an answer of more than %d bytes", maxRoom)
	case json.Unmarshal(body, &a) != nil || a.Access == "":
		return "", errors.New("visio: status 200 without its JSON: is directory.visio.url right?")
	case a.ID != room:
		return "", errors.New("visio: the answer is about another room")
	}
	return a.Access, nil
}
