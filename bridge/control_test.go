package bridge

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge/policy"
)

// TestOrders has an operator act on a call that talks.
func TestOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &fakeSFU{}, fakeDirectory{}, nil)
		synctest.Wait()
		if err := b.node.Do(t.Context(), "c1", Order{Verb: Mute}); !errors.Is(err, ErrNotNow) {
			t.Errorf("muted before the room: %v", err)
		}
		s := b.enter()
		for _, c := range []struct {
			id   string
			o    Order
			want error
		}{
			{"nobody", Order{Verb: Mute}, ErrNoCall},
			{"c1", Order{Verb: "dance"}, ErrNoOrder},
			{"c1", Order{Verb: Move, Room: " "}, ErrNoOrder},
			{"c1", Order{Verb: Admit}, ErrNotNow},
			{"c1", Order{Verb: Mute}, nil},
			{"c1", Order{Verb: Unmute}, nil},
		} {
			if err := b.node.Do(t.Context(), c.id, c.o); !errors.Is(err, c.want) {
				t.Errorf("%s %s: %v, want %v", c.id, c.o.Verb, err, c.want)
			}
		}
		if m := look(s, func() []bool { return slices.Clone(s.muted) }); !slices.Equal(m, []bool{true, false}) {
			t.Errorf("muted %v", m)
		}
		if err := b.node.Do(t.Context(), "c1", Order{Verb: Move, Room: "other", By: "ops"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s := b.sfu.session(t, false); s.join.Room != "other" {
			t.Errorf("in %q", s.join.Room)
		}
		if got := b.node.Rooms(); len(got) != 1 || got[0].Name != "other" {
			t.Errorf("rooms: %+v", got)
		}
		if err := b.node.Do(t.Context(), "c1", Order{Verb: End, By: "ops"}); err != nil {
			t.Fatal(err)
		}
		b.ends(ErrEnded)
		e := b.journal.entries[len(b.journal.entries)-1]
		if e.Actor != "ops" || e.Outcome != "ended" || e.Fields["packets_in"] != "0" || e.Fields["encryption"] != "none" || e.Room != "other" {
			t.Errorf("record: %+v", e)
		}
	})
}

// TestMoveObeysRules has a call that is moved into a room which its rules do not grant end.
func TestMoveObeysRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &fakeSFU{}, fakeDirectory{}, func(o *Options, _ *fakeLeg) {
			o.Policy.(*fakeRules).answer = func(f policy.Facts) policy.Decision {
				if f.Room == "secret" {
					return policy.Decision{}
				}
				return granting(nil)(f)
			}
		})
		b.enter()
		if err := b.node.Do(t.Context(), "c1", Order{Verb: Move, Room: "secret", By: "ops"}); err != nil {
			t.Fatal(err)
		}
		b.ends(ErrForbidden)
	})
}

// TestWatch follows a call from its beginning to its end; a reader that does not read loses the oldest changes only.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes, slow <-chan Change
		var stop, stopSlow func()
		b := start(t, &fakeSFU{}, fakeDirectory{}, nil)
		changes, stop = b.node.Watch()
		slow, stopSlow = b.node.Watch()
		b.enter()
		b.leg.hangUp()
		b.ends(ErrHungUp)
		stop()
		var states []string
		last := Change{}
		for c := range changes {
			if len(states) == 0 || states[len(states)-1] != c.Call.State {
				states = append(states, c.Call.State)
			}
			last = c
		}
		for _, want := range []string{"asking", "joining", "talking"} {
			if !slices.Contains(states, want) {
				t.Errorf("never %s: %v", want, states)
			}
		}
		if last.Kind != "ended" || last.Reason != "hung_up" {
			t.Errorf("last: %+v", last)
		}
		for range 2 * maxUnread {
			b.node.changes.tell("changed", &view{}, "")
		}
		b.node.changes.tell("ended", &view{}, "last")
		stopSlow()
		n := 0
		for c := range slow {
			last = c
			n++
		}
		if n != maxUnread || last.Reason != "last" {
			t.Errorf("%d changes, the last %+v", n, last)
		}
	})
}
