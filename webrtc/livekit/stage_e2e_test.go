//go:build e2e

package livekit_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"passerelle/bridge"
	"passerelle/bridge/ivr"
	"passerelle/bridge/journal"
	"passerelle/bridge/policy"
	"passerelle/configs"
	"passerelle/internal/sfuproc"
	"passerelle/internal/testpeer/participant"
	"passerelle/internal/testpeer/picture"
	"passerelle/media"
	"passerelle/transcode"
	"passerelle/transcode/mix"
	"passerelle/webrtc/livekit"
)

// page is a leg with pictures: it shows tiles to viewers, and sends what a test gives it.
type page struct {
	id      string
	events  chan bridge.Event
	viewers [3]*picture.Viewer

	mu      sync.Mutex
	place   bridge.Place
	scene   *bridge.Scene
	senders map[bridge.Source][]*picture.Sender
	news    chan struct{}
}

func newPage(id string, clips ...*picture.Clip) *page {
	p := &page{id: id, events: make(chan bridge.Event, 1), senders: map[bridge.Source][]*picture.Sender{}, news: make(chan struct{})}
	for i := range p.viewers {
		p.viewers[i] = picture.NewViewer(clips...)
	}
	return p
}

func (p *page) Caller() bridge.Caller {
	return bridge.Caller{CallID: p.id, Protocol: "webrtc", Name: p.id, Source: netip.MustParseAddr("127.0.0.1"), Room: "r", Language: "en"}
}
func (p *page) Events() <-chan bridge.Event                  { return p.events }
func (*page) Ring(context.Context, bridge.Terms) error       { return nil }
func (p *page) Answer(context.Context) (bridge.Audio, error) { return p, nil }
func (*page) End(error)                                      {}
func (*page) Tell(bridge.Standing)                           {}
func (*page) Codec() transcode.Codec                         { c, _ := transcode.Lookup("opus", transcode.Rate); return c }
func (*page) SendsEvents() bool                              { return true }
func (*page) SetSink(media.Sink)                             {}
func (*page) WriteFrame([]byte, int, bool) error             { return nil }
func (*page) Stats() media.Stats                             { return media.Stats{} }
func (*page) Codecs() []bridge.VideoCodec                    { return bridge.VideoCodecs() }
func (p *page) WriteVideo(tile int, v *bridge.VideoPacket)   { p.viewers[tile].WriteVideo(v) }

func (p *page) Attach(place bridge.Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.place = place
	p.tell()
}

func (p *page) Show(s *bridge.Scene) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.scene = s
	p.tell()
}

func (p *page) tell() {
	close(p.news)
	p.news = make(chan struct{})
}

func (p *page) WantKeyframe(source bridge.Source, layer int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.senders[source]; layer < len(s) {
		s[layer].WantKeyframe()
	}
}

// await waits until the page is told what is wanted.
func (p *page) await(ctx context.Context, t *testing.T, what string, is func(bridge.Place, *bridge.Scene) bool) *bridge.Scene {
	t.Helper()
	for {
		p.mu.Lock()
		place, scene, news := p.place, p.scene, p.news
		p.mu.Unlock()
		if place != nil && scene != nil && is(place, scene) {
			return scene
		}
		select {
		case <-news:
		case <-ctx.Done():
			t.Fatalf("%s is never told: %s; last: %+v", p.id, what, scene)
		}
	}
}

// send shows clips, from small to large, until the context ends.
func (p *page) send(ctx context.Context, t *testing.T, work *sync.WaitGroup, source bridge.Source, clips ...*picture.Clip) {
	t.Helper()
	var layers []bridge.Layer
	var senders []*picture.Sender
	place := p.place
	for i, c := range clips {
		layers = append(layers, bridge.Layer{RID: fmt.Sprint(i), Width: c.Width, Height: c.Height})
		senders = append(senders, &picture.Sender{Clip: c, Write: func(v *bridge.VideoPacket) { place.WriteVideo(source, i, v) }})
	}
	p.mu.Lock()
	p.senders[source] = senders
	p.mu.Unlock()
	if err := place.Start(source, clips[0].Codec, layers); err != nil {
		t.Fatal(err)
	}
	for _, s := range senders {
		work.Go(func() { s.Run(ctx) })
	}
}

type anyRules struct{}

func (anyRules) OnChange(func()) {}

func (anyRules) Decide(context.Context, policy.Facts) policy.Decision {
	return policy.Decision{Rule: "any", Allowed: true, Grant: policy.Grant{
		Audio: policy.Both, Video: policy.Both, Content: policy.Both, Learn: policy.LearnNames, Recording: true,
	}}
}

type noJournal struct{}

func (noJournal) Write(journal.Entry) {}
func (noJournal) Ready() error        { return nil }

type noDirectory struct{}

func (noDirectory) Find(context.Context, string) (bridge.RoomRef, error) {
	return bridge.RoomRef{}, bridge.ErrBadPIN
}

// house is a node with its SFU.
type house struct {
	node *bridge.Node
	sfu  *livekit.Client
	proc *sfuproc.Process
}

