package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"
	"github.com/prometheus/client_golang/prometheus"

	"passerelle/bridge/ivr"
	"passerelle/bridge/journal"
	"passerelle/bridge/policy"
	"passerelle/configs"
	"passerelle/internal/testpeer/said"
	"passerelle/media"
	"passerelle/transcode"
	"passerelle/transcode/mix"
)

// The fakes here stand for what real peers do not do when a test wants it: an SFU that does not answer, a directory that hangs, hosts, and time
// that passes at once. e2e has the real ones.

// fakeLeg is a phone. Its sound is counted, and the prompts that it hears are found by the clip that is played.
type fakeLeg struct {
	caller Caller
	events chan Event

	mu     sync.Mutex
	ended  []error
	sink   media.Sink
	frames int
}

func newFakeLeg() *fakeLeg {
	return &fakeLeg{
		caller: Caller{CallID: "c1", Protocol: "fake", Number: "+33123456712", Source: netip.MustParseAddr("192.0.2.1"), Language: "en"},
		events: make(chan Event, 64),
	}
}

func (l *fakeLeg) Caller() Caller                    { return l.caller }
func (l *fakeLeg) Events() <-chan Event              { return l.events }
func (l *fakeLeg) Ring(context.Context, Terms) error { return nil }

func (l *fakeLeg) Answer(context.Context) (Audio, error) { return l, nil }

func (l *fakeLeg) End(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = append(l.ended, reason)
}

func (l *fakeLeg) Codec() transcode.Codec { c, _ := transcode.Lookup("PCMA", 8000); return c }
func (l *fakeLeg) SendsEvents() bool      { return true }
func (l *fakeLeg) Stats() media.Stats     { return media.Stats{Encryption: "none"} }

func (l *fakeLeg) SetSink(s media.Sink) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sink = s
}

func (l *fakeLeg) WriteFrame([]byte, int, bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frames++
	return nil
}

// press types keys.
func (l *fakeLeg) press(keys string) {
	for _, k := range []byte(keys) {
		l.events <- Event{Kind: Digit, Digit: k, Way: "rtp"}
		time.Sleep(400 * time.Millisecond)
	}
}

// hangUp is the caller's BYE.
func (l *fakeLeg) hangUp() {
	l.events <- Event{Kind: Ended}
	close(l.events)
}

// fakeSFU is a room in which everything can be made to happen.
type fakeSFU struct {
	hang    bool          // Join never answers
	refuse  error         // Join fails
	present []Participant // who is there

	mu       sync.Mutex
	sessions []*fakeSession
	sent     []string // data to the room
}

func (f *fakeSFU) Join(ctx context.Context, j Join) (Session, []Participant, error) {
	if f.hang {
		<-ctx.Done()
		return nil, nil, context.Cause(ctx)
	}
	if f.refuse != nil {
		return nil, nil, f.refuse
	}
	s := &fakeSession{join: j, events: make(chan SessionEvent, 64), attributes: maps.Clone(j.Attributes)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions = append(f.sessions, s)
	return s, f.present, nil
}

func (f *fakeSFU) SendData(_ context.Context, room, topic string, data []byte, to []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, fmt.Sprintf("%s %s %s %v", room, topic, data, to))
	return nil
}

// session answers the one of the listener, or of the phone.
func (f *fakeSFU) session(t *testing.T, hidden bool) *fakeSession {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range slices.Backward(f.sessions) {
		if s.join.Hidden == hidden {
			return s
		}
	}
	t.Fatalf("nobody joined (hidden: %v)", hidden)
	return nil
}

type fakeSession struct {
	join   Join
	events chan SessionEvent

	mu         sync.Mutex
	attributes map[string]string
	subscribed []string
	muted      []bool
	packets    []rtp.Header
	failKeys   error
	left       bool
}

func (s *fakeSession) Events() <-chan SessionEvent { return s.events }

// tell delivers an event.
func (s *fakeSession) tell(e SessionEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events <- e
}

func (s *fakeSession) Publish(context.Context, string) (Track, error) { return s, nil }

func (s *fakeSession) Subscribe(sid string, sink media.Sink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sink != nil {
		s.subscribed = append(s.subscribed, sid)
	} else {
		s.subscribed = slices.DeleteFunc(s.subscribed, func(x string) bool { return x == sid })
	}
	return nil
}

