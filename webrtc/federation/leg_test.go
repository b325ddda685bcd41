package federation

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
)

func TestCaller(t *testing.T) {
	s := newServer(t, &fakeSite{}, nil)
	c := s.newLeg(s.sites["partner"], "a b", "council").Caller()
	if c.CallID == "" || c.Protocol != "livekit" || c.Transport != "ws" || c.Platform != "partner" || c.Called != "livekit://partner/a%20b" || c.Room != "council" ||
		!c.Outbound || !c.Bridge || !c.Encrypted || c.Language != "en" || c.Source.IsValid() {
		t.Errorf("%+v", c)
	}
}

// What crosses is what people of the far room say. Other rooms, and those who are hidden, are not heard, whenever they come.
func TestHears(t *testing.T) {
	hidden := person("agent")
	hidden.Hidden = true
	site := &fakeSite{present: []bridge.Participant{person("ana"), room("other"), hidden}}
	_, audio := answered(t, site)
	j, cfg := site.join, site.cfg
	if j.Room != "budget" || j.Name != "Ministry" || j.Hidden || j.Phone || !j.Publish || !j.Subscribe || !j.Camera || !j.Content ||
		len(j.Attributes) != 1 || j.Attributes[bridge.BridgeAttribute] != "true" || !strings.HasPrefix(j.Identity, "bridge-") {
		t.Errorf("joined as %+v", j)
	}
	if cfg.URL != "ws://127.0.0.1:7880" || cfg.APIKey != "key" || cfg.APISecret.Reveal() != "secret" || cfg.UDPListen != "127.0.0.1:0" {
		t.Errorf("reached by %+v", cfg)
	}
	f := site.now()
	if got := f.subscribed(); !slices.Equal(got, []string{"TR_ana"}) {
		t.Errorf("heard are %v", got)
	}
	later := person("ben")
	f.events <- bridge.SessionEvent{Kind: bridge.ParticipantChanged, Participant: later}
	f.events <- bridge.SessionEvent{Kind: bridge.ParticipantChanged, Participant: room("third")}
	f.events <- bridge.SessionEvent{Kind: bridge.ParticipantLeft, Participant: person("ana")}
	eventually(t, "ben is heard, and ana not any more", func() bool { return slices.Equal(f.subscribed(), []string{"TR_ben"}) })
	later.Attributes = map[string]string{bridge.BridgeAttribute: "true"} // it turns out to be a room
	f.events <- bridge.SessionEvent{Kind: bridge.ParticipantChanged, Participant: later}
	eventually(t, "nobody is heard", func() bool { return len(f.subscribed()) == 0 })
	if s := audio.Stats(); s.Encryption != "DTLS-SRTP" || s.Remote != netip.MustParseAddrPort("127.0.0.1:7880") {
		t.Errorf("%+v", s)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// Why rooms are parted.
func TestEnds(t *testing.T) {
	own := person("phone-1")
	sealed := person("ana")
	sealed.Tracks[0].Encrypted = true
	for name, c := range map[string]struct {
		do   func(*Leg, *fakeSession)
		want error
	}{
		"the far room is closed": {func(_ *Leg, f *fakeSession) {
			f.events <- bridge.SessionEvent{Kind: bridge.SessionEnded, Reason: bridge.ErrRoomEnded}
		}, bridge.ErrRoomEnded},
		"a host there removes us": {func(_ *Leg, f *fakeSession) {
			f.events <- bridge.SessionEvent{Kind: bridge.SessionEnded, Reason: bridge.ErrRemoved}
		}, bridge.ErrRemoved},
		"the site stays away": {func(_ *Leg, f *fakeSession) {
			f.events <- bridge.SessionEvent{Kind: bridge.SessionEnded, Reason: bridge.ErrSFU}
		}, bridge.ErrSignalling},
		"the session ends without a word": {func(_ *Leg, f *fakeSession) { f.Leave() }, bridge.ErrSignalling},
		"the far room turns end-to-end encrypted": {func(_ *Leg, f *fakeSession) {
			f.events <- bridge.SessionEvent{Kind: bridge.ParticipantChanged, Participant: sealed}
		}, bridge.ErrE2EE},
		"the far room is ours": {func(l *Leg, f *fakeSession) {
			own.Attributes = map[string]string{callAttribute: l.caller.CallID}
			f.events <- bridge.SessionEvent{Kind: bridge.ParticipantChanged, Participant: own}
		}, bridge.ErrForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			site := &fakeSite{present: []bridge.Participant{person("ana")}}
			leg, _ := answered(t, site)
			c.do(leg, site.now())
			e := <-leg.Events()
			if e.Kind != bridge.Ended || !errors.Is(e.Reason, c.want) || c.want == bridge.ErrSignalling && errors.Is(e.Reason, bridge.ErrSFU) {
				t.Errorf("ended for %v, want %v", e.Reason, c.want)
			}
		})
	}
}

// Rooms in which nobody is are not kept alive by each other.
func TestDeserted(t *testing.T) {
	for name, desert := range map[string]func(*Leg, *fakeSession){
		"the far one": func(_ *Leg, f *fakeSession) {
			f.events <- bridge.SessionEvent{Kind: bridge.ParticipantChanged, Participant: room("another")}
			f.events <- bridge.SessionEvent{Kind: bridge.ParticipantLeft, Participant: person("ana")}
		},
		"ours": func(l *Leg, _ *fakeSession) { l.Tell(bridge.Standing{State: "talking", Alone: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site := &fakeSite{present: []bridge.Participant{person("ana")}}
				leg, _ := answered(t, site)
				time.Sleep(time.Hour)
				synctest.Wait()
				if len(leg.events) != 0 {
					t.Fatal("parted with people in both rooms")
				}
				desert(leg, site.now())
				time.Sleep(desertedTime - 10*time.Second)
				synctest.Wait()
				if len(leg.events) != 0 {
					t.Fatal("parted too soon")
				}
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if len(leg.events) != 1 || !errors.Is((<-leg.events).Reason, bridge.ErrIdle) {
					t.Fatal("not parted")
				}
			})
		})
	}
}