func openHouse(t *testing.T) *house {
	t.Helper()
	h := &house{proc: startSFU(t, sfuproc.Options{})}
	h.sfu = newClient(t, h.proc.URL())
	prompts, err := ivr.Load("", []string{"en"})
	if err != nil {
		t.Fatal(err)
	}
	clock := mix.NewClock(1)
	ctx, stop := context.WithCancel(context.Background())
	var ticking sync.WaitGroup
	ticking.Go(func() { _ = clock.Run(ctx) })
	t.Cleanup(func() { stop(); ticking.Wait() })
	cfg := configs.Defaults()
	h.node = bridge.NewNode(bridge.Options{
		Limits: cfg.Calls, IVR: cfg.IVR, Rules: cfg.Rules, Lobby: cfg.Lobby, Policy: anyRules{}, Journal: noJournal{}, SFU: h.sfu, Directory: noDirectory{},
		Prompts: prompts, Clock: clock, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	})
	t.Cleanup(h.node.Close)
	return h
}

// call brings a page into the room until the test ends.
func (h *house) call(ctx context.Context, t *testing.T, p *page) {
	t.Helper()
	running, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.node.Take(running, p)
	}()
	t.Cleanup(func() { stop(); <-done })
	p.await(ctx, t, "anything", func(bridge.Place, *bridge.Scene) bool { return true })
}

// TestStage: two pages and a web participant of a real SFU see each other, in the layers that fit, and a shared screen goes before faces.
func TestStage(t *testing.T) {
	leakCheck(t)
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	h := openHouse(t)
	vp8 := bridge.VideoCodec{Kind: bridge.VP8}
	small, large := makeClip(t, "small", vp8, 320, 180), makeClip(t, "large", vp8, 640, 360)
	web, screen := makeClip(t, "web", vp8, 320, 180), makeClip(t, "screen", bridge.VideoCodec{Kind: bridge.VP9, Fmtp: "profile-id=0"}, 640, 360)
	all := []*picture.Clip{small, large, web, screen}

	someone, err := participant.Join(ctx, h.sfu, "r", "web", "Web")
	if err != nil {
		t.Fatal(err)
	}
	defer someone.Leave()
	shown, err := someone.Show(ctx, bridge.Camera, web)
	if err != nil {
		t.Fatal(err)
	}
	defer shown.Stop()

	a, b := newPage("anna", all...), newPage("bert", all...)
	h.call(ctx, t, a)
	h.call(ctx, t, b)
	sending, stopSending := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stopSending()
	a.send(sending, t, &work, bridge.Camera, small, large)

	a.place.View(bridge.View{Tiles: []bridge.Tile{{Height: 180}}})
	sees(t, a.viewers[0], web)
	seats := b.await(ctx, t, "two others with pictures", func(_ bridge.Place, s *bridge.Scene) bool {
		return len(s.Seats) == 2 && s.Seats[0].Camera && s.Seats[1].Camera
	})
	id := func(name string) bridge.SeatID {
		for _, s := range seats.Seats {
			if s.Name == name {
				return s.ID
			}
		}
		t.Fatalf("no %s among %+v", name, seats.Seats)
		return 0
	}
	b.place.View(bridge.View{Tiles: []bridge.Tile{{Seat: id("anna"), Height: 360}, {Seat: id("Web"), Height: 180}}})
	sees(t, b.viewers[0], large)
	sees(t, b.viewers[1], web)
	b.place.View(bridge.View{Tiles: []bridge.Tile{{Seat: id("anna"), Height: 180}}})
	sees(t, b.viewers[0], small)

	// From one source to the other, and back, in one tile. A keyframe is asked for all the way back to the page.
	b.place.View(bridge.View{Tiles: []bridge.Tile{{Seat: id("Web"), Height: 180}}})
	sees(t, b.viewers[0], web)
	b.place.View(bridge.View{Tiles: []bridge.Tile{{Seat: id("anna"), Height: 360}}})
	sees(t, b.viewers[0], large)
	keys, asked := b.viewers[0].Count().Keyframes, a.senders[bridge.Camera][1].Keyframes()
	for came := false; !came; { // a wish that LiveKit has dropped is forgotten when a keyframe comes by itself
		b.place.WantKeyframe(0)
		soon, stop := context.WithTimeout(ctx, time.Second)
		came = a.senders[bridge.Camera][1].AwaitKeyframes(soon, asked+1) == nil
		stop()
		if ctx.Err() != nil {
			t.Fatal("no wish for a keyframe came")
		}
	}
	if err := b.viewers[0].AwaitKeyframes(ctx, keys+1); err != nil {
		t.Error(err)
	}

	// A shared screen takes the tile that the stage fills.
	a.send(sending, t, &work, bridge.Content, screen)
	b.place.View(bridge.View{Tiles: []bridge.Tile{{}, {}, {Height: 360}}})
	sees(t, b.viewers[2], screen)
	a.place.Stop(bridge.Content)
	b.await(ctx, t, "that the screen is gone", func(_ bridge.Place, s *bridge.Scene) bool { return s.Tiles[2].Source == bridge.Camera })
	a.await(ctx, t, "that the screen is gone", func(_ bridge.Place, s *bridge.Scene) bool { return !s.Content.Live && s.Camera.Live })
	// The SFU goes and comes back.
	h.proc.Kill()
	startSFU(t, sfuproc.Options{Listen: h.proc.URL()[len("ws://"):]})
	b.place.View(bridge.View{Tiles: []bridge.Tile{{Seat: id("Web"), Height: 180}, {Seat: id("anna"), Height: 360}}})
	sees(t, b.viewers[0], web)
	sees(t, b.viewers[1], large)

	a.place.Stop(bridge.Camera)
	b.await(ctx, t, "that the camera is off", func(_ bridge.Place, s *bridge.Scene) bool {
		return len(s.Seats) == 2 && s.Seats[0].Camera != s.Seats[1].Camera
	})
}
