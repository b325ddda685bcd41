package participant

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"passerelle/bridge"
	"passerelle/internal/testpeer/picture"
)

// Shown is a picture that a participant shows.
type Shown struct {
	Track   bridge.VideoTrack
	Senders []*picture.Sender // one per layer

	cancel context.CancelFunc
	work   sync.WaitGroup
	mu     sync.Mutex
	wanted [bridge.MaxLayers]bool
	news   chan struct{}
}

// AwaitWanted waits until just these layers are watched by anybody, as the SFU says.
func (s *Shown) AwaitWanted(ctx context.Context, want [bridge.MaxLayers]bool) error {
	for {
		s.mu.Lock()
		now, news := s.wanted, s.news
		s.mu.Unlock()
		if now == want {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("layers %v are watched, not %v: %w", now, want, ctx.Err())
		}
	}
}

func (s *Shown) wantLayers(wanted [bridge.MaxLayers]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = wanted
	close(s.news)
	s.news = make(chan struct{})
}

// Show publishes clips as the layers of one picture, from small to large. Stop ends it; it is to be stopped before the participant leaves.
func (p *Participant) Show(ctx context.Context, source bridge.Source, clips ...*picture.Clip) (*Shown, error) {
	session, ok := p.session.(bridge.VideoSession)
	if !ok {
		return nil, errors.New("this SFU carries no pictures")
	}
	s := &Shown{news: make(chan struct{})}
	wish := bridge.Publication{
		Source: source, Name: string(source), Codec: clips[0].Codec,
		WantKeyframe: func(layer int) { s.Senders[layer].WantKeyframe() }, WantLayers: s.wantLayers,
	}
	for i, c := range clips {
		wish.Layers = append(wish.Layers, bridge.Layer{Width: c.Width, Height: c.Height})
		s.Senders = append(s.Senders, &picture.Sender{Clip: c, Write: func(packet *bridge.VideoPacket) {
			_ = s.Track.WriteVideo(i, packet) // while the SFU is away nobody sees it
		}})
	}
	var err error
	if s.Track, err = session.PublishVideo(ctx, wish); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	for _, sender := range s.Senders {
		s.work.Go(func() { sender.Run(running) })
	}
	return s, nil
}

// Stop takes the picture away.
func (s *Shown) Stop() {
	s.cancel()
	s.work.Wait()
	s.Track.Unpublish()
}

// Watch watches another participant's picture, when it comes, and recognizes clips in it. A height of 0 is none for now. It answers the track's SID.
func (p *Participant) Watch(ctx context.Context, identity string, source bridge.Source, height int, v *picture.Viewer) (string, error) {
	session, ok := p.session.(bridge.VideoSession)
	if !ok {
		return "", errors.New("this SFU carries no pictures")
	}
	for {
		for _, t := range p.People()[identity].Tracks {
			if t.Video.Source == source {
				return t.SID, session.Watch(t.SID, height, 0, v)
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return "", fmt.Errorf("no %s of %s: %w", source, identity, ctx.Err())
		}
	}
}

// WantKeyframe asks for a keyframe of a watched track.
func (p *Participant) WantKeyframe(trackSID string) {
	if session, ok := p.session.(bridge.VideoSession); ok {
		session.WantKeyframe(trackSID)
	}
}
