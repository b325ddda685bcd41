package bridge

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &fakeSFU{}, fakeDirectory{}, nil)
		s := b.enter()
		if s.join.Name != "+33 1 •• •• •• 12" || s.join.Hidden || !s.join.Publish || s.join.Subscribe {
			t.Errorf("joined as %+v", s.join)
		}
		if l := b.sfu.session(t, true); !l.join.Subscribe || l.join.Publish {
			t.Errorf("the listener joined as %+v", l.join)
		}
		if n := look(s, func() int { return len(s.packets) }); n == 0 {
			t.Error("no packet was published: nobody would learn of the track")
		}
		b.leg.hangUp()
		b.ends(ErrHungUp)
		if !strings.Contains(b.log.String(), "reason=hung_up") {
			t.Errorf("no line about the end:\n%s", b.log)
		}
	})
}

// TestEndings has calls end in each way that is not the caller's.
func TestEndings(t *testing.T) {
	for _, c := range []struct {
		name string
		sfu  *fakeSFU
		dir  fakeDirectory
		edit func(*Options, *fakeLeg)
		act  func(*bench)
		want error
	}{
		{name: "nothing typed", act: func(*bench) {}, want: ErrNoPIN},
		{name: "three wrong PINs", act: func(b *bench) {
			for range 3 {
				b.leg.press("0000000000#")
				time.Sleep(6 * time.Second)
			}
		}, want: ErrBadPIN},
		{name: "guessing", edit: func(o *Options, _ *fakeLeg) { o.IVR.Guess.PerSource = 2 }, act: func(b *bench) {
			for range 3 {
				b.leg.press("0000000000#")
				time.Sleep(6 * time.Second)
			}
		}, want: ErrGuessing},
		{name: "hangs up while the directory hangs", dir: fakeDirectory{hang: true}, act: func(b *bench) {
			b.leg.press("1234567890#")
			b.leg.hangUp()
		}, want: ErrHungUp},
		{name: "the directory fails", dir: fakeDirectory{fail: fmt.Errorf("%w: no route", ErrDirectory)}, act: func(b *bench) {
			b.leg.press("1234567890#")
		}, want: ErrDirectory},
		{name: "the SFU refuses", sfu: &fakeSFU{refuse: ErrSFU}, act: func(b *bench) { b.leg.press("1234567890#") }, want: ErrSFU},
		{name: "hangs up while the SFU hangs", sfu: &fakeSFU{hang: true}, act: func(b *bench) {
			b.leg.press("1234567890#")
			b.leg.hangUp()
		}, want: ErrHungUp},
		{name: "end-to-end encrypted room", sfu: &fakeSFU{present: []Participant{{
			Identity: "a", Tracks: []TrackInfo{{SID: "TR_a", Audio: true, Encrypted: true}},
		}}}, act: func(b *bench) { b.leg.press("1234567890#") }, want: ErrE2EE},
		{name: "the room becomes end-to-end encrypted", act: func(b *bench) {
			b.enter()
			b.sfu.session(b.T, true).events <- SessionEvent{Kind: ParticipantChanged, Participant: Participant{
				Identity: "a", Tracks: []TrackInfo{{SID: "TR_a", Audio: true, Encrypted: true}},
			}}
		}, want: ErrE2EE},
		{name: "the room ends", act: func(b *bench) {
			b.enter().events <- SessionEvent{Kind: SessionEnded, Reason: ErrRoomEnded}
		}, want: ErrRoomEnded},
		{name: "the host removes the caller", act: func(b *bench) {
			b.enter().events <- SessionEvent{Kind: SessionEnded, Reason: ErrRemoved}
		}, want: ErrRemoved},
		{name: "the listener is lost", act: func(b *bench) {
			b.enter()
			b.sfu.session(b.T, true).events <- SessionEvent{Kind: SessionEnded, Reason: ErrSFU}
			b.sfu.session(b.T, true).Leave()
		}, want: ErrSFU},
		{name: "the caller vanishes", act: func(b *bench) {
			b.enter()
			b.leg.events <- Event{Kind: Ended, Reason: ErrMediaTimeout}
		}, want: ErrMediaTimeout},
		{name: "too long", edit: func(o *Options, _ *fakeLeg) { o.Limits.MaxDuration = time.Minute }, act: func(b *bench) { b.enter() }, want: ErrMaxDuration},
		{name: "stopped at once", act: func(b *bench) {
			b.enter()
			b.stop(ErrStopped)
		}, want: ErrStopped},
		{name: "full", edit: func(o *Options, _ *fakeLeg) { o.Limits.Max = 0 }, act: func(*bench) {}, want: ErrBusy},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sfu := c.sfu
				if sfu == nil {
					sfu = &fakeSFU{}
				}
				b := start(t, sfu, c.dir, c.edit)
				c.act(b)
				b.ends(c.want)
				if !strings.Contains(b.log.String(), "reason="+Label(c.want)) {
					t.Errorf("the log does not say %s:\n%s", Label(c.want), b.log)
				}
			})
		})
	}
}