// What cannot be begun leaves nothing behind.
func TestCannotBegin(t *testing.T) {
	sealed := person("ana")
	sealed.Tracks[0].Encrypted = true
	for name, c := range map[string]struct {
		site *fakeSite
		url  string
		want error
	}{
		"the site is away":             {&fakeSite{refuse: errAway}, "", bridge.ErrSignalling},
		"its SFU says so like ours":    {&fakeSite{refuse: bridge.ErrSFU}, "", bridge.ErrSignalling},
		"end-to-end encrypted":         {&fakeSite{present: []bridge.Participant{sealed}}, "", bridge.ErrE2EE},
		"nothing grants its network":   {&fakeSite{}, "wss://203.0.113.7", bridge.ErrForbidden},
		"its name is not in the world": {&fakeSite{}, "wss://", bridge.ErrSignalling},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, c.site, nil)
			site := s.sites["partner"]
			if c.url != "" {
				site.URL = c.url
			}
			leg := s.newLeg(site, "budget", "council")
			_, err := leg.Answer(t.Context())
			if !errors.Is(err, c.want) || c.want == bridge.ErrSignalling && errors.Is(err, bridge.ErrSFU) {
				t.Errorf("%v, want %v", err, c.want)
			}
			leg.End(err)
			leg.End(nil)
			<-leg.gone
			if _, ok := <-leg.Events(); ok || c.site.session != nil && !c.site.session.left || c.site.cfg.URL != "" && c.site.closed != 1 {
				t.Error("something is left")
			}
			if _, err := leg.Answer(t.Context()); err == nil {
				t.Error("a leg that is over is answered")
			}
		})
	}
}

