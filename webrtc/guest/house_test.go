package guest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"passerelle/bridge"
	"passerelle/bridge/links"
	"passerelle/bridge/policy"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/media"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener")) // ends with Close, a moment later
}

const patience = 20 * time.Second // for what takes a moment

// house is a server with links, and with a bridge of the tests' own.
type house struct {
	*Server
	t      testing.TB
	links  *links.Keeper
	base   string
	end    func()
	rules  *rules
	logged *buffer
	use    atomic.Pointer[func()] // called before a use of a link is counted; nil: nothing is
}

// counter is a Links that can be held up.
type counter struct {
	*links.Keeper
	h *house
}

func (c counter) Use(ctx context.Context, l links.Link) error {
	if f := c.h.use.Load(); f != nil {
		(*f)()
	}
	return c.Keeper.Use(ctx, l)
}

// rules grants what a test says.
type rules struct {
	mu   sync.Mutex
	d    policy.Decision
	some []string // origins that any rule takes
}

func (r *rules) Decide(context.Context, policy.Facts) policy.Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.d
}

func (r *rules) OnChange(func()) {}

func (r *rules) someOrigin(o string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.some, o)
}

func (r *rules) set(d policy.Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.d = d
}

// buffer is a log that can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// open runs a server until the test ends. take is what the bridge does with a leg.
func open(t testing.TB, change func(*configs.Guests), take func(ctx context.Context, l *Leg)) *house {
	t.Helper()
	cfg := configs.Defaults().Guests
	cfg.Listen, cfg.Rate, cfg.Grace = "127.0.0.1:0", 1000, 30*time.Second
	if change != nil {
		change(&cfg)
	}
	dir := t.TempDir()
	keys, err := links.OpenKeys(filepath.Join(dir, "keys"), "")
	if err != nil {
		t.Fatal(err)
	}
	db, err := links.OpenFile(filepath.Join(dir, "links.db"))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, rules: &rules{}, logged: &buffer{}}
	log := slog.New(slog.NewTextHandler(h.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if h.links, err = links.Open(t.Context(), db, links.SQLite, keys, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	h.rules.d = policy.Decision{Allowed: true, Grant: policy.Grant{Audio: policy.Both, Video: policy.Both, Content: policy.Both, Learn: policy.LearnNames}}
	h.Server, err = New(cfg, Deps{Guard: egress.New(), Links: counter{h.links, h}, Policy: h.rules, SomeOrigin: h.rules.someOrigin, Handler: take, Log: log, Language: "fr"})
	if err != nil {
		t.Fatal(err)
	}
	h.times.tick, h.times.watch, h.times.close = 20*time.Millisecond, 20*time.Millisecond, 100*time.Millisecond
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- h.Run(ctx) }()
	select {
	case <-h.Ready():
	case err := <-over:
		t.Fatal(err)
	}
	h.base = "http://" + h.Addr().String()
	h.end = sync.OnceFunc(func() {
		stop()
		select {
		case err := <-over:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the server does not end")
		}
		http.DefaultClient.CloseIdleConnections()
	})
	t.Cleanup(func() {
		h.end()
		_ = h.links.Close()
		if n := h.Legs(); n != 0 {
			t.Errorf("%d legs are left", n)
		}
	})
	return h
}

// link makes a link.
func (h *house) link(w links.Wish) (links.Link, string) {
	h.t.Helper()
	if w.Room == "" {
		w.Room = "room"
	}
	l, token, err := h.links.Create(context.Background(), w)
	if err != nil {
		h.t.Fatal(err)
	}
	return l, token
}

// exchange gives a link for a session, or for a problem.
func (h *house) exchange(token string) (session string, terms Terms, p problem) {
	h.t.Helper()
	b, _ := json.Marshal(map[string]string{"link": token})
	r, err := http.Post(h.base+"/api/v1/session", "application/json", bytes.NewReader(b))
	if err != nil {
		h.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err = io.ReadAll(r.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	if r.StatusCode != http.StatusOK {
		if err := json.Unmarshal(b, &p); err != nil || r.Header.Get("Content-Type") != "application/problem+json" || p.Status != r.StatusCode {
			h.t.Errorf("%d: %s %v", r.StatusCode, b, err)
		}
		return "", Terms{}, p
	}
	var good struct {
		Session string
		Terms   Terms
	}
	if err := json.Unmarshal(b, &good); err != nil {
		h.t.Fatal(err)
	}
	return good.Session, good.Terms, problem{}
}

// tab is a page in a browser, played by the test.
type tab struct {
	t    testing.TB
	h    *house
	ws   *websocket.Conn
	in   chan said
	gone error // why the socket closed, when in is closed
	pc   *pion.PeerConnection
	up   chan struct{}
	by   pion.Configuration // of the peer connection

	microphone *pion.TrackLocalStaticRTP
	camera     *pion.TrackLocalStaticRTP
	tracks     []track
	heard      chan *rtp.Packet
	seen       map[string]chan *rtp.Packet // by mid
	asked      chan rtcp.Packet            // about the camera
}

// said is a message of the server.
type said struct {
	Type string
	raw  []byte
}

// visit opens a socket. Nothing is said on it.
func (h *house) visit() *tab {
	h.t.Helper()
	ws, r, err := (&websocket.Dialer{Subprotocols: []string{subprotocol}}).Dial("ws"+strings.TrimPrefix(h.base, "http")+"/api/v1/ws", nil)
	if err != nil {
		h.t.Fatal(err, r)
	}
	p := &tab{t: h.t, h: h, ws: ws, in: make(chan said, 1000)}
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer close(p.in)
		for {
			_, b, err := ws.ReadMessage()
			if err != nil {
				p.gone = err
				return
			}
			s := said{raw: b}
			_ = json.Unmarshal(b, &s)
			p.in <- s
		}
	}()
	h.t.Cleanup(func() {
		_ = ws.Close()
		<-over
	})
	return p
}

// say sends a message.
func (p *tab) say(kind string, members any) {
	p.t.Helper()
	b, err := json.Marshal(members)
	if err != nil {
		p.t.Fatal(err)
	}
	text := fmt.Sprintf(`{"type":%q,%s`, kind, b[1:])
	if err := p.ws.WriteMessage(websocket.TextMessage, []byte(strings.Replace(text, ",}", "}", 1))); err != nil {
		p.t.Fatal(err)
	}
}

// hear waits for a message of a type that is as wanted, and reads it into m.
func (p *tab) hear(kind string, m any, wanted func() bool) {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case s, ok := <-p.in:
			if !ok {
				p.t.Fatalf("the socket closed (%v) before %q came", p.gone, kind)
			}
			if s.Type != kind {
				continue
			}
			if err := json.Unmarshal(s.raw, m); err != nil {
				p.t.Fatal(err)
			}
			if wanted == nil || wanted() {
				return
			}
		case <-deadline:
			p.t.Fatalf("no %q came as it is wanted", kind)
		}
	}
}