// TestLanguage changes the language by a star, and back.
func TestLanguage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &fakeSFU{}, fakeDirectory{}, func(_ *Options, l *fakeLeg) { l.caller.Language = "" })
		b.leg.press("*12*1234567890") // English; two digits and a star that clears them; the PIN
		time.Sleep(5 * time.Second)
		synctest.Wait()
		b.sfu.session(t, false)
		b.leg.hangUp()
		b.ends(ErrHungUp)
	})
}

// TestKeys types the keys of a call and looks at what the room is told.
func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &fakeSFU{}, fakeDirectory{}, nil)
		s := b.enter()
		b.leg.press("*6")
		b.leg.press("*6")
		if muted := look(s, func() string { return fmt.Sprint(s.muted) }); muted != "[true false]" {
			t.Errorf("muted %s", muted)
		}
		b.leg.press("*9")
		if hand := look(s, func() string { return s.attributes[handAttribute] }); hand == "" {
			t.Error("the hand is not up")
		} else if _, err := time.Parse(time.RFC3339, hand); err != nil {
			t.Error(err)
		}
		// A host lowers it: the next *9 raises it again.
		s.events <- SessionEvent{Kind: SelfChanged, Participant: Participant{CanPublish: true, Attributes: map[string]string{handAttribute: "x"}}}
		s.events <- SessionEvent{Kind: SelfChanged, Participant: Participant{CanPublish: true, Attributes: map[string]string{}}}
		b.leg.press("*9")
		if look(s, func() string { return s.attributes[handAttribute] }) == "" {
			t.Error("the hand is not up again")
		}
		b.leg.press("*4*5*2*1*0*8") // nothing to see in the room; nothing fails
		b.leg.hangUp()
		b.ends(ErrHungUp)
	})
}

// TestHostMutes has a host mute the caller, take the microphone away and give it back.
func TestHostMutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &fakeSFU{}, fakeDirectory{}, nil)
		s := b.enter()
		muted := func() string { return look(s, func() string { return fmt.Sprint(s.muted) }) }
		s.events <- SessionEvent{Kind: MutedByHost, Muted: true}
		b.leg.press("*6")
		if got := muted(); got != "[false]" {
			t.Errorf("*6 after the host muted: %s, want [false]", got)
		}
		s.events <- SessionEvent{Kind: SelfChanged, Participant: Participant{CanPublish: false}}
		b.leg.press("*6")
		if got := muted(); got != "[false]" {
			t.Errorf("*6 without permission: %s, want no change", got)
		}
		s.events <- SessionEvent{Kind: SelfChanged, Participant: Participant{CanPublish: true}}
		synctest.Wait()
		if got := muted(); got != "[false true]" {
			t.Errorf("with permission again, before *6: %s, want it shown closed", got)
		}
		b.leg.press("*6")
		if got := muted(); got != "[false true false]" {
			t.Errorf("*6 with permission again: %s", got)
		}
		b.leg.hangUp()
		b.ends(ErrHungUp)
	})
}

