// Package admin is what an operator asks a node over HTTP. Health, readiness and metrics are for everybody who reaches the listener; the admin
// API, version 1, is for who has a token: calls, rooms and those who wait, guests' links, rules, the journal, the node, and a stream of what changes. openapi.yaml
// describes every operation; a test holds it against the handlers.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/internal/tlsfiles"
)

// Bounds of the listener.
const (
	maxHeader    = 8 << 10 // bytes
	closeTimeout = 2 * time.Second
)

// Deps is what a server asks. Without http.tokens_file, there is no admin API, and only Registry and Ready are needed.
type Deps struct {
	Registry *prometheus.Registry
	// Ready answers nil when a call can be taken now, or why not; joined errors are told as several reasons. It is asked once a second at most.
	Ready func() error
	Node  Node
	Load  func() bridge.Load
	Rules Rules
	// RulesFile is where the rules come from; empty: they are built in.
	RulesFile string
	Journal   bridge.Journal
	Records   Records // nil: the journal is off
	Links     Links   // nil: no guests are let in
	Dialer    Dialer  // nil: nothing can be called
	LinkBase  string  // what the address of a link begins with
	Name      string  // of the node
	Version   string  // of the program
}

// Node is the calls and rooms of this process. Implemented by *bridge.Node.
type Node interface {
	// Calls lists the calls, the oldest first.
	Calls() []bridge.CallInfo
	// Call answers one call.
	Call(id string) (bridge.CallInfo, bool)
	// Rooms lists the rooms in which calls are, by name.
	Rooms() []bridge.RoomInfo
	// Do has a call do something, and returns when it has. Errors: bridge.ErrNoCall, ErrNotNow, ErrNoOrder, and what the SFU says.
	Do(ctx context.Context, id string, o bridge.Order) error
	// Watch tells of every change until the function is called.
	Watch() (<-chan bridge.Change, func())
}

// Server is the HTTP listener of a node.
type Server struct {
	cfg   configs.HTTP
	guard *egress.Guard
	api   *api
	certs *tlsfiles.Files // nil: no TLS
	http  *http.Server
	log   *slog.Logger
	addr  atomic.Value // string
}

// New makes a server, and refuses certificates and tokens that cannot be used.
func New(cfg configs.HTTP, guard *egress.Guard, d Deps, log *slog.Logger) (*Server, error) {
	s := &Server{cfg: cfg, guard: guard, log: log}
	var err error
	if cfg.CertFile != "" {
		files := tlsfiles.Options{Section: "http", CertFile: cfg.CertFile, KeyFile: cfg.KeyFile, ClientCA: cfg.ClientCA}
		if s.certs, err = tlsfiles.New(files, log); err != nil {
			return nil, err
		}
	}
	if s.api, err = newAPI(cfg, d, log); err != nil {
		return nil, err
	}
	open := &connections{open: map[net.Conn]*connection{}, dropped: s.api.metrics.dropped.Inc}
	s.http = &http.Server{
		Handler:           open.count(s.api.handler()),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       open.enter,
		ConnState:         open.state,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong
		Protocols:         new(http.Protocols),
	}
	s.http.Protocols.SetHTTP1(true) // one request at a time on a connection: the bounds of connections are bounds of requests
	if s.certs != nil {
		s.http.TLSConfig = s.certs.Config()
	}
	return s, nil
}

// Run listens and serves until ctx ends. An empty http.listen means that there is nothing to do until then. A server runs once.
func (s *Server) Run(ctx context.Context) error {
	if s.cfg.Listen == "" {
		<-ctx.Done()
		return nil
	}
	l, err := s.guard.ListenTCP(ctx, s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("http.listen: %w", err)
	}
	s.addr.Store(l.Addr().String())
	s.log.Info("HTTP listens", "addr", l.Addr().String(), "tls", s.certs != nil, "api", s.cfg.Tokens != "")

	served := make(chan error, 1)
	go func() {
		if s.certs != nil {
			served <- s.http.ServeTLS(l, "", "")
		} else {
			served <- s.http.Serve(l)
		}
	}()
	watching, stopWatching := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.api.watch(watching)
	}()
	defer func() {
		stopWatching()
		<-watched
	}()
	select {
	case err := <-served:
		return fmt.Errorf("http: %w", err)
	case <-ctx.Done():
	}
	// Event streams end with the hub. A request that runs is answered; one that does not end is cut.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := s.http.Shutdown(limited); err != nil {
		_ = s.http.Close() // only tells what Shutdown told
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("http: %w", err)
	}
	return nil
}

// Addr is the address that the server listens on, with the port that was chosen; empty before Run has opened it.
func (s *Server) Addr() string {
	a, _ := s.addr.Load().(string)
	return a
}
