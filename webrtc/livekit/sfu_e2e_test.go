//go:build e2e

package livekit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtp"
	"go.uber.org/goleak"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/internal/sfuproc"
	"passerelle/internal/testpeer/lkadmin"
	"passerelle/media"
	"passerelle/webrtc/livekit"
	"passerelle/webrtc/livekit/lksig"
)

const (
	key    = "devkey"
	secret = "secret-secret-secret-secret-secret"
	// patience is how long a test waits for what has to come. It is never waited for when things go well.
	patience = 20 * time.Second
)

func startSFU(t testing.TB, o sfuproc.Options) *sfuproc.Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o.Key, o.Secret = key, secret
	p, err := sfuproc.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func newClient(t testing.TB, url string) *livekit.Client {
	t.Helper()
	return newClientOn(t, url, "127.0.0.1:0")
}

func newClientOn(t testing.TB, url, udp string) *livekit.Client {
	t.Helper()
	level := slog.LevelWarn
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	c, err := livekit.New(configs.LiveKit{
		URL: url, APIKey: key, APISecret: secret, UDPListen: udp, JoinTimeout: 10 * time.Second, ReconnectFor: time.Minute,
	}, egress.New(), slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// guest is a session with its events kept.
type guest struct {
	bridge.Session
	t       testing.TB
	present []bridge.Participant
	done    chan struct{}

	mu   sync.Mutex
	seen []bridge.SessionEvent
	news chan struct{}
}

func join(t testing.TB, c *livekit.Client, j bridge.Join) *guest {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, present, err := c.Join(ctx, j)
	if err != nil {
		t.Fatalf("join %s: %v", j.Identity, err)
	}
	g := &guest{Session: s, t: t, present: present, done: make(chan struct{}), news: make(chan struct{})}
	go func() {
		defer close(g.done)
		for e := range s.Events() {
			g.mu.Lock()
			g.seen = append(g.seen, e)
			close(g.news)
			g.news = make(chan struct{})
			g.mu.Unlock()
		}
	}()
	return g
}

// expect waits for an event, and forgets it and all before it.
func (g *guest) expect(what string, is func(bridge.SessionEvent) bool) bridge.SessionEvent {
	g.t.Helper()
	deadline := time.After(patience)
	for {
		g.mu.Lock()
		for i, e := range g.seen {
			if is(e) {
				g.seen = g.seen[i+1:]
				g.mu.Unlock()
				return e
			}
		}
		news, seen := g.news, len(g.seen)
		g.mu.Unlock()
		select {
		case <-news:
		case <-deadline:
			g.t.Fatalf("no event: %s (%d others)", what, seen)
		}
	}
}

// never looks at what is not forgotten yet.
func (g *guest) never(k bridge.SessionEventKind, wrong string) {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.seen {
		if e.Kind == k {
			g.t.Errorf("%s: %+v", wrong, e)
		}
	}
}

func kind(k bridge.SessionEventKind) func(bridge.SessionEvent) bool {
	return func(e bridge.SessionEvent) bool { return e.Kind == k }
}

func (g *guest) expectTrack(identity string) string {
	g.t.Helper()
	has := func(p bridge.Participant) bool {
		return p.Identity == identity && len(p.Tracks) > 0 && p.Tracks[0].Audio
	}
	for _, p := range g.present {
		if has(p) {
			return p.Tracks[0].SID
		}
	}
	e := g.expect("track of "+identity, func(e bridge.SessionEvent) bool { return e.Kind == bridge.ParticipantChanged && has(e.Participant) })
	return e.Participant.Tracks[0].SID
}

// speaker sends packets every 20 ms whose payload says who it is.
type speaker struct {
	track   bridge.Track
	payload []byte
	packet  rtp.Packet // the last that was sent
	stop    func()
}

func speak(t testing.TB, g *guest, who string) *speaker {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	track, err := g.Publish(ctx, "microphone")
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
	s := &speaker{track: track, payload: append([]byte{0x78}, bytes.Repeat([]byte(who+"|"), 4)...)}
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		p := &s.packet
		*p = rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(rand.Uint32()), Timestamp: rand.Uint32()}, Payload: s.payload}
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				p.SequenceNumber++
				p.Timestamp += 960
				if err := track.WriteRTP(p); err != nil {
					t.Errorf("write: %v", err)
				}
			}
		}
	})
	s.stop = sync.OnceFunc(func() { close(quit); wg.Wait() })
	t.Cleanup(s.stop)
	return s
}