// state waits for a state.
func (p *tab) state(want State) *stateMessage {
	p.t.Helper()
	m := new(stateMessage)
	p.hear("state", m, func() bool { return m.State == want })
	return m
}

// ended waits for the end, and the code with which the socket is closed.
func (p *tab) ended(reason string, code int) {
	p.t.Helper()
	if m := p.state(StateEnded); m.Reason != reason {
		p.t.Errorf("ended: %q, want %q", m.Reason, reason)
	}
	p.closed(code)
}

// closed waits for the socket to be closed with a code.
func (p *tab) closed(code int) {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, ok := <-p.in:
			if ok {
				continue
			}
			if !websocket.IsCloseError(p.gone, code) {
				p.t.Errorf("closed: %v, want %d", p.gone, code)
			}
			return
		case <-deadline:
			p.t.Fatal("the socket does not close")
		}
	}
}

// hello opens a socket for a session and is welcomed.
func (h *house) hello(session string) (*tab, *welcome) {
	h.t.Helper()
	p, w := h.visit(), new(welcome)
	p.say("hello", hello{Version: Version, Session: session})
	p.hear("welcome", w, nil)
	return p, w
}

// media makes the tab's peer connection: a microphone and, where wanted, a camera and tiles. It returns the first offer.
func (p *tab) media(camera bool, tiles int) (first string) {
	p.t.Helper()
	p.heard, p.seen, p.asked, p.up = make(chan *rtp.Packet, 1000), map[string]chan *rtp.Packet{}, make(chan rtcp.Packet, 100), make(chan struct{})
	var e pion.SettingEngine
	e.SetIncludeLoopbackCandidate(true)
	e.SetRelayAcceptanceMinWait(0)
	e.LoggerFactory = quiet{}
	m := new(pion.MediaEngine)
	if err := m.RegisterDefaultCodecs(); err != nil {
		p.t.Fatal(err)
	}
	pc, err := pion.NewAPI(pion.WithSettingEngine(e), pion.WithMediaEngine(m)).NewPeerConnection(p.by)
	if err != nil {
		p.t.Fatal(err)
	}
	p.pc = pc
	p.t.Cleanup(func() { _ = pc.GracefulClose() })
	up := p.up
	pc.OnConnectionStateChange(func(s pion.PeerConnectionState) {
		if s == pion.PeerConnectionStateConnected {
			select {
			case <-up:
			default:
				close(up)
			}
		}
	})
	var uses []Use
	add := func(kind pion.RTPCodecType, direction pion.RTPTransceiverDirection, mime string, use Use) *pion.TrackLocalStaticRTP {
		uses = append(uses, use)
		if direction == pion.RTPTransceiverDirectionRecvonly {
			if _, err := pc.AddTransceiverFromKind(kind, pion.RTPTransceiverInit{Direction: direction}); err != nil {
				p.t.Fatal(err)
			}
			return nil
		}
		local, err := pion.NewTrackLocalStaticRTP(pion.RTPCodecCapability{MimeType: mime}, string(use), "page")
		if err != nil {
			p.t.Fatal(err)
		}
		t, err := pc.AddTransceiverFromTrack(local, pion.RTPTransceiverInit{Direction: direction})
		if err != nil {
			p.t.Fatal(err)
		}
		asked := p.asked
		go func() { // ends with the peer connection
			for {
				packets, _, err := t.Sender().ReadRTCP()
				if err != nil {
					return
				}
				for _, r := range packets {
					select {
					case asked <- r:
					default:
					}
				}
			}
		}()
		return local
	}
	p.microphone = add(pion.RTPCodecTypeAudio, pion.RTPTransceiverDirectionSendrecv, pion.MimeTypeOpus, UseVoice)
	if camera {
		p.camera = add(pion.RTPCodecTypeVideo, pion.RTPTransceiverDirectionSendonly, pion.MimeTypeVP8, UseCamera)
	}
	for range tiles {
		add(pion.RTPCodecTypeVideo, pion.RTPTransceiverDirectionRecvonly, "", UseTile)
	}
	first = p.offer(false)
	p.tracks = nil
	for i, t := range pc.GetTransceivers() {
		p.tracks = append(p.tracks, track{t.Mid(), uses[i]})
		p.seen[t.Mid()] = make(chan *rtp.Packet, 1000)
	}
	seen, heard := p.seen, p.heard
	pc.OnTrack(func(t *pion.TrackRemote, r *pion.RTPReceiver) {
		out := heard
		if t.Kind() == pion.RTPCodecTypeVideo {
			out = seen[r.RTPTransceiver().Mid()]
		}
		for {
			packet, _, err := t.ReadRTP()
			if err != nil {
				return
			}
			select {
			case out <- packet:
			default:
			}
		}
	})
	return first
}

