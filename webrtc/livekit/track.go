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

// Track is our published sound. It implements bridge.Track. It stays the same when the session is resumed or the room is joined anew.
type Track struct {
	published
	local atomic.Pointer[pion.TrackLocalStaticRTP] // nil while the SFU is away
	out   rtp.Packet                               // WriteRTP's
}

// Publish implements bridge.Session. The error wraps bridge.ErrForbidden when the room does not let us speak.
func (s *Session) Publish(ctx context.Context, name string) (bridge.Track, error) {
	s.mu.Lock()
	if s.track != nil {
		s.mu.Unlock()
		return nil, errors.New("a session has one track")
	}
	t := &Track{published: published{s: s, name: name, source: lksig.TrackSource_MICROPHONE}}
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

func (t *Track) request() *lksig.AddTrackRequest {
	return &lksig.AddTrackRequest{Cid: t.cid, Name: t.name, Type: lksig.TrackType_AUDIO, Source: t.source, Muted: t.muted, DisableRed: true}
}

// attach puts the track into the publisher. Its id ties the RTP stream to the request that announced it.
func (t *Track) attach(p *publisher) error {
	local, err := pion.NewTrackLocalStaticRTP(opus().RTPCodecCapability, t.cid, streamID)
	if err != nil {
		return err
	}
	tr, err := p.AddTransceiverFromTrack(local, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionSendonly})
	if err != nil {
		return err
	}
	t.sender = tr.Sender()
	if err := checkLevelID(t.sender); err != nil {
		return err
	}
	t.s.tracks.Go(func() { // reports about us are not needed here, but somebody has to take them
		b := make([]byte, 512)
		for {
			if _, _, err := tr.Sender().Read(b); err != nil {
				return
			}
		}
	})
	t.local.Store(local)
	return nil
}

func (t *Track) detach() { t.local.Store(nil) }

func (t *Track) flows() {}
