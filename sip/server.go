package sip

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/media"
)

// Deps is what a Server needs from others. Guard, Ports and Log must be set.
type Deps struct {
	Guard   *egress.Guard
	Ports   *media.Ports
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: none
	Calls   configs.Calls         // Max and MediaTimeout are used
	Media   configs.Media         // Address and Advertise are used
	RootCAs *x509.CertPool        // for TLS to others; nil: the system's
	Handler func(ctx context.Context, leg *Leg)
}

// Server is the SIP user agent of a node.
type Server struct {
	cfg       configs.SIP
	guard     *egress.Guard
	ports     *media.Ports
	media     configs.Media
	calls     configs.Calls
	log       *slog.Logger
	metrics   *metrics
	handler   func(ctx context.Context, leg *Leg)
	trunks    []*trunk
	digest    *digestServer
	transport *transport
	layer     *layer
	timers    timers
	tls       *tls.Config // of the listener; nil: none

	ready    chan struct{}
	dead     chan struct{} // closed when the sockets are: legs must not wait any more
	draining atomic.Bool
	running  sync.WaitGroup // legs and handlers
	ctx      context.Context

	mu   sync.Mutex
	over bool            // no new legs
	legs map[string]*Leg // by our tag
}

// New checks the configuration and makes a Server. Nothing is opened before Run.
func New(cfg configs.SIP, d Deps) (*Server, error) {
	trunks, err := newTrunks(cfg.Trunks)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(d.Metrics)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, guard: d.Guard, ports: d.Ports, media: d.Media, calls: d.Calls, log: d.Log, metrics: m, handler: d.Handler,
		trunks: trunks, digest: newDigestServer(), timers: rfcTimers(),
		ready: make(chan struct{}), dead: make(chan struct{}), legs: map[string]*Leg{},
	}
	if len(cfg.TLS.Listen) > 0 {
		if s.tls, err = serverTLS(cfg.TLS); err != nil {
			return nil, err
		}
	}
	var addresses, named []netip.Prefix
	for _, t := range trunks {
		addresses, named = append(addresses, t.addresses...), append(named, t.named...)
	}
	s.transport = newTransport(d.Guard, addresses, newGate(cfg.UnknownRate, named), m, d.Log)
	s.transport.client = &tls.Config{RootCAs: d.RootCAs, MinVersion: tls.VersionTLS12}
	if s.tls != nil {
		s.transport.client.Certificates = s.tls.Certificates
		s.transport.client.MinVersion = s.tls.MinVersion
	}
	return s, nil
}

// Run listens until ctx is done, ends the calls that are left, and returns when nothing of them is. Handlers see ctx end, and Run waits for
// them.
func (s *Server) Run(ctx context.Context) error {
	s.layer = newLayer(s.timers, s.transport.gate.source, s.metrics)
	s.layer.request, s.layer.ack, s.layer.stray = s.onRequest, s.onAck, s.onStray
	s.transport.receive = s.layer.receive
	s.ctx = ctx
	err := s.listen(ctx)
	if err == nil {
		close(s.ready)
		<-ctx.Done()
	}
	s.mu.Lock()
	s.over = true
	legs := s.legs
	for _, l := range legs {
		l.End(errStopping)
	}
	s.mu.Unlock()
	s.waitForLegs(4 * s.timers.t1) // 2 s for the answers to the last BYEs
	close(s.dead)
	s.transport.close()
	s.layer.close()
	s.running.Wait()
	return err
}

// listen opens the configured sockets.
func (s *Server) listen(ctx context.Context) error {
	for _, a := range s.cfg.UDP {
		if err := s.transport.listenUDP(ctx, a); err != nil {
			return fmt.Errorf("sip.udp: %w", err)
		}
	}
	for _, a := range s.cfg.TCP {
		if err := s.transport.listenTCP(ctx, a, nil); err != nil {
			return fmt.Errorf("sip.tcp: %w", err)
		}
	}
	for _, a := range s.cfg.TLS.Listen {
		if err := s.transport.listenTCP(ctx, a, s.tls); err != nil {
			return fmt.Errorf("sip.tls.listen: %w", err)
		}
	}
	return nil
}

// waitForLegs returns when no leg is left, or after the time.
func (s *Server) waitForLegs(longest time.Duration) {
	end := time.NewTimer(longest)
	defer end.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.Legs() > 0 {
		select {
		case <-tick.C:
		case <-end.C:
			return
		}
	}
}

// Ready is closed when every socket listens.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr is the first listener's address of a transport: udp, tcp or tls. It is valid after Ready.
func (s *Server) Addr(network string) netip.AddrPort {
	s.transport.mu.Lock()
	defer s.transport.mu.Unlock()
	return s.transport.local[network]
}

// Drain refuses new calls with 503 from now on, and answers OPTIONS so that proxies go elsewhere. Running calls go on.
func (s *Server) Drain() { s.draining.Store(true) }

// Legs counts the legs there are, in either direction.
func (s *Server) Legs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.legs)
}

var errNoServer = errors.New("sip: the server is not running")

// add registers a leg and runs it, with the handler where one is given.
func (s *Server) add(l *Leg, handler func(context.Context, *Leg)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return errStopping
	}
	s.legs[l.dialog.localTag] = l
	s.metrics.legs.Inc()
	s.running.Go(func() {
		l.run()
		s.mu.Lock()
		delete(s.legs, l.dialog.localTag)
		s.mu.Unlock()
		s.metrics.legs.Dec()
	})
	if handler != nil {
		s.running.Go(func() {
			handler(s.ctx, l)
			l.End(nil)
		})
	}
	return nil
}

// leg finds the leg of a dialog by our tag.
func (s *Server) leg(tag, callID string) *Leg {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.legs[tag]
	if l == nil || l.dialog.callID != callID {
		return nil
	}
	return l
}
