package bridge

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge/journal"
	"passerelle/bridge/policy"
)

// roomLeg is a leg whose far end is another room, which an operator called.
func roomLeg(_ *Options, l *fakeLeg) {
	l.caller = Caller{
		CallID: "c1", Protocol: "livekit", Number: l.caller.Number, Name: "partner", Called: "livekit://partner/budget", Transport: "wss", Encrypted: true, Platform: "partner", Room: "room",
		Outbound: true, Bridge: true,
	}
}

// A call that we make into another room needs no PIN, is known to the rules with its room before anything rings, and bears its mark in the room.
func TestOutbound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sfu := &fakeSFU{present: []Participant{{SID: "PA_1", Identity: "ana", Tracks: []TrackInfo{{SID: "TR_1", Audio: true}}}}}
		b := start(t, sfu, fakeDirectory{}, roomLeg)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		s := sfu.session(t, false)
		if s.join.Room != "room" || s.join.Attributes[BridgeAttribute] != "true" {
			t.Errorf("joined as %+v", s.join)
		}
		for i, f := range b.rules.asked {
			if f.Direction != policy.Out || f.Room != "room" || f.Platform != "partner" || f.Protocol != "livekit" || f.Called != "livekit://partner/budget" || f.OfSource != 0 {
				t.Errorf("the rules were asked %d: %+v", i, f)
			}
		}
		b.leg.hangUp()
		b.ends(ErrHungUp)
		for _, e := range b.journal.entries {
			if e.Kind == journal.Call && (e.Fields["platform"] != "partner" || e.Fields["direction"] != "out") {
				t.Errorf("the record is %+v", e)
			}
		}
	})
}

// A room in which there are other rooms only is empty.
func TestRoomsAreNoCompany(t *testing.T) {
	for name, c := range map[string]struct {
		mark map[string]string
		want error
	}{"another room": {map[string]string{BridgeAttribute: "true"}, ErrIdle}, "somebody": {nil, ErrHungUp}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sfu := &fakeSFU{present: []Participant{{SID: "PA_1", Identity: "other", Attributes: c.mark}}}
				b := start(t, sfu, fakeDirectory{}, func(o *Options, l *fakeLeg) {
					roomLeg(o, l)
					o.Policy.(*fakeRules).answer = granting(func(g *policy.Grant) { g.Idle = time.Minute })
				})
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				select {
				case <-b.done:
				default:
					b.leg.hangUp()
				}
				b.ends(c.want)
			})
		})
	}
}

// What the rules refuse is refused before the far end is called.
func TestOutboundRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sfu := &fakeSFU{}
		var leg *unheard
		b := startLeg(t, sfu, fakeDirectory{}, func(o *Options, l *fakeLeg) Leg {
			roomLeg(o, l)
			o.Policy.(*fakeRules).answer = func(f policy.Facts) policy.Decision {
				if f.Room == "room" && f.Direction == policy.Out {
					return policy.Decision{Rule: "no", Refusal: policy.Refusal{Reason: policy.Forbidden}}
				}
				return granting(nil)(f)
			}
			leg = &unheard{fakeLeg: l, t: t}
			return leg
		})
		b.ends(ErrForbidden)
		if len(sfu.sessions) != 0 {
			t.Error("a room was entered")
		}
	})
}

// unheard is a leg that must not be called.
type unheard struct {
	*fakeLeg
	t *testing.T
}

func (q *unheard) Ring(ctx context.Context, t Terms) error {
	q.t.Error("the far end was called")
	return q.fakeLeg.Ring(ctx, t)
}
