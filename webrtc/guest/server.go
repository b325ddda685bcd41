package guest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/interceptor"
	pion "github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"

	"passerelle/bridge"
	"passerelle/bridge/links"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/webrtc"
)

// Links are the links by which guests come. Implemented by links.Keeper.
type Links interface {
	// Check reads a token and says which link it is; the error is one of package links, or of the database.
	Check(ctx context.Context, token string) (links.Link, error)
	// Use counts one use.
	Use(ctx context.Context, l links.Link) error
	// Revoked lists the ids of links that were taken back.
	Revoked(ctx context.Context) ([]string, error)
}

// Deps is what a Server works with.
type Deps struct {
	Guard  *egress.Guard
	Links  Links
	Policy bridge.Policy // asked what to tell a guest before they join
	// SomeOrigin tells whether any rule lets pages of an origin use WHIP and WHEP; nil: none does.
	SomeOrigin func(origin string) bool
	Handler    func(ctx context.Context, leg *Leg)
	Log        *slog.Logger
	Metrics    prometheus.Registerer // nil: none
	Language   string                // of pages whose browser speaks none of ours
}

// Server lets guests in. Its methods may be called from any goroutine.
type Server struct {
	cfg        configs.Guests
	guard      *egress.Guard
	links      Links
	policy     bridge.Policy
	someOrigin func(origin string) bool
	take       func(ctx context.Context, leg *Leg)
	log        *slog.Logger
	language   string
	metrics    *metrics
	networks   []netip.Prefix // where guests may be
	proxies    []netip.Prefix
	advertised []netip.Addr
	gate       *gate
	engine     *pion.MediaEngine
	chain      *interceptor.Registry
	tls        *tls.Config // nil: none
	times      times

	port  *webrtc.Port // opened by Run
	relay *relay       // likewise; nil: none
	addr  netip.AddrPort
	ready chan struct{}
	calls context.Context // of every leg

	mu        sync.Mutex
	sessions  map[string]*session
	resources map[string]*resource
	strangers map[*socket]struct{} // sockets that have said no hello
	draining  bool                 // nobody new
	ending    bool                 // nobody at all
	running   sync.WaitGroup
}

// Bounds of the listener.
const (
	maxConnections = 4096 // besides four for each guest
	closeTime      = 2 * time.Second
)

// times is how long things take that tests shorten.
type times struct {
	up    time.Duration // for media to be up after the answer, at most
	tick  time.Duration // between two looks at a leg
	watch time.Duration // between two looks at what was taken back
	close time.Duration // for a page to close its side of a socket, at most
}

func usualTimes() times {
	return times{15 * time.Second, 500 * time.Millisecond, time.Second, time.Second}
}

// New checks the configuration and makes a Server. Nothing is opened before Run.
func New(cfg configs.Guests, d Deps) (*Server, error) {
	networks, err := egress.ParseNetworks(cfg.Networks)
	if err != nil {
		return nil, fmt.Errorf("guests.networks: %w", err)
	}
	proxies, err := egress.ParseNetworks(cfg.Proxies)
	if err != nil {
		return nil, fmt.Errorf("guests.proxies: %w", err)
	}
	s := &Server{
		cfg: cfg, guard: d.Guard, links: d.Links, policy: d.Policy, someOrigin: d.SomeOrigin, take: d.Handler, log: d.Log, language: d.Language, networks: networks,
		proxies: proxies, gate: newGate(cfg.Rate), times: usualTimes(), ready: make(chan struct{}), sessions: map[string]*session{}, resources: map[string]*resource{},
		strangers: map[*socket]struct{}{},
	}
	if s.someOrigin == nil {
		s.someOrigin = func(string) bool { return false }
	}
	for _, a := range cfg.Advertise {
		parsed, err := netip.ParseAddr(a)
		if err != nil {
			return nil, fmt.Errorf("guests.advertise: %w", err)
		}
		s.advertised = append(s.advertised, parsed.Unmap())
	}
	if s.metrics, err = newMetrics(d.Metrics); err != nil {
		return nil, err
	}
	if s.engine, err = newEngine(); err != nil {
		return nil, err
	}
	if s.chain, err = newChain(); err != nil {
		return nil, err
	}
	if cfg.CertFile != "" {
		c, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("guests.cert_file: %w", err)
		}
		s.tls = &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}} // a WebSocket needs 1.1
	}
	return s, nil
}