// ear is a sink that counts whom it hears.
type ear struct {
	mu    sync.Mutex
	heard map[string]int
	news  chan struct{}
}

func newEar() *ear { return &ear{heard: map[string]int{}, news: make(chan struct{})} }

func (e *ear) WriteFrame(f *media.Frame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if bytes.HasPrefix(f.Payload, []byte{0xf8, 0xff, 0xfe}) {
		return // the silence that LiveKit puts in front of a track and behind one that is muted
	}
	e.heard[string(f.Payload)]++
	close(e.news)
	e.news = make(chan struct{})
}

// expect waits for n more packets of a speaker.
func (e *ear) expect(t testing.TB, s *speaker, n int) {
	t.Helper()
	deadline := time.After(patience)
	e.mu.Lock()
	want := e.heard[string(s.payload)] + n
	for e.heard[string(s.payload)] < want {
		news := e.news
		e.mu.Unlock()
		select {
		case <-news:
		case <-deadline:
			t.Fatalf("heard %d of %d packets", e.heard[string(s.payload)], want)
		}
		e.mu.Lock()
	}
	if len(e.heard) != 1 {
		t.Errorf("other packets than those sent: %q", slices.Collect(maps.Keys(e.heard)))
	}
	e.mu.Unlock()
}

func leakCheck(t *testing.T) {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
}

// TestConversation: a phone and a browser hear each other, and a hidden listener hears both and is seen by nobody.
func TestConversation(t *testing.T) {
	leakCheck(t)
	c := newClient(t, startSFU(t, sfuproc.Options{}).URL())

	phone := join(t, c, bridge.Join{Room: "r", Identity: "phone", Name: "+33 1 •• •• •• 12", Phone: true, Publish: true, Attributes: map[string]string{"a": "1"}})
	spoken := speak(t, phone, "phone")
	web := join(t, c, bridge.Join{Room: "r", Identity: "web", Name: "Web", Publish: true, Subscribe: true})
	answered := speak(t, web, "web")
	listener := join(t, c, bridge.Join{Room: "r", Identity: "listener", Hidden: true, Subscribe: true})

	if len(web.present) != 1 || !web.present[0].Phone || web.present[0].Name != "+33 1 •• •• •• 12" || web.present[0].Attributes["a"] != "1" {
		t.Errorf("who was there: %+v", web.present)
	}
	if len(listener.present) != 2 {
		t.Errorf("who was there for the listener: %+v", listener.present)
	}

	fromPhone, fromWeb, toWeb := newEar(), newEar(), newEar()
	for _, s := range []struct {
		g    *guest
		who  string
		sink media.Sink
	}{{listener, "phone", fromPhone}, {listener, "web", fromWeb}, {web, "phone", toWeb}} {
		if err := s.g.Subscribe(s.g.expectTrack(s.who), s.sink); err != nil {
			t.Fatal(err)
		}
	}
	fromPhone.expect(t, spoken, 50)
	fromWeb.expect(t, answered, 50)
	toWeb.expect(t, spoken, 50)

	// The SFU sees levels, so it can tell who speaks.
	e := listener.expect("speakers", func(e bridge.SessionEvent) bool { return e.Kind == bridge.SpeakersChanged && len(e.Speakers) == 2 })
	if l := e.Speakers[0].Level; l <= 0 || l > 1 {
		t.Errorf("level %v", l)
	}
	spoken.stop()
	listener.expect("only one speaker", func(e bridge.SessionEvent) bool { return e.Kind == bridge.SpeakersChanged && len(e.Speakers) == 1 })

	phone.Leave()
	web.expect("phone left", func(e bridge.SessionEvent) bool {
		return e.Kind == bridge.ParticipantLeft && e.Participant.Identity == "phone"
	})
	phone.expect("end", func(e bridge.SessionEvent) bool { return e.Kind == bridge.SessionEnded && e.Reason == nil })
	web.mu.Lock()
	defer web.mu.Unlock()
	for _, e := range web.seen {
		if e.Participant.Identity == "listener" {
			t.Error("the hidden listener was seen")
		}
	}
}

