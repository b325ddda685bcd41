package bridge

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge/policy"
	"passerelle/configs"
)

// shown is a leg that has a page instead of an ear for prompts.
type shown struct {
	*fakeLeg
	mu   sync.Mutex
	told []Standing
}

func (s *shown) Tell(st Standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, st)
}

func (s *shown) last() Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told[len(s.told)-1]
}

// TestDisplay has a leg with a page go through lobby and meeting: it is told how it stands and hears no prompt.
func TestDisplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var page *shown
		b := startLeg(t, &fakeSFU{}, fakeDirectory{}, func(o *Options, l *fakeLeg) Leg {
			l.caller.Link, l.caller.Room, l.caller.Lobby = "x", "room", true // although the rule wants none
			page = &shown{fakeLeg: l}
			return page
		})
		time.Sleep(time.Second)
		synctest.Wait()
		if s := page.last(); s.State != "waiting" || time.Until(s.Until) < time.Minute {
			t.Errorf("in the lobby: %+v", s)
		}
		page.events <- Event{Kind: Microphone, On: false} // on the page, while waiting
		if err := b.node.Do(t.Context(), "c1", Order{Verb: Admit, By: "ops"}); err != nil {
			t.Fatal(err)
		}
		see := func(what string, want func(Standing) bool) {
			t.Helper()
			time.Sleep(time.Second)
			synctest.Wait()
			if s := page.last(); !want(s) {
				t.Errorf("%s: %+v", what, s)
			}
		}
		see("in the room", func(s Standing) bool {
			return s.State == "talking" && s.Until.IsZero() && s.Muted && !s.ByHost && s.MayUnmute && s.Alone
		})
		page.events <- Event{Kind: Microphone, On: true}
		page.events <- Event{Kind: Hand, On: true}
		see("open, hand up", func(s Standing) bool { return !s.Muted && s.Hand })
		session := b.sfu.session(t, false)
		session.tell(SessionEvent{Kind: MutedByHost, Muted: true})
		session.tell(SessionEvent{Kind: RecordingChanged, Recording: true})
		session.tell(SessionEvent{Kind: Interrupted})
		see("muted by a host, recorded, away", func(s Standing) bool { return s.Muted && s.ByHost && s.MayUnmute && s.Recorded && s.Away })
		session.tell(SessionEvent{Kind: Restored})
		if err := b.node.Do(t.Context(), "c1", Order{Verb: Move, Room: "other", By: "ops"}); err != nil {
			t.Fatal(err)
		}
		see("in a room that is not recorded", func(s Standing) bool { return s.State == "talking" && !s.Recorded && !s.Away })
		for i := 1; i < len(page.told); i++ {
			if page.told[i] == page.told[i-1] {
				t.Errorf("told twice: %+v", page.told[i])
			}
		}
		page.hangUp()
		b.ends(ErrHungUp)
	})
}

// TestBannerFollowsTheRules: a leg with a page is told the banner of its rule, and what becomes of it when the rules change.
func TestBannerFollowsTheRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var page *shown
		saying := func(text string) func(policy.Facts) policy.Decision {
			return granting(func(g *policy.Grant) { g.Banner = text })
		}
		b := startLeg(t, &fakeSFU{}, fakeDirectory{}, func(o *Options, l *fakeLeg) Leg {
			o.Rules = configs.Rules{Running: "narrow"}
			l.caller.Link, l.caller.Room = "x", "room"
			page = &shown{fakeLeg: l}
			return page
		})
		for _, text := range []string{"", "Foreign line", "Another line", ""} {
			b.rules.change(saying(text))
			time.Sleep(time.Second)
			synctest.Wait()
			if s := page.last(); s.State != "talking" || s.Banner != text {
				t.Errorf("%q: %+v", text, s)
			}
		}
		page.hangUp()
		b.ends(ErrHungUp)
	})
}