// Run listens until ctx ends, ends the guests that are left, and returns when nothing of them is. An empty guests.listen means that there is nothing to do.
func (s *Server) Run(ctx context.Context) error {
	if s.cfg.Listen == "" {
		<-ctx.Done()
		return nil
	}
	port, err := webrtc.OpenShared(ctx, s.guard, webrtc.Shared{
		UDP: s.cfg.UDPListen, TCP: s.cfg.TCPListen, Advertise: s.advertised, Connections: 4 * s.cfg.Max,
	}, s.log)
	if err != nil {
		return fmt.Errorf("guests.udp_listen, guests.tcp_listen: %w", err)
	}
	l, err := s.guard.ListenTCP(ctx, s.cfg.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("guests.listen: %w", err), port.Close())
	}
	s.port, s.addr = port, l.Addr().(*net.TCPAddr).AddrPort()
	if s.cfg.TURNListen != "" {
		if err := s.openRelay(ctx); err != nil {
			return errors.Join(err, l.Close(), port.Close())
		}
	}
	var endCalls context.CancelCauseFunc
	s.calls, endCalls = context.WithCancelCause(context.WithoutCancel(ctx))
	close(s.ready)
	s.log.Info("guests are let in", "addr", s.addr, "media", port.Addr(), "tcp", s.cfg.TCPListen != "")

	err = s.serve(ctx, l)
	s.close()
	endCalls(bridge.ErrDraining)
	s.running.Wait()
	return errors.Join(err, s.relay.close(), port.Close())
}

// serve answers requests until ctx ends.
func (s *Server) serve(ctx context.Context, l net.Listener) error {
	each := sessionsEach * max(s.cfg.MaxPerAddress, 1)
	if s.cfg.MaxPerAddress == 0 {
		each = maxConnections
	}
	l = &door{Listener: netutil.LimitListener(l, maxConnections+4*s.cfg.Max), server: s, most: each, open: map[netip.Addr]int{}}
	if s.tls != nil {
		l = tls.NewListener(l, s.tls)
	}
	server := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // what clients do wrong
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	tick := time.NewTicker(s.times.watch)
	defer tick.Stop()
	for {
		select {
		case err := <-served:
			return fmt.Errorf("guests.listen: %w", err)
		case <-tick.C:
			s.watchLinks(ctx)
			continue
		case <-ctx.Done():
		}
		break
	}
	limited, stop := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer stop()
	if err := server.Shutdown(limited); err != nil {
		_ = server.Close() // only tells what Shutdown told
	}
	<-served
	return nil
}

// close ends all that is left: sessions, and with them legs and sockets.
func (s *Server) close() {
	s.mu.Lock()
	s.draining, s.ending = true, true
	left := slices.Collect(maps.Values(s.sessions))
	for sock := range s.strangers {
		sock.end(closing(bridge.ErrDraining))
	}
	resources := slices.Collect(maps.Values(s.resources))
	s.mu.Unlock()
	for _, n := range left {
		n.end(bridge.ErrDraining)
	}
	for _, r := range resources {
		r.leg.End(bridge.ErrDraining)
	}
}

// stranger counts a socket that has said no hello: it is closed when the server ends. The others are their sessions' to close. The socket's own goroutine
// calls stop when it is over.
func (s *Server) stranger(sock *socket) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.strangers[sock] = struct{}{}
	if s.ending {
		sock.end(closing(bridge.ErrDraining))
	}
	return func() { s.known(sock) }
}

// known notes that a socket is no stranger any more.
func (s *Server) known(sock *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.strangers, sock)
}

// Ready is closed when guests can come.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr is the address of the page. It is valid after Ready.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// MediaAddr is the address of guests' media. It is valid after Ready.
func (s *Server) MediaAddr() netip.AddrPort { return s.port.Addr() }

// Drain lets nobody in any more. Guests who are there stay.
func (s *Server) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
}

// Legs counts the guests in calls.
func (s *Server) Legs() int {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	return s.gate.all
}

// start runs a leg and hands it to the bridge. ends is told when the leg is over.
func (s *Server) start(l *Leg, n *session) {
	s.running.Go(func() {
		l.run()
		s.leave(l.caller.Source)
		if n != nil {
			s.forget(n)
		}
	})
	s.running.Go(func() {
		s.take(s.calls, l)
		l.End(nil)
	})
}

func now() time.Time { return time.Now() }
