package bridge

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/bridge/journal"
	"passerelle/bridge/policy"
	"passerelle/configs"
)

// TestRefusedByRules has the rules, their limits and the journal refuse calls: before the answer, and when the room is known.
func TestRefusedByRules(t *testing.T) {
	refuse := func(reason policy.Reason, when func(policy.Facts) bool) func(policy.Facts) policy.Decision {
		return func(f policy.Facts) policy.Decision {
			if when(f) {
				return policy.Decision{Rule: "no", Refusal: policy.Refusal{Reason: reason, Text: "Not from there"}}
			}
			return granting(nil)(f)
		}
	}
	early := func(policy.Facts) bool { return true }
	late := func(f policy.Facts) bool { return f.Room == "room" }
	for _, c := range []struct {
		name  string
		rules func(policy.Facts) policy.Decision
		edit  func(*Options, *fakeLeg)
		act   func(*bench)
		want  error
		said  ivr.Name // before the end
	}{
		{name: "at once", rules: refuse(policy.Forbidden, early), want: ErrForbidden},
		{name: "for this room", rules: refuse(policy.Forbidden, late), act: (*bench).typePIN, want: ErrForbidden, said: ivr.RefusedRules},
		{name: "unencrypted", rules: refuse(policy.NotEncrypted, late), act: (*bench).typePIN, want: ErrNotEncrypted, said: ivr.RefusedEncryption},
		{name: "too many", rules: refuse(policy.TooMany, early), want: ErrBusy},
		{name: "nobody decides", rules: refuse(policy.Unavailable, early), want: ErrUnavailable},
		{
			name: "a foreign call without a record", rules: granting(func(g *policy.Grant) { g.Foreign = true }),
			edit: func(o *Options, _ *fakeLeg) { o.Journal = &fakeJournal{broken: errors.New("disk full")} }, want: ErrUnavailable,
		},
		{name: "longest duration of the rule", rules: granting(func(g *policy.Grant) { g.Duration = time.Minute }), act: func(b *bench) { b.enter() }, want: ErrMaxDuration, said: ivr.Goodbye},
		{name: "alone for too long", rules: granting(func(g *policy.Grant) { g.Idle = time.Minute }), act: func(b *bench) { b.enter() }, want: ErrIdle, said: ivr.IdleEnd},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, &fakeSFU{}, fakeDirectory{}, func(o *Options, l *fakeLeg) {
					o.Policy.(*fakeRules).answer = c.rules
					if c.edit != nil {
						c.edit(o, l)
					}
				})
				if c.act != nil {
					c.act(b)
				}
				b.ends(c.want)
				if c.said != "" && !slices.Contains(spokenNames(c.want), c.said) {
					t.Errorf("%v is told as %v, want %s", c.want, spokenNames(c.want), c.said)
				}
				if r := (*Refused)(nil); errors.As(b.leg.ended[0], &r) && r.Rule == "no" && r.Text != "Not from there" {
					t.Errorf("the far end would read %q", r.Text)
				}
			})
		})
	}
}

func spokenNames(reason error) []ivr.Name {
	n, _ := spokenReason(reason)
	return []ivr.Name{n}
}

// typePIN types the PIN and waits until something has come of it.
func (b *bench) typePIN() {
	b.leg.press("1234567890#")
	time.Sleep(5 * time.Second)
	synctest.Wait()
}