// TestSFUAway has the SFU go and come back while the caller waits, and keys that it does not take.
func TestSFUAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &fakeSFU{}, fakeDirectory{}, nil)
		s := b.enter()
		l := b.sfu.session(t, true)
		l.events <- SessionEvent{Kind: Interrupted}
		s.events <- SessionEvent{Kind: Interrupted}
		look(s, func() int { s.failKeys = errors.New("away"); return 0 })
		b.leg.press("*9")
		time.Sleep(10 * time.Second)
		look(s, func() int { s.failKeys = nil; return 0 })
		s.events <- SessionEvent{Kind: Restored}
		time.Sleep(time.Second)
		told := func(what string) int { return strings.Count(b.log.String(), what) }
		if away, back := told("the SFU is away"), told("the SFU is back"); away != 1 || back != 0 {
			t.Errorf("told %d times that the line is lost, want once, and %d times that it is back before the room is heard", away, back)
		}
		l.events <- SessionEvent{Kind: Restored}
		time.Sleep(time.Second)
		if back := told("the SFU is back"); back != 1 {
			t.Errorf("told %d times that the line is back, want once", back)
		}
		b.leg.press("*9")
		if look(s, func() string { return s.attributes[handAttribute] }) == "" {
			t.Error("the hand is not up: the key that failed counted")
		}
		b.leg.hangUp()
		b.ends(ErrHungUp)
	})
}

// TestTracks has participants come, publish and go: the listener hears them, and not this node's own legs.
func TestTracks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &fakeSFU{present: []Participant{{Identity: "a", Tracks: []TrackInfo{{SID: "TR_a", Audio: true}}}}}, fakeDirectory{}, nil)
		s := b.enter()
		l := b.sfu.session(t, true)
		change := func(kind SessionEventKind, p Participant) {
			l.events <- SessionEvent{Kind: kind, Participant: p}
			time.Sleep(time.Second)
		}
		subscribed := func() string { return look(l, func() string { return fmt.Sprint(l.subscribed) }) }
		change(ParticipantChanged, Participant{Identity: s.join.Identity, Tracks: []TrackInfo{{SID: "TR_own", Audio: true}}})
		change(ParticipantChanged, Participant{Identity: "b", Tracks: []TrackInfo{{SID: "TR_b", Audio: true}, {SID: "TR_video"}}})
		change(ParticipantChanged, Participant{Identity: "egress", Hidden: true, Tracks: []TrackInfo{{SID: "TR_e", Audio: true}}})
		if got := subscribed(); got != "[TR_a TR_b]" {
			t.Errorf("subscribed to %s", got)
		}
		change(ParticipantChanged, Participant{Identity: "b", Tracks: []TrackInfo{{SID: "TR_b2", Audio: true}}})
		change(ParticipantLeft, Participant{Identity: "a"})
		if got := subscribed(); got != "[TR_b2]" {
			t.Errorf("then subscribed to %s", got)
		}
		b.leg.hangUp()
		b.ends(ErrHungUp)
	})
}

// TestDrain has a node shut down while a call runs.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &fakeSFU{}, fakeDirectory{}, nil)
		b.enter()
		ended := make(chan error, 1)
		go func() { ended <- b.node.Drain(t.Context()) }()
		time.Sleep(10 * time.Second)
		if err := b.node.Ready(); !errors.Is(err, ErrDraining) {
			t.Errorf("ready while draining: %v", err)
		}
		late := newFakeLeg()
		b.node.Take(t.Context(), late)
		if len(late.ended) != 1 || !errors.Is(late.ended[0], ErrDraining) {
			t.Errorf("a new call ended with %v", late.ended)
		}
		select {
		case <-ended:
			t.Error("drained while a call runs")
		default:
		}
		b.leg.hangUp()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		b.ends(ErrHungUp)
	})
}

// TestAdmission has a loaded node refuse a second call, and say how many it would take.
func TestAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &fakeSFU{}, fakeDirectory{}, nil)
		b.enter()
		b.node.load.at, b.node.load.share = time.Now(), 0
		if left := b.node.headroom(); left != float64(b.node.Limits.Max-1) {
			t.Errorf("headroom %v without load", left)
		}
		b.node.load.at, b.node.load.share = time.Now(), 0.45
		if err := b.node.Ready(); err != nil {
			t.Errorf("not ready at half of the load: %v", err)
		}
		if left := b.node.headroom(); left != 1 {
			t.Errorf("headroom %v where one call causes half of the load, want 1", left)
		}
		b.node.load.at, b.node.load.share = time.Now(), 0.91
		second := newFakeLeg()
		b.node.Take(t.Context(), second)
		if len(second.ended) != 1 || !errors.Is(second.ended[0], ErrBusy) {
			t.Errorf("a call that is too much ended with %v", second.ended)
		}
		if err := b.node.Ready(); !errors.Is(err, ErrBusy) {
			t.Errorf("ready: %v", err)
		}
		b.leg.hangUp()
		b.ends(ErrHungUp)
	})
}