// TestAnyAddress: a media port on all addresses works as well.
func TestAnyAddress(t *testing.T) {
	leakCheck(t)
	sfu := startSFU(t, sfuproc.Options{})
	for i, udp := range []string{"0.0.0.0:0", ":0"} {
		c := newClientOn(t, sfu.URL(), udp)
		room := fmt.Sprint("r", i)
		listener := join(t, c, bridge.Join{Room: room, Identity: "listener", Hidden: true, Subscribe: true})
		phone := join(t, c, bridge.Join{Room: room, Identity: "phone", Phone: true, Publish: true})
		spoken := speak(t, phone, "phone")
		hears := newEar()
		if err := listener.Subscribe(listener.expectTrack("phone"), hears); err != nil {
			t.Fatal(err)
		}
		hears.expect(t, spoken, 5)
	}
}

// TestHost: what a host does arrives, and what a participant does arrives at the host.
func TestHost(t *testing.T) {
	leakCheck(t)
	c := newClient(t, startSFU(t, sfuproc.Options{}).URL())
	admin := lkadmin.Admin{Client: c}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	listener := join(t, c, bridge.Join{Room: "r", Identity: "listener", Hidden: true, Subscribe: true})
	phone := join(t, c, bridge.Join{Room: "r", Identity: "phone", Name: "Phone", Phone: true, Publish: true})
	spoken := speak(t, phone, "phone")
	sid := listener.expectTrack("phone")
	hears := newEar()
	if err := listener.Subscribe(sid, hears); err != nil {
		t.Fatal(err)
	}
	hears.expect(t, spoken, 5)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(spoken.track.SetMuted(ctx, false)) // what is so already
	mutedIs := func(muted bool) func(bridge.SessionEvent) bool {
		return func(e bridge.SessionEvent) bool {
			return e.Kind == bridge.ParticipantChanged && len(e.Participant.Tracks) == 1 && e.Participant.Tracks[0].Muted == muted
		}
	}

	t.Run("mute", func(t *testing.T) {
		check(spoken.track.SetMuted(ctx, true))
		listener.expect("muted by keypad", mutedIs(true))
		check(spoken.track.SetMuted(ctx, false))
		listener.expect("unmuted by keypad", mutedIs(false))
		check(admin.Mute(ctx, "r", "phone", sid, true))
		phone.expect("muted by host", func(e bridge.SessionEvent) bool { return e.Kind == bridge.MutedByHost && e.Muted })
		listener.expect("muted", mutedIs(true))
		check(spoken.track.SetMuted(ctx, false))
		listener.expect("back by keypad", mutedIs(false))
		phone.never(bridge.MutedByHost, "an own change was taken for a host's")
	})

	t.Run("attributes", func(t *testing.T) {
		check(phone.SetAttributes(ctx, map[string]string{"handRaisedAt": "2026-01-01T00:00:00Z", "other": "x"}))
		listener.expect("hand up", func(e bridge.SessionEvent) bool { return e.Participant.Attributes["handRaisedAt"] != "" })
		check(admin.Update(ctx, "r", "phone", map[string]string{"handRaisedAt": ""}, nil))
		e := phone.expect("hand lowered", func(e bridge.SessionEvent) bool {
			return e.Kind == bridge.SelfChanged && e.Participant.Attributes["handRaisedAt"] == ""
		})
		if e.Participant.Attributes["other"] != "x" {
			t.Errorf("attributes: %v", e.Participant.Attributes)
		}
	})

	t.Run("data", func(t *testing.T) {
		check(phone.Session.(*livekit.Session).Send(ctx, "chat", []byte("hello")))
		e := listener.expect("data", kind(bridge.DataReceived))
		if e.Topic != "chat" || string(e.Data) != "hello" || e.Participant.Identity != "phone" {
			t.Errorf("data: %+v", e)
		}
		hears.expect(t, spoken, 5) // the new offer did no harm
	})

	t.Run("permission", func(t *testing.T) {
		check(admin.Update(ctx, "r", "phone", nil, &lksig.ParticipantPermission{CanPublishData: true, CanUpdateMetadata: true}))
		phone.expect("forbidden", func(e bridge.SessionEvent) bool { return e.Kind == bridge.SelfChanged && !e.Participant.CanPublish })
		listener.expect("no track", func(e bridge.SessionEvent) bool {
			return e.Participant.Identity == "phone" && len(e.Participant.Tracks) == 0
		})
		check(admin.Update(ctx, "r", "phone", nil, &lksig.ParticipantPermission{CanPublish: true, CanPublishData: true, CanUpdateMetadata: true}))
		phone.expect("allowed", func(e bridge.SessionEvent) bool { return e.Kind == bridge.SelfChanged && e.Participant.CanPublish })
		anew := newEar()
		check(listener.Subscribe(listener.expectTrack("phone"), anew))
		anew.expect(t, spoken, 10)
	})

	t.Run("removed", func(t *testing.T) {
		check(admin.Remove(ctx, "r", "phone"))
		e := phone.expect("end", kind(bridge.SessionEnded))
		if !errors.Is(e.Reason, bridge.ErrRemoved) {
			t.Errorf("reason %v", e.Reason)
		}
		if err := phone.SetAttributes(ctx, map[string]string{"a": "b"}); err == nil {
			t.Error("attributes of one who is gone")
		}
	})

	t.Run("room deleted", func(t *testing.T) {
		check(admin.DeleteRoom(ctx, "r"))
		e := listener.expect("end", kind(bridge.SessionEnded))
		if !errors.Is(e.Reason, bridge.ErrRoomEnded) {
			t.Errorf("reason %v", e.Reason)
		}
	})
}