// TestFacts checks what the rules are asked, before and after the room is known.
func TestFacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &fakeSFU{}, fakeDirectory{}, func(_ *Options, l *fakeLeg) { l.caller.Trunk, l.caller.Encrypted = "carrier", true })
		b.enter()
		b.leg.hangUp()
		b.ends(ErrHungUp)
		if len(b.rules.asked) != 2 {
			t.Fatalf("asked %d times", len(b.rules.asked))
		}
		first, second := b.rules.asked[0], b.rules.asked[1]
		if first.Trunk != "carrier" || first.Caller != "+33123456712" || first.Room != "" || !first.Encrypted || first.Direction != policy.In || first.At.IsZero() {
			t.Errorf("first: %+v", first)
		}
		if second.Room != "room" || second.Encrypted { // the fake's media is not
			t.Errorf("second: %+v", second)
		}
		if got := b.journal.outcomes(journal.Decision); got != "open rules, allowed rules" {
			t.Errorf("recorded: %s", got)
		}
		if got := b.journal.outcomes(journal.Call); got != "hung_up" {
			t.Errorf("recorded: %s", got)
		}
	})
}

// TestLimits counts calls in the limits of a rule at the moment in which they are let in.
func TestLimits(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, c := range []struct {
		name  string
		grant policy.Grant
		room  string
		from  netip.Addr
		want  bool
	}{
		{"no limit", policy.Grant{}, "room", a, true},
		{"of the rule", policy.Grant{MaxRule: 2}, "", b, false},
		{"of the rule, one left", policy.Grant{MaxRule: 3}, "", b, true},
		{"of the source", policy.Grant{MaxSource: 1}, "", a, false},
		{"of another source", policy.Grant{MaxSource: 1}, "", netip.MustParseAddr("192.0.2.3"), true},
		{"of the room", policy.Grant{MaxInRoom: 2}, "room", b, false},
		{"of another room", policy.Grant{MaxInRoom: 2}, "other", b, true},
	} {
		n := &Node{calls: map[*call]struct{}{
			{claim: claim{"r", "room", a}}: {}, {claim: claim{"r", "room", b}}: {},
		}}
		x := &call{who: Caller{Source: c.from}, ref: RoomRef{Name: c.room}}
		n.calls[x] = struct{}{}
		d := n.claim(x, policy.Decision{Rule: "r", Allowed: true, Grant: c.grant})
		if d.Allowed != c.want || !c.want && d.Refusal.Reason != policy.TooMany {
			t.Errorf("%s: %+v", c.name, d)
		}
		if c.want != (x.claim.rule == "r") {
			t.Errorf("%s: claims %+v", c.name, x.claim)
		}
	}
}

// TestGrantInRoom has grants bound what a caller does and is in the room.
func TestGrantInRoom(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(g *policy.Grant)
		see  func(*testing.T, *bench, *fakeSession)
	}{
		{"listen only", func(g *policy.Grant) { g.Audio = policy.Receive }, func(t *testing.T, b *bench, s *fakeSession) {
			b.leg.press("*6")
			synctest.Wait()
			if m := look(s, func() []bool { return slices.Clone(s.muted) }); !slices.Equal(m, []bool{true}) {
				t.Errorf("muted %v: a key opened what the rule closed, or the room was not shown", m)
			}
			if v := b.node.Calls()[0]; !v.Muted {
				t.Error("not shown as muted")
			}
		}},
		{"no keys", func(g *policy.Grant) { g.Keys = nil }, func(t *testing.T, _ *bench, s *fakeSession) {
			if m := look(s, func() int { return len(s.muted) }); m != 0 {
				t.Error("muted")
			}
		}},
		{"foreign, named, not recorded", func(g *policy.Grant) { g.Foreign, g.Name, g.Recording = true, "Partner {trunk} {number}", false }, func(t *testing.T, _ *bench, s *fakeSession) {
			if s.join.Name != "Partner  +33 1 •• •• •• 12 (ext.)" {
				t.Errorf("called %q", s.join.Name)
			}
			if s.join.Attributes["passerelle.foreign"] != "true" || s.join.Attributes["passerelle.recording"] != "refused" {
				t.Errorf("attributes %v", s.join.Attributes)
			}
			s.events <- SessionEvent{Kind: RecordingChanged, Recording: true}
			synctest.Wait()
			if m := look(s, func() []bool { return slices.Clone(s.muted) }); !slices.Equal(m, []bool{true, true}) {
				t.Errorf("muted %v: heard while it is recorded", m)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, &fakeSFU{}, fakeDirectory{}, func(o *Options, _ *fakeLeg) { o.Policy.(*fakeRules).answer = granting(c.edit) })
				s := b.enter()
				b.leg.press("*6")
				synctest.Wait()
				c.see(t, b, s)
				b.leg.hangUp()
				b.ends(ErrHungUp)
			})
		})
	}
}