// offer makes an offer with all candidates.
func (p *tab) offer(restart bool) string {
	p.t.Helper()
	d, err := p.pc.CreateOffer(&pion.OfferOptions{ICERestart: restart})
	if err != nil {
		p.t.Fatal(err)
	}
	gathered := pion.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(d); err != nil {
		p.t.Fatal(err)
	}
	<-gathered
	return p.pc.LocalDescription().SDP
}

// accept waits for the answer and takes it.
func (p *tab) accept() string {
	p.t.Helper()
	var a answer
	p.hear("answer", &a, nil)
	if err := p.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: a.SDP}); err != nil {
		p.t.Fatal(err)
	}
	return a.SDP
}

// join comes into the room, and returns when media is up.
func (p *tab) join(j join, camera bool, tiles int) {
	p.t.Helper()
	j.SDP = p.media(camera, tiles)
	j.Tracks = p.tracks
	p.say("join", j)
	p.accept()
	p.isUp()
}

func (p *tab) isUp() {
	p.t.Helper()
	select {
	case <-p.up:
	case <-time.After(patience):
		p.t.Fatal("media does not come up")
	}
}

// quiet is a log of pion's that says nothing.
type quiet struct{}

func (quiet) NewLogger(string) logging.LeveledLogger {
	return logging.NewDefaultLeveledLoggerForScope("", logging.LogLevelDisabled, io.Discard)
}