// TestSFURestart: a killed SFU comes back on its port, and so do the sessions, their muted state, attributes, and the sound.
func TestSFURestart(t *testing.T) {
	leakCheck(t)
	sfu := startSFU(t, sfuproc.Options{})
	c := newClient(t, sfu.URL())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	listener := join(t, c, bridge.Join{Room: "r", Identity: "listener", Hidden: true, Subscribe: true})
	phone := join(t, c, bridge.Join{Room: "r", Identity: "phone", Name: "Phone", Phone: true, Publish: true})
	spoken := speak(t, phone, "phone")
	hears := newEar()
	if err := listener.Subscribe(listener.expectTrack("phone"), hears); err != nil {
		t.Fatal(err)
	}
	hears.expect(t, spoken, 5)
	if err := phone.SetAttributes(ctx, map[string]string{"hand": "up"}); err != nil {
		t.Fatal(err)
	}
	if err := spoken.track.SetMuted(ctx, true); err != nil {
		t.Fatal(err)
	}

	sfu.Kill()
	phone.expect("interrupted", kind(bridge.Interrupted))
	listener.expect("interrupted", kind(bridge.Interrupted))
	startSFU(t, sfuproc.Options{Listen: sfu.URL()[len("ws://"):]})
	phone.expect("restored", kind(bridge.Restored))
	listener.expect("restored", kind(bridge.Restored))

	e := listener.expect("track of phone", func(e bridge.SessionEvent) bool {
		return e.Kind == bridge.ParticipantChanged && e.Participant.Identity == "phone" && len(e.Participant.Tracks) == 1
	})
	if e.Participant.Attributes["hand"] != "up" || !e.Participant.Tracks[0].Muted || !e.Participant.Phone {
		t.Errorf("came back as %+v", e.Participant)
	}
	anew := newEar()
	if err := listener.Subscribe(e.Participant.Tracks[0].SID, anew); err != nil {
		t.Fatal(err)
	}
	if err := spoken.track.SetMuted(ctx, false); err != nil {
		t.Fatal(err)
	}
	anew.expect(t, spoken, 25)
}

// TestResume: a signalling connection that breaks interrupts neither the sound nor what others see.
func TestResume(t *testing.T) {
	leakCheck(t)
	sfu := startSFU(t, sfuproc.Options{})
	c := newClient(t, sfu.URL())
	wire := newCutter(t, sfu.URL()[len("ws://"):])
	far := newClient(t, "ws://"+wire.listener.Addr().String())

	listener := join(t, c, bridge.Join{Room: "r", Identity: "listener", Hidden: true, Subscribe: true})
	phone := join(t, far, bridge.Join{Room: "r", Identity: "phone", Phone: true, Publish: true})
	spoken := speak(t, phone, "phone")
	cut := join(t, far, bridge.Join{Room: "r", Identity: "cut", Hidden: true, Subscribe: true})
	hears, alsoHears := newEar(), newEar()
	if err := listener.Subscribe(listener.expectTrack("phone"), hears); err != nil {
		t.Fatal(err)
	}
	if err := cut.Subscribe(cut.expectTrack("phone"), alsoHears); err != nil {
		t.Fatal(err)
	}
	hears.expect(t, spoken, 5)
	alsoHears.expect(t, spoken, 5)

	for range 3 {
		wire.cut()
		phone.expect("interrupted", kind(bridge.Interrupted))
		phone.expect("restored", kind(bridge.Restored))
		cut.expect("restored", kind(bridge.Restored))
		hears.expect(t, spoken, 25)
		alsoHears.expect(t, spoken, 25)
	}
	listener.never(bridge.ParticipantLeft, "the phone left for others: it was not resumed")
	// Who mutes meanwhile, and cannot wait, is muted when all is back.
	wire.cut()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := spoken.track.SetMuted(ctx, true); err == nil {
		t.Error("the room was told over a wire that is cut")
	}
	phone.expect("restored", kind(bridge.Restored))
	listener.expect("muted", func(e bridge.SessionEvent) bool {
		return e.Kind == bridge.ParticipantChanged && len(e.Participant.Tracks) == 1 && e.Participant.Tracks[0].Muted
	})
	ctx, cancel = context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := spoken.track.SetMuted(ctx, false); err != nil {
		t.Fatal(err)
	}
	phone.never(bridge.MutedByHost, "an own change was taken for a host's")
}

