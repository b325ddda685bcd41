package bridge

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/bridge/policy"
	"passerelle/internal/testpeer/speech"
	"passerelle/media"
	"passerelle/transcode"
)

// TestMovedMuted: who is muted in one room is muted in the next that they are moved to, and the room sees it, until they open the microphone.
func TestMovedMuted(t *testing.T) {
	words := speech.Say(t, "en", speech.English, 8000)
	synctest.Test(t, func(t *testing.T) {
		var page *shown
		b := startLeg(t, &fakeSFU{}, fakeDirectory{}, func(_ *Options, l *fakeLeg) Leg {
			l.caller.Link, l.caller.Room = "x", "room"
			page = &shown{fakeLeg: l}
			return page
		})
		// in has the call in a room, and says what the room was told of the microphone.
		in := func(room string, muted bool, told ...bool) *fakeSession {
			t.Helper()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			s := b.sfu.session(t, false)
			if s.join.Room != room || page.last().Muted != muted {
				t.Errorf("in %s: %+v", s.join.Room, page.last())
			}
			if got := look(s, func() []bool { return slices.Clone(s.muted) }); !slices.Equal(got, told) {
				t.Errorf("in %s: the room was told %v, want %v", room, got, told)
			}
			return s
		}
		move := func(room string) {
			t.Helper()
			if err := b.node.Do(t.Context(), "c1", Order{Verb: Move, Room: room, By: "ops"}); err != nil {
				t.Fatal(err)
			}
		}
		in("room", false)
		page.events <- Event{Kind: Microphone, On: false}
		in("room", true, true)
		move("second")
		in("second", true, true)
		page.events <- Event{Kind: Microphone, On: true}
		in("second", false, true, false)
		b.speaks(words, 0)
		if s := b.sfu.session(t, false); look(s, func() int { return len(s.packets) }) < 10 {
			t.Error("not heard in the room where the microphone was opened")
		}
		move("third")
		in("third", false)
		b.speaks(words, 50)
		if s := b.sfu.session(t, false); look(s, func() int { return len(s.packets) }) < 10 {
			t.Error("not heard after an open microphone was moved")
		}
		page.hangUp()
		b.ends(ErrHungUp)
	})
}

// TestNoticeBeforeMute: a caller who comes in with a closed microphone does not cut off what the rule has the room be told through it.
func TestNoticeBeforeMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var page *shown
		b := startLeg(t, &fakeSFU{}, fakeDirectory{}, func(o *Options, l *fakeLeg) Leg {
			o.Policy.(*fakeRules).answer = granting(func(g *policy.Grant) { g.Notices.Room = []string{string(ivr.RoomEnded)} })
			l.caller.Link, l.caller.Room = "x", "room"
			page = &shown{fakeLeg: l}
			return page
		})
		page.events <- Event{Kind: Microphone, On: false}
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		s := b.sfu.session(t, false)
		told := func() int { return look(s, func() int { return len(s.muted) }) }
		if told() != 0 || !page.last().Muted {
			t.Errorf("while the notice is said: told %d times, %+v", told(), page.last())
		}
		said := len(b.node.Prompts.Clip(b.node.IVR.Language, ivr.RoomEnded)) / transcode.FrameSamples
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if told() != 1 || !s.muted[0] {
			t.Errorf("after it: told %v", s.muted)
		}
		if n := look(s, func() int { return len(s.packets) }); n < said {
			t.Errorf("%d packets, the notice has %d", n, said)
		}
		page.hangUp()
		b.ends(ErrHungUp)
	})
}

// TestRulesChangeWhileAsked: rules that change while a slow policy service is asked about the old ones are what the call goes by.
func TestRulesChangeWhileAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		version := func(v string, slow time.Duration, sends policy.Way) func(policy.Facts) policy.Decision {
			return func(f policy.Facts) policy.Decision {
				if f.Room != "" {
					time.Sleep(slow)
				}
				d := granting(func(g *policy.Grant) { g.Audio = sends })(f)
				d.Version = v
				return d
			}
		}
		b := start(t, &fakeSFU{}, fakeDirectory{}, func(o *Options, _ *fakeLeg) {
			o.Rules.Running = "narrow"
			o.Policy.(*fakeRules).answer = version("old", 4*time.Second, policy.Both)
		})
		b.leg.press("1234567890#")
		time.Sleep(time.Second)
		b.rules.change(version("new", 0, policy.Receive))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := b.sfu.session(t, false); !slices.Equal(look(s, func() []bool { return slices.Clone(s.muted) }), []bool{true}) {
			t.Errorf("the old rules hold: %v", s.muted)
		}
		b.leg.hangUp()
		b.ends(ErrHungUp)
	})
}

// TestKeysAhead: who knows the way types the keys for the meeting right behind the PIN. They wait until the caller is in.
func TestKeysAhead(t *testing.T) {
	for keys, want := range map[string][]bool{"1234567890#*6": {true}, "1234567890#": nil, "1234567890##*6*6": {true, false}} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, &fakeSFU{}, fakeDirectory{}, func(o *Options, _ *fakeLeg) {
				o.Policy.(*fakeRules).answer = func(f policy.Facts) policy.Decision {
					if f.Room != "" {
						time.Sleep(10 * time.Second)
					}
					return granting(nil)(f)
				}
			})
			b.leg.press(keys)
			time.Sleep(20 * time.Second)
			synctest.Wait()
			s := b.sfu.session(t, false)
			if got := look(s, func() []bool { return slices.Clone(s.muted) }); !slices.Equal(got, want) {
				t.Errorf("%s: muted %v, want %v", keys, got, want)
			}
			b.leg.hangUp()
			b.ends(ErrHungUp)
		})
	}
}

// TestLastPlace: calls that come at the same moment do not share the last place of a rule.
func TestLastPlace(t *testing.T) {
	const calls, places = 64, 5
	n := &Node{calls: map[*call]struct{}{}}
	var list []*call
	for range calls {
		c := &call{who: Caller{Source: netip.MustParseAddr("192.0.2.1")}, ref: RoomRef{Name: "room"}}
		n.calls[c] = struct{}{}
		list = append(list, c)
	}
	d := granting(func(g *policy.Grant) { g.MaxInRoom = places })(policy.Facts{Room: "room"})
	var taken atomic.Int32
	var all sync.WaitGroup
	for _, c := range list {
		all.Go(func() {
			if n.claim(c, d).Allowed {
				taken.Add(1)
			}
		})
	}
	all.Wait()
	if taken.Load() != places {
		t.Errorf("%d calls on %d places", taken.Load(), places)
	}
}

// speaks has the caller say a second of words, from a frame on.
func (b *bench) speaks(words []int16, from int) {
	b.Helper()
	c := b.leg.Codec()
	e, err := c.NewEncoder(transcode.EncoderOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.leg.mu.Lock()
	sink := b.leg.sink
	b.leg.mu.Unlock()
	const samples = 160
	payload := make([]byte, samples)
	for n := from; n < from+50; n++ {
		if _, err := e.Encode(payload, words[n*samples:][:samples]); err != nil {
			b.Fatal(err)
		}
		sink.WriteFrame(&media.Frame{Codec: &c, Payload: payload, Sequence: uint16(n), Timestamp: uint32(n * samples), Arrival: time.Now()})
		time.Sleep(20 * time.Millisecond)
	}
}