// room is what the tests have for a bridge: it answers each leg, and shows what happens.
type room struct {
	legs   chan *Leg
	events chan bridge.Event
	audio  chan bridge.Audio
	ended  chan error
}

func newRoom() *room {
	return &room{legs: make(chan *Leg, 10), events: make(chan bridge.Event, 100), audio: make(chan bridge.Audio, 10), ended: make(chan error, 10)}
}

// take is Deps.Handler.
func (r *room) take(ctx context.Context, l *Leg) {
	reason := r.host(ctx, l)
	l.End(reason)
	r.ended <- reason
}

func (r *room) host(ctx context.Context, l *Leg) error {
	l.Tell(bridge.Standing{State: "ringing"})
	if err := l.Ring(ctx, bridge.Terms{}); err != nil {
		return err
	}
	audio, err := l.Answer(ctx)
	if err != nil {
		return err
	}
	l.Tell(bridge.Standing{State: "talking", MayUnmute: true})
	r.legs <- l
	r.audio <- audio
	for {
		select {
		case e := <-l.Events():
			if e.Kind == bridge.Ended {
				return e.Reason
			}
			r.events <- e
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// wait takes from a channel, with patience.
func wait[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing came", what)
		panic("not reached")
	}
}

// until polls a condition, with patience.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: does not come true", what)
		}
	}
}

// stage is a bridge.Place that keeps what it is told.
type stage struct {
	mu      sync.Mutex
	started map[bridge.Source][]bridge.Layer
	codec   bridge.VideoCodec
	views   []bridge.View
	got     map[bridge.Source]int
	last    bridge.VideoPacket
	wanted  map[int]int
	refuse  bool
}

func newStage() *stage {
	return &stage{started: map[bridge.Source][]bridge.Layer{}, got: map[bridge.Source]int{}, wanted: map[int]int{}}
}

func (s *stage) Start(source bridge.Source, c bridge.VideoCodec, layers []bridge.Layer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse {
		return bridge.ErrForbidden
	}
	s.started[source], s.codec = layers, c
	return nil
}

func (s *stage) WriteVideo(source bridge.Source, _ int, p *bridge.VideoPacket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got[source]++
	s.last = *p
	s.last.Payload = slices.Clone(p.Payload)
}

func (s *stage) Stop(source bridge.Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.started, source)
}

func (s *stage) View(v bridge.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views = append(s.views, v)
}

func (s *stage) WantKeyframe(tile int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted[tile]++
}

// view is the latest one.
func (s *stage) view() bridge.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.views) == 0 {
		return bridge.View{}
	}
	return s.views[len(s.views)-1]
}

func (s *stage) is(f func() bool) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return f()
	}
}

// ear is a media.Sink that keeps what it hears.
type ear struct{ frames chan media.Frame }

func (e ear) WriteFrame(f *media.Frame) {
	kept := *f
	kept.Payload = slices.Clone(f.Payload)
	select {
	case e.frames <- kept:
	default:
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
