package livekit

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// assumedLevel is RFC 6464's octet for voice at −25 dBov, for packets that do not tell their level.
const assumedLevel = 0x80 | 25

// Track is our published track. It implements bridge.Track. It stays the same when the session is resumed or the room is joined anew.
type Track struct {
	s     *Session
	name  string
	local atomic.Pointer[pion.TrackLocalStaticRTP] // nil while the SFU is away
	out   rtp.Packet                               // WriteRTP's

	// Guarded by s.mu.
	cid, sid string // empty: not announced, not accepted
	muted    bool   // what we want, and what the room has unless asking
	asking   bool   // a SetMuted is under way
	up       bool   // media flows
	refused  error
}

// Publish implements bridge.Session. The error wraps bridge.ErrForbidden when the room does not let us speak.
func (s *Session) Publish(ctx context.Context, name string) (bridge.Track, error) {
	s.mu.Lock()
	if s.track != nil {
		s.mu.Unlock()
		return nil, errors.New("a session has one track")
	}
	t := &Track{s: s, name: name}
	if err := t.out.Header.SetExtension(bridge.AudioLevelID, []byte{assumedLevel}); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	s.track = t
	s.mu.Unlock()
	s.poke()
	if err := s.await(ctx, func() (bool, error) { return t.up, t.refused }); err != nil {
		s.mu.Lock()
		s.track = nil
		s.mu.Unlock()
		return nil, fmt.Errorf("publish: %w", err)
	}
	return t, nil
}

// WriteRTP implements bridge.Track. While the SFU is away packets are dropped without an error.
func (t *Track) WriteRTP(p *rtp.Packet) error {
	local := t.local.Load()
	if local == nil {
		return nil
	}
	p.Header.Version = 2 // RFC 3550, section 5.1: anything else is no RTP
	if p.Header.Extension {
		return local.WriteRTP(p)
	}
	extensions := t.out.Header.Extensions
	profile := t.out.Header.ExtensionProfile
	t.out = *p
	t.out.Header.Extension, t.out.Header.ExtensionProfile, t.out.Header.Extensions = true, profile, extensions
	return local.WriteRTP(&t.out)
}

// SetMuted implements bridge.Track. It returns when the room has it, after an outage if need be.
func (t *Track) SetMuted(ctx context.Context, muted bool) error {
	s := t.s
	s.mu.Lock()
	if !t.asking && t.muted == muted {
		s.mu.Unlock()
		return nil // LiveKit would not answer
	}
	t.muted, t.asking = muted, true
	s.mu.Unlock()
	var asked *link
	err := s.await(ctx, func() (bool, error) {
		if !t.asking {
			return true, nil
		}
		if s.link == nil || s.link == asked || t.sid == "" {
			return false, nil
		}
		asked = s.link
		return false, t.sendMuted(asked)
	})
	if err != nil {
		s.mu.Lock()
		t.asking = false // what the room says next is right
		s.mu.Unlock()
		return fmt.Errorf("mute: %w", err)
	}
	return nil
}

// sendMuted tells the server what we want. A link that breaks under it is run's to notice. s.mu is held.
func (t *Track) sendMuted(l *link) error {
	if err := l.send(&lksig.SignalRequest{Message: &lksig.SignalRequest_Mute{Mute: &lksig.MuteTrackRequest{Sid: t.sid, Muted: t.muted}}}); err != nil {
		t.s.log.Debug("mute request lost", "error", err)
	}
	return nil
}

// told takes the state that the room has for us. s.mu is held.
func (t *Track) told(muted bool) {
	switch {
	case t.asking && t.muted == muted:
		t.asking = false
	case !t.asking && t.muted != muted:
		t.muted = muted
		t.s.events.put(bridge.SessionEvent{Kind: bridge.MutedByHost, Muted: muted})
	}
}

// unpublish notes that the track is not in the room any more. s.mu is held.
func (t *Track) unpublish() {
	t.local.Store(nil)
	t.cid, t.sid, t.up = "", "", false
}

// onMute takes a host's order.
func (s *Session) onMute(m *lksig.MuteTrackRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.track; t != nil && t.sid == m.GetSid() {
		t.asking = false // the host is stronger
		t.told(m.GetMuted())
		s.notify()
	}
}

func (s *Session) onTrackPublished(p *lksig.TrackPublishedResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.track
	if t == nil || p.GetCid() != t.cid {
		return
	}
	t.sid = p.GetTrack().GetSid()
	if t.muted == p.GetTrack().GetMuted() {
		t.asking = false // it was announced so
	}
	s.notify()
}

func (s *Session) onTrackUnpublished(sid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.track; t != nil && t.sid == sid {
		t.unpublish()
		s.notify() // run announces it anew, if it is still allowed
	}
}