// cutter is a TCP wire that can be cut. New connections pass again.
type cutter struct {
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
}

func newCutter(t *testing.T, to string) *cutter {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, in, out)
			c.mu.Unlock()
			wg.Go(func() { _, _ = io.Copy(in, out); in.Close() })
			wg.Go(func() { _, _ = io.Copy(out, in); out.Close() })
		}
	})
	t.Cleanup(func() { l.Close(); c.cut(); wg.Wait() })
	return c
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// TestFrozenSFU: an SFU that neither answers nor hangs up is noticed by its silence on the media port, and the sound goes on when it is back.
func TestFrozenSFU(t *testing.T) {
	leakCheck(t)
	sfu := startSFU(t, sfuproc.Options{})
	c := newClient(t, sfu.URL())
	listener := join(t, c, bridge.Join{Room: "r", Identity: "listener", Hidden: true, Subscribe: true})
	phone := join(t, c, bridge.Join{Room: "r", Identity: "phone", Phone: true, Publish: true})
	spoken := speak(t, phone, "phone")
	hears := newEar()
	if err := listener.Subscribe(listener.expectTrack("phone"), hears); err != nil {
		t.Fatal(err)
	}
	hears.expect(t, spoken, 5)
	if err := syscall.Kill(sfu.Pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	phone.expect("interrupted", kind(bridge.Interrupted))
	listener.expect("interrupted", kind(bridge.Interrupted))
	if err := syscall.Kill(sfu.Pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	phone.expect("restored", kind(bridge.Restored))
	listener.expect("restored", kind(bridge.Restored))
	hears.expect(t, spoken, 50)
}

// TestManySessions: sessions come and go in numbers, and leave no socket behind.
func TestManySessions(t *testing.T) {
	leakCheck(t)
	const n = 50
	c := newClient(t, startSFU(t, sfuproc.Options{}).URL())
	before := openFiles(t)
	listener := join(t, c, bridge.Join{Room: "r", Identity: "listener", Hidden: true, Subscribe: true})
	ears := make([]*ear, n)
	speakers := make([]*speaker, n)
	guests := make([]*guest, n)
	for i := range n {
		who := fmt.Sprintf("phone-%d", i)
		guests[i] = join(t, c, bridge.Join{Room: "r", Identity: who, Phone: true, Publish: true})
		speakers[i] = speak(t, guests[i], who)
		ears[i] = newEar()
		if err := listener.Subscribe(listener.expectTrack(who), ears[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		ears[i].expect(t, speakers[i], 10)
	}
	for _, s := range speakers {
		s.stop()
	}
	var wg sync.WaitGroup
	for _, g := range guests {
		wg.Go(g.Leave)
	}
	wg.Wait()
	listener.Leave()
	if got := c.Sessions(); got != 0 {
		t.Errorf("%d sessions left", got)
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d files are open, %d were", after, before)
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

// TestWrongKey: a refusal is told as one.
func TestWrongKey(t *testing.T) {
	leakCheck(t)
	sfu := startSFU(t, sfuproc.Options{})
	c, err := livekit.New(configs.LiveKit{
		URL: sfu.URL(), APIKey: key, APISecret: "another-secret-another-secret-anot", UDPListen: "127.0.0.1:0", JoinTimeout: patience,
	}, egress.New(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, _, err := c.Join(t.Context(), bridge.Join{Room: "r", Identity: "x", Publish: true}); !errors.Is(err, bridge.ErrSFU) {
		t.Errorf("join: %v", err)
	}
	var api *livekit.APIError
	if _, err := c.ListDispatchRules(t.Context()); !errors.As(err, &api) || api.Status != 401 {
		t.Errorf("list: %v", err)
	}
}
