package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/bridge/policy"
	"passerelle/transcode/mix"
)

// call is one caller's way through the house. One goroutine runs it: run and what it calls own every field.
type call struct {
	node *Node
	log  *slog.Logger
	leg  Leg
	who  Caller
	lang string

	chose bool // the language, by a star
	audio Audio
	ears  *mix.Output // what the caller hears
	mouth *uplink     // what the caller says
	dedup ivr.Dedup   // a digit that comes two ways is one
	tones chan byte   // digits heard in the sound itself
	ahead []byte      // keys for the meeting that were typed before it
	ref   RoomRef
	chain string // of codecs, kept for the record
	began time.Time

	decision policy.Decision // the last one
	terms    Terms           // under which the leg was answered
	claim    claim           // guarded by Node.mu

	display  Display // nil: the leg is spoken to
	standing Standing
	closed   bool // the microphone is to be closed when the call comes into a room
	volume   int  // dB that the caller has chosen

	view    atomic.Pointer[view]
	orders  chan order              // in: from operators
	changed chan struct{}           // in: the rules have changed
	stop    context.CancelCauseFunc // ends the call, from any goroutine
	gone    chan struct{}           // out: closed when the call is over
}

// state is how far a call has come.
type state int32

const (
	ringing state = iota
	asking        // for the PIN
	waiting       // in the lobby
	joining       // the room is being entered
	talking
	ending
)

func (s state) String() string {
	return [...]string{"ringing", "asking", "waiting", "joining", "talking", "ending"}[s]
}

func newCall(n *Node, leg Leg) *call {
	who := leg.Caller()
	c := &call{
		node: n, leg: leg, who: who, lang: who.Language, tones: make(chan byte, 16), began: time.Now(),
		orders: make(chan order), changed: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	c.log = n.Log.With("call", who.CallID)
	c.display, _ = leg.(Display)
	if who.Outbound {
		c.ref = RoomRef{Name: who.Room, Source: "operator"} // the rules are asked about it before anything is sent
	}
	if c.lang == "" {
		c.lang = n.IVR.Language
	}
	c.view.Store(&view{CallInfo: CallInfo{
		ID: who.CallID, Protocol: who.Protocol, Transport: who.Transport, Trunk: who.Trunk, Source: who.Source, Number: who.Number,
		Called: who.Called, Began: c.began,
	}})
	return c
}

// run is the life of every call. It returns the reason for which the call ends.
func (c *call) run(ctx context.Context) error {
	if err := c.node.admit(c); err != nil {
		return err
	}
	defer c.node.release(c)
	ctx, stop := c.limit(ctx)
	defer stop()

	if err := c.decide(ctx); err != nil {
		return err
	}
	c.terms = Terms{Encryption: c.decision.Grant.Encryption, Codecs: c.decision.Grant.Codecs, Networks: c.decision.Grant.Networks, Names: c.decision.Grant.Hosts}
	if err := c.leg.Ring(ctx, c.terms); err != nil {
		return err
	}
	if err := c.answer(ctx); err != nil {
		return err
	}
	defer c.silence()

	c.enterState(asking)
	ref, err := c.findRoom(ctx)
	for moved := false; err == nil; moved = true {
		err = c.meet(ctx, ref, moved)
		var m *moving
		if errors.As(err, &m) {
			ref, err = m.to, nil
			c.say(ivr.Moved)
		}
	}
	return c.farewell(ctx, err)
}

// meet is the caller's time in one room: the rules, now that the room is known, the lobby, and the conversation. It returns the reason for its end,
// and *moving when that is another room.
func (c *call) meet(ctx context.Context, ref RoomRef, moved bool) error {
	c.ref = ref
	if err := c.decideOnRoom(ctx); err != nil {
		return err
	}
	if err := c.notify(ctx, c.decision.Grant.Notices.Caller); err != nil {
		return err
	}
	if !moved { // whoever moves a caller lets them in
		if err := c.wait(ctx, ref); err != nil {
			return err
		}
	}
	c.enterState(joining)
	stay, err := c.enter(ctx, ref)
	if err != nil {
		return err
	}
	c.enterState(talking)
	err = stay.converse(ctx)
	stay.leave()
	return err
}

// moving is the end of a stay that leads into another room.
type moving struct{ to RoomRef }

func (m *moving) Error() string { return "moved to another room" }

func (c *call) enterState(s state) { c.show(func(v *view) { v.state = s }) }

// since is how long the call has lasted.
func (c *call) since() time.Duration { return time.Since(c.began) }

// limit bounds the call's duration.
func (c *call) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.node.Limits.MaxDuration <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, c.node.Limits.MaxDuration, ErrMaxDuration)
}

