package picture

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"passerelle/bridge"
)

// Sender sends a clip again and again, beginning anew when a keyframe is wanted. Like a browser it ignores such wishes for a while after one.
type Sender struct {
	Clip  *Clip
	Write func(*bridge.VideoPacket)

	wanted    atomic.Bool
	keyframes atomic.Int32
}

// WantKeyframe has the clip begin anew. It may be called from any goroutine.
func (s *Sender) WantKeyframe() { s.wanted.Store(true) }

// Keyframes counts the keyframes that were sent because somebody wanted one.
func (s *Sender) Keyframes() int { return int(s.keyframes.Load()) }

// AwaitKeyframes waits until n keyframes have been sent because somebody wanted one.
func (s *Sender) AwaitKeyframes(ctx context.Context, n int) error {
	for s.Keyframes() < n {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d wishes for a keyframe came: %w", s.Keyframes(), n, ctx.Err())
		}
	}
	return nil
}

// patience is how long after a keyframe there is not another one because of a wish.
const patience = 200 * time.Millisecond

// Run sends until ctx ends. Numbers and timestamps begin shortly before they wrap.
func (s *Sender) Run(ctx context.Context) {
	p := newPacketizer(s.Clip.Codec.Kind)
	tick := time.NewTicker(time.Second / Rate)
	defer tick.Stop()
	packet := bridge.VideoPacket{Codec: &s.Clip.Codec, Sequence: 65500, Timestamp: ^uint32(0) - 45000}
	var last time.Time
	for i := 0; ; i++ {
		if now := time.Now(); s.wanted.Load() && now.Sub(last) > patience {
			s.wanted.Store(false)
			s.keyframes.Add(1)
			i, last = 0, now
		}
		i %= len(s.Clip.frames)
		payloads := p.split(s.Clip.frames[i])
		for n, payload := range payloads {
			packet.Payload, packet.Marker, packet.Arrival = payload, n == len(payloads)-1, time.Now()
			s.Write(&packet)
			packet.Sequence++
		}
		packet.Timestamp += bridge.VideoRate / Rate
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
