package directory

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/internal/webclient"
)

// Dial opens a connection. Implemented by egress.Guard.DialContext.
type Dial = webclient.Dial

// Visio takes 300 requests a minute from all gateways together. This node stays below that by itself: burst + 60 s · rate = 270.
const (
	requestRate  = 4 // a second
	requestBurst = 30
)

// Bounds of what Visio may answer, and of how long it may send us away.
const (
	maxAnswer     = 4 << 10 // bytes
	maxRetryAfter = 5 * time.Minute
)

// Roomkit asks Visio to prepare a room that has not started: Visio then writes the dispatch rule for it, which is looked up in LiveKit.
type Roomkit struct {
	address string
	token   configs.Secret
	client  *http.Client
	timeout time.Duration
	rules   *LiveKit
	limit   *rate.Limiter

	mu    sync.Mutex
	until time.Time // before this, Visio wants no request
}

// NewRoomkit makes a directory that asks cfg.URL, waits for timeout at most for one answer, and finds prepared rooms in rules.
func NewRoomkit(cfg configs.Roomkit, rules *LiveKit, dial Dial, timeout time.Duration) (*Roomkit, error) {
	client, err := webclient.New(webclient.Options{Dial: dial, CAFile: cfg.CAFile, Handshake: timeout})
	if err != nil {
		return nil, fmt.Errorf("directory.roomkit: %w", err)
	}
	return &Roomkit{
		address: cfg.URL, token: cfg.Token, timeout: timeout, rules: rules, client: client, limit: rate.NewLimiter(requestRate, requestBurst),
	}, nil
}

// Find has the room of a PIN prepared, and waits until LiveKit knows it.
func (r *Roomkit) Find(ctx context.Context, pin string) (bridge.RoomRef, error) {
	if err := r.admit(ctx); err != nil {
		return bridge.RoomRef{}, err
	}
	// While we waited, another caller may have had the same room prepared.
	if room, err := r.rules.Find(ctx, pin); err == nil {
		return room, nil
	}
	if err := r.prepare(ctx, pin); err != nil {
		return bridge.RoomRef{}, err
	}
	room, err := r.await(ctx, pin)
	room.Source = "roomkit"
	return room, err
}

// admit waits until a request may be sent, or refuses at once when that is too far away.
func (r *Roomkit) admit(ctx context.Context) error {
	r.mu.Lock()
	wait := time.Until(r.until)
	r.mu.Unlock()
	if wait > 0 {
		return fmt.Errorf("%w: roomkit wants no request for %v", bridge.ErrDirectory, wait.Round(time.Second))
	}
	if err := r.limit.Wait(ctx); err != nil {
		return fmt.Errorf("%w: roomkit: too many requests: %w", bridge.ErrDirectory, err)
	}
	return nil
}

// prepare sends the one request that the API has.
func (r *Roomkit) prepare(ctx context.Context, pin string) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	body, err := json.Marshal(map[string]string{"pin_code": pin})
	if err != nil {
		return fmt.Errorf("%w: roomkit: %w", bridge.ErrDirectory, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: roomkit: %w", bridge.ErrDirectory, err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token.Reveal())
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("%w: roomkit: %w", bridge.ErrDirectory, quiet(err))
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("%w: roomkit: %w", bridge.ErrDirectory, quiet(err))
	}
	return r.judge(resp, answer)
}

// quiet keeps an error that cannot quote what the server sent, which could be the PIN, and replaces any other.
func quiet(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	op, cert := (*net.OpError)(nil), (*tls.CertificateVerificationError)(nil)
	switch {
	case errors.Is(err, egress.ErrDenied), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &op):
		return op
	case errors.As(err, &cert):
		return cert
	}
	return errors.New("its answer cannot be read")
}

// judge turns an answer into an error, or nil for a prepared room. The answer's own words are not repeated: they could hold the PIN.
func (r *Roomkit) judge(resp *http.Response, answer []byte) error {
	switch resp.StatusCode {
	case http.StatusOK:
		var a struct {
			Status string `json:"status"`
		}
		if len(answer) > maxAnswer || json.Unmarshal(answer, &a) != nil || a.Status != "success" {
			return fmt.Errorf("%w: roomkit: status 200 without its JSON: is directory.roomkit.url right?", bridge.ErrDirectory)
		}
		return nil
	case http.StatusNotFound, http.StatusBadRequest: // unknown, or of the wrong length
		if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "text/html" { // of a web server that knows no such path
			return fmt.Errorf("%w: roomkit: status %d with a page: is directory.roomkit.url right?", bridge.ErrDirectory, resp.StatusCode)
		}
		return bridge.ErrBadPIN
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: roomkit: status %d: is directory.roomkit.token right?", bridge.ErrDirectory, resp.StatusCode)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		wait := retryAfter(resp.Header.Get("Retry-After"))
		r.mu.Lock()
		r.until = time.Now().Add(wait)
		r.mu.Unlock()
		return fmt.Errorf("%w: roomkit: status %d: no request for %v", bridge.ErrDirectory, resp.StatusCode, wait)
	default:
		return fmt.Errorf("%w: roomkit: status %d", bridge.ErrDirectory, resp.StatusCode)
	}
}

// retryAfter reads the header (RFC 9110, section 10.2.3): seconds or a date. Without one that makes sense it is a second.
func retryAfter(h string) time.Duration {
	wait := time.Second
	if s, err := strconv.ParseUint(h, 10, 31); err == nil {
		wait = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(h); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, time.Second), maxRetryAfter)
}

// await lists LiveKit's rules until one has the PIN, each time after a longer pause.
func (r *Roomkit) await(ctx context.Context, pin string) (bridge.RoomRef, error) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		room, err := r.rules.find(ctx, pin, time.Now())
		if err == nil {
			return room, nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if errors.Is(err, bridge.ErrBadPIN) {
				return room, fmt.Errorf("%w: roomkit prepared the room, but LiveKit has no rule for it", bridge.ErrDirectory)
			}
			return room, err
		}
	}
}
