package livekit

import (
	"context"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// mutable is a session with a published track, and without run: the test takes what the server says, one message at a time.
type mutable struct {
	t     *testing.T
	s     *Session
	track *published
	link  *link
}

// newMutable has the server away.
func newMutable(t *testing.T, scripts ...func(*fakeConn)) *mutable {
	s := newSession(fakeClient(t, newFake(t, scripts...).url, time.Minute), bridge.Join{Room: "r", Identity: "me", Publish: true}, slog.New(slog.DiscardHandler))
	s.sid, s.timing = "PA_me", timing{time.Minute, time.Minute}
	s.track = &Track{published: published{s: s, source: lksig.TrackSource_MICROPHONE, cid: "cid", sid: "TR_me"}}
	return &mutable{t: t, s: s, track: &s.track.published}
}

// try asks for longer than the caller can wait.
func (m *mutable) try(muted bool) {
	m.t.Helper()
	ctx, cancel := context.WithCancel(m.t.Context())
	cancel()
	if err := m.track.SetMuted(ctx, muted); err == nil {
		m.t.Fatal("the room was told without a server")
	}
}

// resume has the server back. It still knows us.
func (m *mutable) resume() {
	m.t.Helper()
	l, err := m.s.resume(m.t.Context(), signalLost)
	if err != nil {
		m.t.Fatal(err)
	}
	m.link = l
	m.t.Cleanup(l.close)
}

// take handles one message. It leaves the track muted or not, and tells bridge as much as is wanted.
func (m *mutable) take(what string, muted bool, want ...bridge.SessionEvent) {
	m.t.Helper()
	m.link.wait(20 * time.Second)
	message, err := m.link.receive()
	if err == nil {
		err = m.s.handle(m.t.Context(), m.link, message)
	}
	if err != nil {
		m.t.Fatalf("%s: %v", what, err)
	}
	var got []bridge.SessionEvent
	for e, ok := m.s.events.next(); ok; e, ok = m.s.events.next() {
		got = append(got, e)
	}
	if !reflect.DeepEqual(got, want) {
		m.t.Fatalf("%s: events %+v, want %+v", what, got, want)
	}
	if m.track.muted != muted {
		m.t.Fatalf("%s: muted is %v", what, m.track.muted)
	}
}

func byHost(muted bool) bridge.SessionEvent {
	return bridge.SessionEvent{Kind: bridge.MutedByHost, Muted: muted}
}

func (c *fakeConn) reconnect() {
	c.say(&lksig.SignalResponse{Message: &lksig.SignalResponse_Reconnect{Reconnect: &lksig.ReconnectResponse{}}})
}

// us tells what the room has of us.
func (c *fakeConn) us(muted bool) {
	c.say(&lksig.SignalResponse{Message: &lksig.SignalResponse_Update{Update: &lksig.ParticipantUpdate{Participants: []*lksig.ParticipantInfo{{
		Sid: "PA_me", Identity: "me", Tracks: []*lksig.TrackInfo{{Sid: "TR_me", Muted: muted}},
	}}}}})
}

// host changes us.
func (c *fakeConn) host(muted bool) {
	c.say(&lksig.SignalResponse{Message: &lksig.SignalResponse_Mute{Mute: &lksig.MuteTrackRequest{Sid: "TR_me", Muted: muted}}})
}

// awaitMute reads until we ask for it.
func (c *fakeConn) awaitMute(muted bool) {
	if !c.await(func(m *lksig.SignalRequest) bool {
		return m.GetMute().GetSid() == "TR_me" && m.GetMute().GetMuted() == muted
	}) {
		c.t.Errorf("muted=%v was not asked for", muted)
	}
}

// TestMuteWhileAway: who muted during an outage stays muted, even if the outage was longer than they could wait, until a host says otherwise.
func TestMuteWhileAway(t *testing.T) {
	m := newMutable(t, func(c *fakeConn) {
		c.reconnect()
		c.us(false) // LiveKit tells this before it reads anything
		c.awaitMute(true)
		c.us(true)
		c.us(false)
		c.host(true)
	})
	m.try(true)
	m.resume()
	m.take("the state before", true)
	m.take("the room has it", true)
	m.take("a host unmutes", false, byHost(false))
	m.take("a host mutes", true, byHost(true))
}

// TestUnmuteWhileAway: an unmuting that failed does not come later, when nobody counts on it.
func TestUnmuteWhileAway(t *testing.T) {
	m := newMutable(t, func(c *fakeConn) {
		c.reconnect()
		c.awaitMute(true)
		c.us(true)
		c.awaitMute(false)
		c.us(false) // the answer
	})
	m.track.muted = true
	m.try(false)
	m.resume()
	m.take("the room has it", true)
	if err := m.track.SetMuted(t.Context(), true); err != nil {
		t.Errorf("what is so already: %v", err)
	}
	m.try(false) // asked for, and taken back
	m.take("the answer to what was taken back", true)
}

// TestMuteUnanswered: a server that does not answer leaves us muted, and a host's order is taken all the same.
func TestMuteUnanswered(t *testing.T) {
	m := newMutable(t, func(c *fakeConn) {
		c.reconnect()
		c.awaitMute(true)
		c.host(false)
		c.us(true)
	})
	m.resume()
	m.try(true)
	m.take("a host's order", false, byHost(false))
	m.take("a later state", true, byHost(true))
}

// TestMuteAnnounced: a wish from before a publication is announced with it, and one from during it is sent after it.
func TestMuteAnnounced(t *testing.T) {
	published := func(c *fakeConn, muted bool) {
		c.say(&lksig.SignalResponse{Message: &lksig.SignalResponse_TrackPublished{TrackPublished: &lksig.TrackPublishedResponse{
			Cid: "cid", Track: &lksig.TrackInfo{Sid: "TR_me", Muted: muted},
		}}})
	}
	m := newMutable(t, func(c *fakeConn) {
		c.reconnect()
		published(c, false)
		c.awaitMute(true)
		published(c, true)
		c.us(false)
	})
	m.resume()
	m.track.sid = ""
	m.try(true)
	if !m.s.track.request().GetMuted() {
		t.Error("it would be announced as open")
	}
	m.take("announced before", true)
	m.take("announced as it should be", true)
	m.take("a host unmutes", false, byHost(false))
}
