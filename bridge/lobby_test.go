package bridge

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge/journal"
	"passerelle/bridge/policy"
)

// host is a participant who may decide, or says so.
func host(identity string, mayChangeSelf bool) Participant {
	return Participant{Identity: identity, Attributes: map[string]string{"room_role": "owner"}, MayChangeSelf: mayChangeSelf}
}

// says is data that the SFU delivers from a participant.
func says(identity, data string) SessionEvent {
	return SessionEvent{Kind: DataReceived, Topic: LobbyTopic, Data: []byte(data), Participant: Participant{Identity: identity}}
}

// TestLobby has callers wait, and be let in or not in every way.
func TestLobby(t *testing.T) {
	admit, refuse := `{"version":1,"type":"admit","call":"c1"}`, `{"version":1,"type":"refuse","call":"c1"}`
	for _, c := range []struct {
		name     string
		door     policy.Lobby
		present  []Participant
		act      func(*bench, *fakeSession) // while the caller waits
		want     error                      // nil: let in
		recorded string
	}{
		{name: "a host admits", door: policy.AskHost, present: []Participant{host("h", false)}, act: func(_ *bench, l *fakeSession) {
			l.tell(says("h", admit))
		}, recorded: "waits rules, admitted host h"},
		{name: "a host refuses", door: policy.AskHost, present: []Participant{host("h", false)}, act: func(_ *bench, l *fakeSession) {
			l.tell(says("h", refuse))
		}, want: ErrNotAdmitted, recorded: "waits rules, refused host h"},
		{name: "somebody else does", door: policy.AskHost, present: []Participant{{Identity: "p"}}, act: func(_ *bench, l *fakeSession) {
			l.tell(says("p", admit))
			l.tell(says("p", `{"version":1,"type":"waiting"}`))
			l.tell(says("", `not JSON`))
		}, want: ErrLobbyTimeout, recorded: "waits rules, timeout rules"},
		{name: "somebody who may write his own role", door: policy.AskHost, present: []Participant{host("p", true)}, act: func(_ *bench, l *fakeSession) {
			l.tell(says("p", admit))
		}, want: ErrLobbyTimeout, recorded: "waits rules, timeout rules"},
		{name: "a host who left", door: policy.AskHost, present: []Participant{host("h", false)}, act: func(_ *bench, l *fakeSession) {
			l.tell(SessionEvent{Kind: ParticipantLeft, Participant: Participant{Identity: "h"}})
			l.tell(says("h", admit))
		}, want: ErrLobbyTimeout, recorded: "waits rules, timeout rules"},
		{name: "an operator admits", door: policy.AskHost, act: func(b *bench, _ *fakeSession) {
			if err := b.node.Do(b.Context(), "c1", Order{Verb: Admit, By: "ops"}); err != nil {
				b.Error(err)
			}
		}, recorded: "waits rules, admitted ops"},
		{name: "a host comes", door: policy.WithHost, act: func(_ *bench, l *fakeSession) {
			l.tell(SessionEvent{Kind: ParticipantChanged, Participant: host("h", false)})
		}, recorded: "waits rules, admitted rules"},
		{name: "a host is there", door: policy.WithHost, present: []Participant{host("h", false)}, act: func(*bench, *fakeSession) {}},
		{name: "the room ends", door: policy.AskHost, act: func(_ *bench, l *fakeSession) {
			l.tell(SessionEvent{Kind: SessionEnded, Reason: ErrRoomEnded})
			l.Leave()
		}, want: ErrRoomEnded, recorded: "waits rules, left"},
		{name: "the caller hangs up", door: policy.AskHost, act: func(b *bench, _ *fakeSession) { b.leg.hangUp() }, want: ErrHungUp, recorded: "waits rules, left"},
		{name: "the rules change", door: policy.AskHost, act: func(b *bench, _ *fakeSession) {
			b.rules.change(func(policy.Facts) policy.Decision { return policy.Decision{} })
		}, want: ErrRules, recorded: "waits rules, left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, &fakeSFU{present: c.present}, fakeDirectory{}, func(o *Options, _ *fakeLeg) {
					o.Lobby.Timeout = 20 * time.Second
					o.Policy.(*fakeRules).answer = granting(func(g *policy.Grant) { g.Lobby = c.door })
				})
				b.typePIN()
				c.act(b, b.sfu.session(t, true))
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if c.want == nil {
					b.sfu.session(t, false)
					b.leg.hangUp()
					c.want = ErrHungUp
				}
				if c.want == ErrLobbyTimeout {
					for _, s := range b.sfu.sessions {
						if !s.join.Hidden {
							t.Error("in the room without being admitted")
						}
					}
					time.Sleep(b.node.Lobby.Timeout)
				}
				b.ends(c.want)
				if got := b.journal.outcomes(journal.Admission); got != c.recorded {
					t.Errorf("recorded %q, want %q", got, c.recorded)
				}
			})
		})
	}
}

// TestHostsAreTold checks what hosts are sent, and that others are sent nothing.
func TestHostsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &fakeSFU{present: []Participant{host("h", false), {Identity: "p"}}}, fakeDirectory{}, func(o *Options, _ *fakeLeg) {
			o.Policy.(*fakeRules).answer = granting(func(g *policy.Grant) { g.Lobby = policy.AskHost })
		})
		b.typePIN()
		if got := b.node.Rooms(); len(got) != 1 || got[0].Waiting != 1 || got[0].Hosts != 1 || got[0].People != 2 {
			t.Errorf("rooms: %+v", got)
		}
		if got := b.node.Calls(); len(got) != 1 || got[0].State != "waiting" {
			t.Errorf("calls: %+v", got)
		}
		b.leg.hangUp()
		b.ends(ErrHungUp)
		synctest.Wait()
		if len(b.sfu.sent) < 2 {
			t.Fatalf("sent: %q", b.sfu.sent)
		}
		first, last := b.sfu.sent[0], b.sfu.sent[len(b.sfu.sent)-1]
		if !strings.HasPrefix(first, `room passerelle.lobby {"version":1,"type":"waiting","waiting":[{"call":"c1","name":"+33 1 •• •• •• 12"`) || !strings.HasSuffix(first, " [h]") {
			t.Errorf("first: %s", first)
		}
		if strings.Contains(last, `"call"`) {
			t.Errorf("last: %s", last)
		}
	})
}

// TestVisioLobby has a room that Visio keeps behind its own lobby keep callers in ours, whatever the rule says.
func TestVisioLobby(t *testing.T) {
	c := &call{decision: policy.Decision{Grant: policy.Grant{Lobby: policy.NoLobby}}}
	for access, want := range map[string]policy.Lobby{"": policy.NoLobby, "public": policy.NoLobby, "trusted": policy.AskHost, "restricted": policy.AskHost, "new": policy.AskHost} {
		if got := c.door(RoomRef{Access: access}); got != want {
			t.Errorf("%q: %s", access, got)
		}
	}
}
