// Package federation joins a room of another LiveKit site with one of ours: mixed sound crosses, one camera and one shared screen, both ways, and nothing
// else. To the bridge it is a leg like others, so that rules, lobby, journal, limits and orders hold for it.
//
//	far room → one mix of its people → Leg → our room     (as one participant's track)
//	our room → the room's one mix    → Leg → far room     (as one participant's track)
//	far room → its stage → window ←→ window ← our room's stage     (as two tracks of the same participants)
//
// Nothing goes round: legs into other rooms bear a mark (bridge.BridgeAttribute) in both rooms, what bears it is neither heard nor seen in the far room, and
// is left out of what goes there.
package federation

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/transcode/mix"
	"passerelle/webrtc/livekit"
)

// Deps is what a server is made of.
type Deps struct {
	Guard *egress.Guard
	Clock *mix.Clock
	Log   *slog.Logger
	// Handler runs the call of a leg, and returns when it is over.
	Handler func(leg *Leg)
}

// Server joins rooms of the configured sites. Its methods may be called from any goroutine.
type Server struct {
	Deps
	sites map[string]configs.Site // by name in lower case
	own   configs.LiveKit
	open  func(cfg configs.LiveKit, pass *egress.Pass, log *slog.Logger) (client, error)

	mu      sync.Mutex
	joined  map[pair]bool // also those that are being joined
	closed  bool
	running sync.WaitGroup
}

// pair is a room of a site, and one of ours.
type pair struct{ site, far, home string }

// client joins rooms of one site. Implemented by *livekit.Client.
type client interface {
	Join(ctx context.Context, j bridge.Join) (bridge.Session, []bridge.Participant, error)
	Close() error
}

// New makes a server. own is our LiveKit, whose times hold for sites, too.
func New(sites []configs.Site, own configs.LiveKit, d Deps) *Server {
	s := &Server{Deps: d, sites: map[string]configs.Site{}, own: own, joined: map[pair]bool{}}
	for _, site := range sites {
		s.sites[strings.ToLower(site.Name)] = site
	}
	s.open = func(cfg configs.LiveKit, pass *egress.Pass, log *slog.Logger) (client, error) {
		return livekit.NewFor(cfg, d.Guard, pass, log)
	}
	return s
}

// Dial has a room of ours joined with a far one (livekit://SITE/ROOM), and returns the call's id when the far room is entered, or why it is not. When ctx
// ends first the call goes on. Errors: bridge.ErrNoTarget, bridge.ErrJoined, and the reasons for which calls end.
func (s *Server) Dial(ctx context.Context, to, room string) (id string, err error) {
	name, far, err := parse(to)
	if err != nil {
		return "", err
	}
	site, ok := s.sites[strings.ToLower(name)]
	if !ok {
		return "", fmt.Errorf("%w: no site %s: sites in the configuration are those that can be joined", bridge.ErrNoTarget, name)
	}
	p := pair{site.Name, far, room}
	if err := s.begin(p); err != nil {
		return "", err
	}
	leg := s.newLeg(site, far, room)
	go func() {
		defer s.end(p)
		s.Handler(leg)
		leg.End(nil)
		<-leg.gone
	}()
	id = leg.caller.CallID
	select {
	case <-leg.up:
		return id, nil
	case <-leg.gone:
		return id, leg.why()
	case <-ctx.Done():
		return id, nil
	}
}

// begin notes that two rooms are being joined.
func (s *Server) begin(p pair) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return bridge.ErrDraining
	case s.joined[p]:
		return bridge.ErrJoined
	}
	s.joined[p] = true
	s.running.Add(1)
	return nil
}

func (s *Server) end(p pair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.joined, p)
	s.running.Done()
}

// Close returns when all calls are over, which whoever runs them ends. No more are begun.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

func (s *Server) newLeg(site configs.Site, far, home string) *Leg {
	id := strings.ToLower(rand.Text()[:12])
	transport, _, _ := strings.Cut(site.URL, ":")
	log, news := s.Log.With("call", id, "site", site.Name, "far_room", far), make(chan struct{}, 1)
	ours, theirs := newWindows(news, log)
	return &Leg{
		window: ours, theirs: theirs, news: news, server: s, site: site, room: far, log: log,
		caller: bridge.Caller{
			CallID: id, Protocol: "livekit", Name: site.Name, Called: address(site.Name, far), Transport: transport, Encrypted: true,
			Language: site.Language, Platform: site.Name, Room: home, Outbound: true, Bridge: true,
		},
		pass: s.Guard.Pass(id), voice: newVoice(), events: make(chan bridge.Event, 1),
		ending: make(chan struct{}), up: make(chan struct{}), gone: make(chan struct{}),
	}
}

// config is how a site's LiveKit is reached.
func (s *Server) config(site configs.Site) configs.LiveKit {
	cfg := s.own
	cfg.URL, cfg.APIKey, cfg.APISecret, cfg.APISecretFile, cfg.CAFile = site.URL, site.APIKey, site.APISecret, "", site.CAFile
	host := site.Address
	if host == "" {
		host, _, _ = net.SplitHostPort(s.own.UDPListen) // validated
	}
	cfg.UDPListen = net.JoinHostPort(host, "0")
	return cfg
}
