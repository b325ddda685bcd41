// Package livekit is the SFU side of Passerelle: LiveKit's signalling, media and API, as far as bridge needs them.
//
// A Session is one participant. Its goroutine (run) owns the peer connections and the signalling link; methods change what is wanted under a
// mutex and wait until the room agrees. That makes the wishes survive the link: when it breaks, run resumes the session, or joins anew, and
// carries them over.
//
//	Join → run: ┌ converse ─ link lost ─→ reenter (resume, else join anew; back-off) ─┐ → SessionEnded
//	            └─────────────────────────────────────────────────────────────────────┘
//
// LiveKit uses two peer connections per participant: the publisher, which we offer, and the subscriber, which it offers. Each is made when it is
// first needed, so a phone has only the first and a listener only the second.
package livekit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/interceptor"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/webrtc"
)

// Client joins rooms of one LiveKit and calls its API. Its methods may be called from any goroutine.
type Client struct {
	cfg    configs.LiveKit
	secret []byte
	log    *slog.Logger
	base   *url.URL // http or https
	port   *webrtc.Port
	pass   *egress.Pass // nil: the national networks
	dialer websocket.Dialer
	http   *http.Client

	mu       sync.Mutex
	sessions map[*Session]struct{}
	closed   bool
}

// New makes a client and opens the media port. It does not talk to the server.
func New(cfg configs.LiveKit, guard *egress.Guard, log *slog.Logger) (*Client, error) {
	return newClient(cfg, guard, nil, guard.DialContext, log)
}

// NewFor is New for a LiveKit of somebody else: what it reaches is what the pass permits. Who made the pass closes it, after the client.
func NewFor(cfg configs.LiveKit, guard *egress.Guard, pass *egress.Pass, log *slog.Logger) (*Client, error) {
	return newClient(cfg, guard, pass, pass.DialContext, log)
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

func newClient(cfg configs.LiveKit, guard *egress.Guard, pass *egress.Pass, dial dialFunc, log *slog.Logger) (*Client, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("livekit.url: %w", err)
	}
	switch base.Scheme {
	case "ws", "http":
		base.Scheme = "http"
	case "wss", "https":
		base.Scheme = "https"
	default:
		return nil, fmt.Errorf("livekit.url %q: expected ws:// or wss://", cfg.URL)
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	secret, err := readSecret(cfg)
	if err != nil {
		return nil, err
	}
	roots := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("livekit.ca_file: %w", err)
		}
		roots.RootCAs = x509.NewCertPool()
		if !roots.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("livekit.ca_file %s: no certificate in it", cfg.CAFile)
		}
	}
	port, err := webrtc.OpenPort(context.Background(), guard, cfg.UDPListen, log)
	if err != nil {
		return nil, fmt.Errorf("livekit.udp_listen: %w", err)
	}
	return &Client{
		cfg: cfg, secret: secret, log: log, base: base, port: port, pass: pass, sessions: map[*Session]struct{}{},
		dialer: websocket.Dialer{
			NetDialContext: dial, TLSClientConfig: roots, HandshakeTimeout: cfg.JoinTimeout,
			ReadBufferSize: 2048, WriteBufferSize: 2048, WriteBufferPool: &sync.Pool{},
		},
		http: &http.Client{
			Transport: &http.Transport{
				DialContext: dial, TLSClientConfig: roots, ForceAttemptHTTP2: true,
				MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second, ResponseHeaderTimeout: 30 * time.Second,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return errors.New("a redirect, which LiveKit has no reason for")
			},
		},
	}, nil
}

func readSecret(cfg configs.LiveKit) ([]byte, error) {
	secret := cfg.APISecret.Reveal()
	if secret == "" && cfg.APISecretFile != "" {
		b, err := os.ReadFile(cfg.APISecretFile)
		if err != nil {
			return nil, fmt.Errorf("livekit.api_secret_file: %w", err)
		}
		secret = strings.TrimSpace(string(b))
	}
	if cfg.APIKey == "" || secret == "" {
		return nil, errors.New("livekit.api_key and livekit.api_secret: expected both, they are LiveKit's own")
	}
	return []byte(secret), nil
}

// newPeer makes a peer connection that reaches what the client may.
func (c *Client) newPeer(media *pion.MediaEngine, chain *interceptor.Registry) (*webrtc.Peer, error) {
	if c.pass == nil {
		return c.port.NewPeer(media, chain)
	}
	return c.port.NewPeerFor(c.pass, media, chain)
}

// Close ends all sessions, and closes the media port.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	left := make([]*Session, 0, len(c.sessions))
	for s := range c.sessions {
		left = append(left, s)
	}
	c.mu.Unlock()
	var wg sync.WaitGroup
	for _, s := range left {
		wg.Go(s.Leave)
	}
	wg.Wait()
	c.http.CloseIdleConnections()
	return c.port.Close()
}

// Sessions counts the sessions that are not over.
func (c *Client) Sessions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}

func (c *Client) add(s *Session) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return bridge.ErrDraining
	}
	c.sessions[s] = struct{}{}
	return nil
}

func (c *Client) remove(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, s)
}
