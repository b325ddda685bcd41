package livekit

import (
	"context"
	"fmt"

	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// outgoing is a track of ours. Implemented by Track and VideoTrack.
type outgoing interface {
	common() *published
	// request announces the track under the cid of its common part. s.mu is held.
	request() *lksig.AddTrackRequest
	// attach puts the track into the publisher. Of run.
	attach(p *publisher) error
	// detach stops what is written from going out. s.mu may be held.
	detach()
	// go on sending: media flows. s.mu is held.
	flows()
}

// published is the part of a track of ours that the room knows.
type published struct {
	s      *Session
	name   string
	source lksig.TrackSource
	sender *pion.RTPSender // in the publisher; of run only

	// Guarded by s.mu.
	cid, sid string // empty: not announced, not accepted
	muted    bool   // what we want, and what the room has unless asking
	asking   bool   // the room may not have it yet: what it says is older
	up       bool   // media flows
	refused  error
}

func (t *published) common() *published { return t }

// ours are all tracks that we want to be in the room. s.mu is held.
func (s *Session) ours() []outgoing {
	list := make([]outgoing, 0, 3)
	if s.track != nil {
		list = append(list, s.track)
	}
	for _, v := range s.videos {
		list = append(list, v)
	}
	return list
}

// find is the track of ours that is described, or nil. s.mu is held.
func (s *Session) find(is func(*published) bool) outgoing {
	for _, t := range s.ours() {
		if is(t.common()) {
			return t
		}
	}
	return nil
}

// may tells whether the room lets us publish from a source. s.mu is held.
func (s *Session) may(source lksig.TrackSource) bool {
	switch source {
	case lksig.TrackSource_CAMERA:
		return s.join.Camera
	case lksig.TrackSource_SCREEN_SHARE:
		return s.join.Content
	}
	return s.join.Publish
}

// SetMuted implements bridge.Track and bridge.VideoTrack. It returns when the room has it, after an outage if need be. After an error we are muted,
// whatever was wanted, and the room is told so when it is back: who wanted to be muted must not be opened by what the room still has, and an
// unmuting that the caller takes for failed must not come later.
func (t *published) SetMuted(ctx context.Context, muted bool) error {
	s := t.s
	s.mu.Lock()
	if !t.asking && t.muted == muted {
		s.mu.Unlock()
		return nil // LiveKit would not answer
	}
	t.want(muted)
	s.mu.Unlock()
	err := s.await(ctx, func() (bool, error) { return !t.asking, nil })
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.asking {
		return nil // answered at the last moment
	}
	if !muted {
		t.want(true)
	}
	return fmt.Errorf("mute: %w", err)
}

// want changes what the room should have. s.mu is held.
func (t *published) want(muted bool) {
	t.muted, t.asking = muted, true
	t.ask()
}

// ask tells the server what we want, if it may not have it: at once, over each new link, and for each new publication. s.mu is held.
func (t *published) ask() {
	l := t.s.link
	if !t.asking || l == nil || t.sid == "" {
		return
	}
	if err := l.send(&lksig.SignalRequest{Message: &lksig.SignalRequest_Mute{Mute: &lksig.MuteTrackRequest{Sid: t.sid, Muted: t.muted}}}); err != nil {
		t.s.log.Debug("mute request lost", "error", err) // run notices a link that breaks
	}
}

// told takes the state that the room has for us. Back from an outage, that may be the one from before our wish: it must not open a microphone.
// s.mu is held.
func (t *published) told(muted bool) {
	switch {
	case t.asking && t.muted == muted:
		t.asking = false
	case !t.asking && t.muted != muted:
		t.muted = muted
		t.s.events.put(bridge.SessionEvent{Kind: bridge.MutedByHost, Muted: muted, Source: sourceOf(t.source)})
	}
}

// unpublish notes that a track is not in the room any more. s.mu is held.
func unpublish(t outgoing) {
	t.detach()
	p := t.common()
	p.cid, p.sid, p.up = "", "", false
}

// onMute takes a host's order.
func (s *Session) onMute(m *lksig.MuteTrackRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.find(func(t *published) bool { return t.sid != "" && t.sid == m.GetSid() }); t != nil {
		t.common().asking = false // the host is stronger
		t.common().told(m.GetMuted())
		s.notify()
	}
}

func (s *Session) onTrackPublished(p *lksig.TrackPublishedResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.find(func(t *published) bool { return t.cid != "" && t.cid == p.GetCid() })
	if found == nil {
		return
	}
	t := found.common()
	t.sid = p.GetTrack().GetSid()
	if t.muted == p.GetTrack().GetMuted() {
		t.asking = false // it was announced so
	}
	t.ask()
	s.notify()
}

func (s *Session) onTrackUnpublished(sid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.find(func(t *published) bool { return t.sid != "" && t.sid == sid }); t != nil {
		unpublish(t)
		s.notify() // run announces it anew, if it is still allowed
	}
}