func (s *fakeSession) SetAttributes(_ context.Context, a map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failKeys != nil {
		return s.failKeys
	}
	maps.Copy(s.attributes, a)
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

func (s *fakeSession) WriteRTP(p *rtp.Packet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets = append(s.packets, p.Header)
	return nil
}

func (s *fakeSession) SetMuted(_ context.Context, muted bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muted = append(s.muted, muted)
	return s.failKeys
}

// look reads what a session was told.
func look[T any](s *fakeSession, f func() T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}

// fakeDirectory knows one room.
type fakeDirectory struct {
	hang bool
	fail error
}

func (d fakeDirectory) Find(ctx context.Context, pin string) (RoomRef, error) {
	switch {
	case d.hang:
		<-ctx.Done()
		return RoomRef{}, context.Cause(ctx)
	case d.fail != nil:
		return RoomRef{}, d.fail
	case pin == "1234567890":
		return RoomRef{Name: "room", Source: "test"}, nil
	}
	return RoomRef{}, ErrBadPIN
}

// fakeRules decide as a test wants.
type fakeRules struct {
	mu     sync.Mutex
	answer func(policy.Facts) policy.Decision
	asked  []policy.Facts
	tell   func()
}

// everything is a grant without any bound.
func everything() policy.Grant {
	return policy.Grant{
		Lobby: policy.NoLobby, Audio: policy.Both, Encryption: policy.Optional, ShowNumber: policy.Masked, Learn: policy.LearnCount, Recording: true,
		Keys: []policy.Key{policy.KeyMute, policy.KeyHand, policy.KeyVolume, policy.KeyCount},
	}
}

// granting is a decision that grants everything, but for what edit changes.
func granting(edit func(g *policy.Grant)) func(policy.Facts) policy.Decision {
	return func(f policy.Facts) policy.Decision {
		d := policy.Decision{Rule: "test", Allowed: true, Open: f.Room == "", Grant: everything()}
		if edit != nil {
			edit(&d.Grant)
		}
		return d
	}
}

func newFakeRules() *fakeRules { return &fakeRules{answer: granting(nil)} }

func (r *fakeRules) Decide(_ context.Context, f policy.Facts) policy.Decision {
	r.mu.Lock()
	r.asked = append(r.asked, f)
	answer := r.answer
	r.mu.Unlock()
	return answer(f)
}

func (r *fakeRules) OnChange(f func()) { r.tell = f }

// change puts other rules in force.
func (r *fakeRules) change(answer func(policy.Facts) policy.Decision) {
	r.mu.Lock()
	r.answer = answer
	r.mu.Unlock()
	if r.tell != nil {
		r.tell()
	}
}

// fakeJournal keeps entries, or cannot.
type fakeJournal struct {
	mu      sync.Mutex
	entries []journal.Entry
	broken  error
}

func (j *fakeJournal) Write(e journal.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
}

func (j *fakeJournal) Ready() error { return j.broken }

// outcomes lists the outcomes of the entries of a kind, each with its actor.
func (j *fakeJournal) outcomes(kind journal.Kind) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []string
	for _, e := range j.entries {
		if e.Kind == kind {
			list = append(list, strings.TrimSpace(e.Outcome+" "+e.Actor))
		}
	}
	return strings.Join(list, ", ")
}

var loadPrompts = sync.OnceValues(func() (*ivr.Prompts, error) { return ivr.Load("", []string{"en", "fr"}) })

// bench is one call of a phone to a node, in a bubble of synctest.
type bench struct {
	*testing.T
	node *Node
	leg  *fakeLeg
	sfu  *fakeSFU
	log  *said.Text

	rules   *fakeRules
	journal *fakeJournal

	stop context.CancelCauseFunc
	done chan struct{} // the call has ended
	tick chan struct{} // closed: no more ticks
}

// start begins a call. edit changes the node's options before.
func start(t *testing.T, sfu *fakeSFU, d Directory, edit func(*Options, *fakeLeg)) *bench {
	t.Helper()
	return startLeg(t, sfu, d, func(o *Options, l *fakeLeg) Leg {
		if edit != nil {
			edit(o, l)
		}
		return l
	})
}

// startLeg is start with a leg that is more than a fakeLeg.
func startLeg(t *testing.T, sfu *fakeSFU, d Directory, edit func(*Options, *fakeLeg) Leg) *bench {
	t.Helper()
	prompts, err := loadPrompts()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, sfu: sfu, leg: newFakeLeg(), log: &said.Text{}, rules: newFakeRules(), journal: &fakeJournal{}, done: make(chan struct{}), tick: make(chan struct{})}
	c := configs.Defaults()
	o := Options{
		Limits: c.Calls, IVR: c.IVR, SFU: sfu, Directory: d, Prompts: prompts, Clock: mix.NewClock(1),
		Log: slog.New(slog.NewTextHandler(b.log, nil)), Registry: prometheus.NewRegistry(),
		Rules: c.Rules, Lobby: c.Lobby, Policy: b.rules, Journal: b.journal,
	}
	leg := edit(&o, b.leg)
	b.node = NewNode(o)
	ctx, stop := context.WithCancelCause(t.Context())
	b.stop = stop
	go b.ticks()
	go func() {
		defer close(b.done)
		b.node.Take(ctx, leg)
	}()
	return b
}

// ticks drives the mixers as the node's clock does, in the bubble's time.
func (b *bench) ticks() {
	tick := time.NewTicker(mix.Period)
	defer tick.Stop()
	for {
		select {
		case <-b.tick:
			return
		case <-tick.C:
		}
		b.node.lobby.Tick()
		b.node.rooms.mu.Lock()
		for _, r := range b.node.rooms.all {
			r.mixer.Tick()
		}
		b.node.rooms.mu.Unlock()
	}
}

// enter types the PIN and waits until the phone is in the room.
func (b *bench) enter() *fakeSession {
	b.Helper()
	b.leg.press("1234567890#")
	time.Sleep(5 * time.Second)
	synctest.Wait()
	return b.sfu.session(b.T, false)
}

// ends waits for the end of the call and checks its reason, and that nothing is left.
func (b *bench) ends(want error) {
	b.Helper()
	select {
	case <-b.done:
	case <-time.After(2 * time.Minute):
		b.Fatal("the call goes on")
	}
	close(b.tick)
	b.leg.mu.Lock()
	defer b.leg.mu.Unlock()
	if len(b.leg.ended) != 1 || !errors.Is(b.leg.ended[0], want) {
		b.Errorf("the leg ended with %v, want once %v", b.leg.ended, want)
	}
	if b.leg.sink != nil {
		b.Error("the leg still has its sink")
	}
	if n := b.node.rooms.count(); n != 0 {
		b.Errorf("%d rooms are left", n)
	}
	if n := b.node.Running(); n != 0 {
		b.Errorf("%d calls are left", n)
	}
	for _, s := range b.sfu.sessions {
		if !s.left {
			b.Errorf("%s has not left", s.join.Identity)
		}
	}
	b.node.Close()
	if strings.Contains(b.log.String(), "1234567890") || strings.Contains(b.log.String(), b.leg.caller.Number) {
		b.Errorf("the log holds a PIN or a number:\n%s", b.log)
	}
}