// The rule's networks are where the site may be, and this machine is not, for a site that is elsewhere.
func TestRing(t *testing.T) {
	s := newServer(t, &fakeSite{}, nil)
	site := s.sites["partner"]
	site.URL = "wss://203.0.113.7:8443"
	leg := s.newLeg(site, "budget", "council")
	defer leg.End(nil)
	if err := leg.Ring(t.Context(), bridge.Terms{Codecs: []string{"PCMA"}}); !errors.Is(err, bridge.ErrNoCodec) {
		t.Error(err)
	}
	if err := leg.Ring(t.Context(), bridge.Terms{Codecs: []string{"Opus"}, Networks: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}); err != nil {
		t.Error(err)
	}
	if a, err := leg.reach(t.Context()); err != nil || a != netip.MustParseAddrPort("203.0.113.7:8443") {
		t.Error(a, err)
	}
	if leg.pass.Includes(netip.MustParseAddr("127.0.0.1")) || !leg.pass.Includes(netip.MustParseAddr("203.0.113.9")) {
		t.Error("the pass is not that of the rule")
	}
}

// Whoever ends a call while its far room is being entered has not to wait for the site.
func TestEndsWhileEntering(t *testing.T) {
	s := newServer(t, &fakeSite{hang: true}, nil)
	leg := s.newLeg(s.sites["partner"], "budget", "council")
	done := make(chan error, 1)
	go func() {
		_, err := leg.Answer(t.Context())
		done <- err
	}()
	eventually(t, "it is being entered", func() bool { leg.mu.Lock(); defer leg.mu.Unlock(); return leg.busy })
	leg.End(bridge.ErrEnded)
	if err := <-done; !errors.Is(err, bridge.ErrCancelled) {
		t.Error(err)
	}
	<-leg.gone
}

func TestDial(t *testing.T) {
	hold := make(chan struct{})
	site := &fakeSite{present: []bridge.Participant{person("ana")}}
	s := newServer(t, site, func(l *Leg) {
		if l.caller.Room == "secret" {
			l.End(&bridge.Refused{Rule: "no"})
			return
		}
		_, err := l.Answer(context.Background())
		if err == nil {
			<-hold
		}
		l.End(err)
	})
	for _, to := range []string{"livekit://nobody/x", "sip:x@y", ""} {
		if _, err := s.Dial(t.Context(), to, "council"); !errors.Is(err, bridge.ErrNoTarget) {
			t.Errorf("%s: %v", to, err)
		}
	}
	if _, err := s.Dial(t.Context(), "livekit://partner/budget", "secret"); !errors.Is(err, bridge.ErrForbidden) {
		t.Error(err)
	}
	id, err := s.Dial(t.Context(), "livekit://Partner/budget", "council")
	if err != nil || id == "" {
		t.Fatal(id, err)
	}
	if _, err := s.Dial(t.Context(), "livekit://partner/budget", "council"); !errors.Is(err, bridge.ErrJoined) {
		t.Error(err)
	}
	site.refuse = errAway
	if _, err := s.Dial(t.Context(), "livekit://partner/other", "council"); !errors.Is(err, bridge.ErrSignalling) {
		t.Error(err)
	}
	close(hold)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Dial(t.Context(), "livekit://partner/budget", "council"); !errors.Is(err, bridge.ErrDraining) {
		t.Error(err)
	}
	if site.closed != 2 || !site.session.left {
		t.Errorf("%d clients were closed", site.closed)
	}
}

// The real client refuses before it sends anything.
func TestRealClient(t *testing.T) {
	s := New(nil, configs.Defaults().LiveKit, Deps{Guard: egress.New()})
	if _, err := s.open(s.config(configs.Site{URL: "wss://203.0.113.7", APIKey: "k"}), s.Guard.Pass("c"), nil); err == nil {
		t.Error("a client without a secret")
	}
}
