package federation

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/pion/rtp"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/media"
	"passerelle/transcode"
	"passerelle/transcode/mix"
)

// The fakes stand for sites that do what real ones do seldom. e2e/federation has the real ones.

// fakeSite is a site with one room.
type fakeSite struct {
	refuse  error
	hang    bool
	present []bridge.Participant
	takes   []bridge.VideoCodec // nil: all

	mu      sync.Mutex
	cfg     configs.LiveKit
	join    bridge.Join
	closed  int
	session *fakeSession
}

func (s *fakeSite) open(cfg configs.LiveKit, _ *egress.Pass, _ *slog.Logger) (client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg = cfg
	return s, nil
}

func (s *fakeSite) Join(ctx context.Context, j bridge.Join) (bridge.Session, []bridge.Participant, error) {
	if s.hang {
		<-ctx.Done()
		return nil, nil, context.Cause(ctx)
	}
	if s.refuse != nil {
		return nil, nil, s.refuse
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.join = j
	s.session = newSession()
	if s.takes != nil {
		s.session.takes = s.takes
	}
	return s.session, s.present, nil
}

func (s *fakeSite) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}

func (s *fakeSite) now() *fakeSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session
}

type fakeSession struct {
	events chan bridge.SessionEvent
	silent error // Publish fails

	mu      sync.Mutex
	sinks   map[string]media.Sink
	packets []rtp.Packet
	left    bool
	takes   []bridge.VideoCodec
	watched map[string]watched // by track
	shown   map[bridge.Source]*fakePicture
}

func newSession() *fakeSession {
	return &fakeSession{
		events: make(chan bridge.SessionEvent, 16), sinks: map[string]media.Sink{}, watched: map[string]watched{}, shown: map[bridge.Source]*fakePicture{},
		takes: bridge.VideoCodecs(),
	}
}

func (s *fakeSession) Events() <-chan bridge.SessionEvent { return s.events }

func (s *fakeSession) Publish(context.Context, string) (bridge.Track, error) { return s, s.silent }

func (s *fakeSession) Subscribe(sid string, sink media.Sink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sink == nil {
		delete(s.sinks, sid)
	} else {
		s.sinks[sid] = sink
	}
	return nil
}

func (s *fakeSession) subscribed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.sinks))
}

func (s *fakeSession) SetAttributes(context.Context, map[string]string) error { return nil }
func (s *fakeSession) SetMuted(context.Context, bool) error                   { return nil }

func (s *fakeSession) WriteRTP(p *rtp.Packet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets = append(s.packets, rtp.Packet{Header: p.Header.Clone()})
	return nil
}

func (s *fakeSession) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left {
		s.left = true
		close(s.events)
	}
}

// person is somebody with a microphone.
func person(identity string) bridge.Participant {
	return bridge.Participant{SID: "PA_" + identity, Identity: identity, Name: identity, Tracks: []bridge.TrackInfo{{SID: "TR_" + identity, Audio: true}}}
}

// room is the gateway of another room.
func room(identity string) bridge.Participant {
	p := person(identity)
	p.Attributes = map[string]string{bridge.BridgeAttribute: "true"}
	return p
}

// newServer makes a server of one site, whose calls a test runs.
func newServer(t *testing.T, site *fakeSite, handler func(*Leg)) *Server {
	t.Helper()
	cfg := configs.Site{Name: "partner", URL: "ws://127.0.0.1:7880", APIKey: "key", APISecret: "secret", Language: "en", As: "Ministry"}
	own := configs.Defaults().LiveKit
	s := New([]configs.Site{cfg}, own, Deps{Guard: egress.New(), Clock: mix.NewClock(1), Log: slog.New(slog.DiscardHandler), Handler: handler})
	s.open = site.open
	return s
}

// answered runs a leg as far as its sound, and leaves it to the test. The leg is over with the test.
func answered(t *testing.T, site *fakeSite) (*Leg, bridge.Audio) {
	t.Helper()
	s := newServer(t, site, nil)
	leg := s.newLeg(s.sites["partner"], "budget", "council")
	if err := leg.Ring(t.Context(), bridge.Terms{}); err != nil {
		t.Fatal(err)
	}
	audio, err := leg.Answer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		leg.End(nil)
		<-leg.gone
		if site.closed != 1 || !site.session.left {
			t.Error("the site is not left")
		}
	})
	return leg, audio
}

var errAway = errors.New("the site is away")

// frames counts what a sink gets.
type frames struct {
	mu   sync.Mutex
	list []media.Frame
}

func (f *frames) WriteFrame(frame *media.Frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, *frame)
}

const samples = transcode.FrameSamples