// answer takes the call and opens its ears and mouth: the caller hears the lobby, which is silent, and nobody hears the caller.
func (c *call) answer(ctx context.Context) error {
	audio, err := c.leg.Answer(ctx)
	if err != nil {
		return err
	}
	c.audio = audio
	if c.ears, err = mix.NewOutput(audio.Codec(), audio); err != nil {
		return fmt.Errorf("%w: %w", ErrInternal, err)
	}
	c.ears.Attach(c.node.lobby, nil)
	c.mouth = newUplink(c.log, c.node.metrics, c.tones)
	c.mouth.listenForTones(!audio.SendsEvents())
	audio.SetSink(c.mouth)
	c.show(func(v *view) {
		v.audio, v.chain = audio, func() string { return c.mouth.chain() + " | " + c.ears.Chain() }
	})
	c.node.metrics.answered.Inc()
	return nil
}

// silence closes what answer opened.
func (c *call) silence() {
	c.chain = c.mouth.chain() + " | " + c.ears.Chain()
	c.audio.SetSink(nil)
	c.mouth.close()
	c.ears.Close()
}

// farewell tells the caller why the call ends, when there is something to tell and somebody to hear it, and hands the reason on.
func (c *call) farewell(ctx context.Context, reason error) error {
	c.enterState(ending)
	name, ok := spokenReason(reason)
	if !ok {
		return reason
	}
	// The call's own context may have ended: that can be the reason. The announcement gets a little time of its own.
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), farewellTime)
	defer stop()
	_ = c.announce(ctx, name)
	return reason
}

// farewellTime bounds the last announcement of a call.
const farewellTime = 10 * time.Second

// spokenReason is what is said to a caller whose call ends for a reason.
func spokenReason(reason error) (ivr.Name, bool) {
	if r := (*Refused)(nil); errors.As(reason, &r) && r.Notice != "" {
		return ivr.Name(r.Notice), true
	}
	for _, s := range [...]struct {
		err  error
		name ivr.Name
	}{
		{ErrBadPIN, ivr.TooManyTries},
		{ErrGuessing, ivr.TooManyTries},
		{ErrNoPIN, ivr.NoInput},
		{ErrDirectory, ivr.DirectoryUnavailable},
		{ErrE2EE, ivr.RefusedE2EE},
		{ErrSFU, ivr.SFUUnavailable},
		{ErrRemoved, ivr.Removed},
		{ErrRoomEnded, ivr.RoomEnded},
		{ErrDraining, ivr.Goodbye},
		{ErrMaxDuration, ivr.Goodbye},
		{ErrRules, ivr.RulesChangedEnd},
		{ErrNotEncrypted, ivr.RefusedEncryption},
		{ErrForbidden, ivr.RefusedRules},
		{ErrBusy, ivr.RefusedBusy},
		{ErrUnavailable, ivr.RefusedBusy},
		{ErrNotAdmitted, ivr.LobbyRefused},
		{ErrLobbyTimeout, ivr.LobbyTimeout},
		{ErrIdle, ivr.IdleEnd},
		{ErrEnded, ivr.Goodbye},
	} {
		if errors.Is(reason, s.err) {
			return s.name, true
		}
	}
	return "", false
}

// logEnd writes the one line that an operator reads about a call.
func (c *call) logEnd(reason error) {
	level, attrs := slog.LevelInfo, []any{"reason", Label(reason), "duration", c.since().Round(time.Millisecond)}
	if reason != nil && !errors.Is(reason, ErrHungUp) {
		attrs = append(attrs, "detail", reason.Error())
	}
	if errors.Is(reason, ErrInternal) {
		level = slog.LevelError
	}
	if c.ref.Name != "" {
		attrs = append(attrs, "room", c.ref.Name)
	}
	if c.audio != nil {
		s := c.audio.Stats()
		attrs = append(attrs, "codec", c.audio.Codec().Name, "encryption", s.Encryption, "chain", c.chain,
			"received", s.PacketsReceived, "lost", s.Lost, "jitter", s.Jitter, "sent", s.PacketsSent,
			"far_lost", s.FarLost, "far_jitter", s.FarJitter, "round_trip", s.RoundTrip)
	}
	c.log.Log(context.Background(), level, "call ended", attrs...)
}