// TestRulesChange has running calls follow new rules, as rules.running says.
func TestRulesChange(t *testing.T) {
	nothing := func(policy.Facts) policy.Decision { return policy.Decision{} }
	listen := granting(func(g *policy.Grant) { g.Audio = policy.Receive })
	for _, c := range []struct {
		name, running string
		rules         func(policy.Facts) policy.Decision
		want          error // nil: it goes on
		muted         bool
	}{
		{"ended", "end", nothing, ErrRules, false},
		{"not narrowed", "end", listen, nil, false},
		{"narrowed", "narrow", listen, nil, true},
		{"ended, where nothing is left", "narrow", nothing, ErrRules, false},
		{"kept", "keep", nothing, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, &fakeSFU{}, fakeDirectory{}, func(o *Options, _ *fakeLeg) { o.Rules = configs.Rules{Running: c.running} })
				s := b.enter()
				b.rules.change(c.rules)
				time.Sleep(time.Second)
				synctest.Wait()
				if c.want == nil {
					if m := look(s, func() bool { return slices.Contains(s.muted, true) }); m != c.muted {
						t.Errorf("muted: %v", m)
					}
					// What was taken does not come back with wider rules: the call was narrowed.
					b.rules.change(granting(nil))
					b.leg.hangUp()
					c.want = ErrHungUp
				}
				b.ends(c.want)
			})
		})
	}
}

// TestNoPIN brings callers straight into the room of a rule or of a link.
func TestNoPIN(t *testing.T) {
	for name, edit := range map[string]func(*Options, *fakeLeg){
		"rule": func(o *Options, _ *fakeLeg) {
			o.Policy.(*fakeRules).answer = granting(func(g *policy.Grant) { g.Room = "board" })
		},
		"link": func(_ *Options, l *fakeLeg) { l.caller.Link, l.caller.Room = "x", "board" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, &fakeSFU{}, fakeDirectory{hang: true}, edit)
				time.Sleep(time.Second)
				synctest.Wait()
				if s := b.sfu.session(t, false); s.join.Room != "board" {
					t.Errorf("joined %q", s.join.Room)
				}
				b.leg.hangUp()
				b.ends(ErrHungUp)
			})
		})
	}
}

// TestNotices speaks a rule's notices: to the caller before the room, to the room through the caller's track.
func TestNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &fakeSFU{}, fakeDirectory{}, func(o *Options, _ *fakeLeg) {
			o.Policy.(*fakeRules).answer = granting(func(g *policy.Grant) {
				g.Notices = policy.Notices{Caller: []string{string(ivr.Goodbye)}, Room: []string{string(ivr.RoomEnded)}}
			})
		})
		s := b.enter()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		frames := len(b.node.Prompts.Clip("fr", ivr.RoomEnded)) / 960
		packets := look(s, func() []uint32 {
			var at []uint32
			for _, p := range s.packets {
				at = append(at, p.Timestamp)
			}
			return at
		})
		if len(packets) < frames {
			t.Fatalf("%d packets for a notice of %d frames", len(packets), frames)
		}
		for i := 2; i < frames; i++ {
			if packets[i]-packets[i-1] != 960 {
				t.Fatalf("packet %d comes %d samples after the one before", i, packets[i]-packets[i-1])
			}
		}
		b.leg.hangUp()
		b.ends(ErrHungUp)
		if strings.Contains(b.log.String(), "could not be told") {
			t.Error(b.log)
		}
	})
}
