// Package admin is what an operator asks a node over HTTP: is it alive, can it take calls, and what do its counters say. There is nothing to
// change here, and nothing that names a caller or a room.
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
	"golang.org/x/net/netutil"

	"passerelle/configs"
	"passerelle/internal/egress"
)

// Bounds of the listener. It serves a scraper, an orchestrator and now and then a person.
const (
	maxConnections = 64
	maxHeader      = 8 << 10 // bytes
	maxBody        = 1 << 10 // bytes; nothing here takes one
	closeTimeout   = 2 * time.Second
)

// Server is the HTTP listener of a node.
type Server struct {
	cfg   configs.HTTP
	guard *egress.Guard
	http  *http.Server
	log   *slog.Logger
	addr  atomic.Value // string
}

// New makes a server. ready answers nil when a call can be taken now, or why not; joined errors are told as several reasons. It may be called
// from several goroutines at once.
func New(cfg configs.HTTP, guard *egress.Guard, reg *prometheus.Registry, ready func() error, log *slog.Logger) *Server {
	return &Server{cfg: cfg, guard: guard, log: log, http: &http.Server{
		Handler:           handler(reg, ready, log),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong
	}}
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
	s.log.Info("HTTP listens", "addr", l.Addr().String())

	served := make(chan error, 1)
	go func() { served <- s.http.Serve(netutil.LimitListener(net.Listener(l), maxConnections)) }()
	select {
	case err := <-served:
		return fmt.Errorf("http: %w", err)
	case <-ctx.Done():
	}
	// A request that runs is answered; one that does not end is cut.
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
