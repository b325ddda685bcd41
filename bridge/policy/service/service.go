// Package service asks an organisation's own HTTP service about calls, after the rules have granted them. Whatever it answers can only narrow what the
// rules grant, and where it does not answer, the call may not be. docs/policy-service.md is for those who write such a service.
package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/sony/gobreaker/v2"

	"passerelle/bridge/policy"
	"passerelle/configs"
	"passerelle/internal/webclient"
)

// Bounds of what is asked and kept.
const (
	maxConnections = 32       // requests at the same time; others wait for their turn, as long as one may take
	maxAnswer      = 64 << 10 // bytes
	maxKept        = 4096     // answers
)

// The breaker. A service that failed this many times in a row is left alone for a while, and then asked once: one who waits for it in vain is a caller who
// hears nothing.
const (
	tripAfter = 5
	openFor   = 5 * time.Second
)

// errGone marks questions whose caller is gone: they say nothing about the service.
var errGone = errors.New("the caller is gone")

// Dial opens a connection. Implemented by egress.Guard.DialContext.
type Dial = webclient.Dial

// Client asks one service. Its methods may be called from any goroutine.
type Client struct {
	url     string
	token   configs.Secret
	timeout time.Duration
	keep    time.Duration
	log     *slog.Logger
	http    *http.Client
	breaker *gobreaker.CircuitBreaker[answer]
	kept    *lru.Cache[[sha256.Size]byte, kept] // nil: each question is asked
}

// kept is an answer that holds for a while.
type kept struct {
	answer
	until time.Time
}

// New makes a client of the service at cfg.URL that connects by dial, the egress guard's. It does not talk to the service.
func New(cfg configs.Service, dial Dial, log *slog.Logger) (*Client, error) {
	to, err := url.Parse(cfg.URL)
	if err != nil || to.Host == "" || to.Scheme != "https" && to.Scheme != "http" {
		return nil, errors.New("rules.service.url: expected a URL such as https://policy.example.org/decide")
	}
	if to.Scheme == "http" {
		log.Warn("rules.service.url is not https: who calls whom can be read on the way, and answers can be changed")
	}
	c := &Client{url: cfg.URL, token: cfg.Token, timeout: cfg.Timeout, keep: cfg.Cache, log: log}
	c.http, err = webclient.New(webclient.Options{Dial: dial, CAFile: cfg.CAFile, Handshake: cfg.Timeout, Connections: maxConnections})
	if err != nil {
		return nil, fmt.Errorf("rules.service: %w", err)
	}
	if cfg.Cache > 0 {
		if c.kept, err = lru.New[[sha256.Size]byte, kept](maxKept); err != nil {
			return nil, fmt.Errorf("rules.service: %w", err)
		}
	}
	c.breaker = gobreaker.NewCircuitBreaker[answer](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     openFor,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= tripAfter },
		IsExcluded:  func(err error) bool { return errors.Is(err, errGone) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			log.Warn("the policy service: "+to.String(), "before", from.String()) // open: every call is refused at once
		},
	})
	return c, nil
}

// Close lets go of connections that wait for a next request.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Narrow asks the service about a call that the rules grant, and returns what both grant. A decision that refuses comes back as it is, unasked. Where
// the service does not answer in time, or not as it should, the call is refused with policy.Unavailable.
func (c *Client) Narrow(ctx context.Context, f policy.Facts, d policy.Decision) policy.Decision {
	if !d.Allowed {
		return d
	}
	a, err := c.answer(ctx, f, d)
	if err != nil {
		if !errors.Is(err, errGone) && !errors.Is(err, gobreaker.ErrOpenState) && !errors.Is(err, gobreaker.ErrTooManyRequests) {
			c.log.Warn("the policy service gives no answer; the call is refused", "rule", d.Rule, "err", err)
		}
		return refuse(d, policy.Refusal{Reason: policy.Unavailable, Text: "The service that decides about calls does not answer"})
	}
	return a.narrow(d)
}

func refuse(d policy.Decision, r policy.Refusal) policy.Decision {
	return policy.Decision{Rule: d.Rule, Version: d.Version, Refusal: r}
}

// answer is what the service says, now or shortly before to the same question.
func (c *Client) answer(ctx context.Context, f policy.Facts, d policy.Decision) (answer, error) {
	q := ask(f, d)
	body, err := json.Marshal(q)
	if err != nil {
		return answer{}, err
	}
	if c.kept == nil {
		return c.breaker.Execute(func() (answer, error) { return c.post(ctx, body, q.Grant) })
	}
	key, err := q.key()
	if err != nil {
		return answer{}, err
	}
	if k, ok := c.kept.Get(key); ok && time.Now().Before(k.until) {
		return k.answer, nil
	}
	a, err := c.breaker.Execute(func() (answer, error) { return c.post(ctx, body, q.Grant) })
	if err == nil {
		c.kept.Add(key, kept{a, time.Now().Add(c.keep)})
	}
	return a, err
}

// post sends one question.
func (c *Client) post(parent context.Context, body []byte, granted grant) (answer, error) {
	ctx, cancel := context.WithTimeout(parent, c.timeout)
	defer cancel()
	b, err := c.exchange(ctx, body)
	switch {
	case err != nil && parent.Err() != nil:
		return answer{}, errGone
	case err != nil:
		return answer{}, err
	}
	return parse(b, granted)
}

// exchange sends a body and reads the one that comes back.
func (c *Client) exchange(ctx context.Context, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	req.Header["Idempotency-Key"] = nil // never sent: a question may be asked again when its connection turns out to have been closed meanwhile
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s: expected 200", resp.Status)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, errors.New("its answer is not of the type application/json")
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("its answer has more than %d bytes", maxAnswer)
	}
	return b, nil
}
