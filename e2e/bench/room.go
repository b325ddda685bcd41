package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtp"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/media"
	"passerelle/webrtc/livekit"
)

// participant is somebody in a room who speaks in packets that were made beforehand, and keeps the packets that come, with the time.
type participant struct {
	session bridge.Session
	track   bridge.Track
	sound   *sound
	impair  *impairment
	stop    context.CancelFunc
	work    sync.WaitGroup

	mu   sync.Mutex
	tape recording
}

// newClient makes a client of the rig's SFU. Close it.
func newClient(r *rig) (*livekit.Client, error) {
	cfg := configs.Defaults().LiveKit
	cfg.URL, cfg.APIKey, cfg.APISecret = r.sfu.URL(), sfuKey, sfuSecret
	return livekit.New(cfg, egress.New(), slog.New(slog.DiscardHandler))
}

// join brings a participant in, who speaks from now on until leave.
func join(ctx context.Context, c *livekit.Client, room, identity string, s *sound, impair *impairment) (*participant, error) {
	session, present, err := c.Join(ctx, bridge.Join{Room: room, Identity: identity, Name: identity, Publish: true, Subscribe: true})
	if err != nil {
		return nil, err
	}
	track, err := session.Publish(ctx, "microphone")
	if err != nil {
		session.Leave()
		return nil, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &participant{session: session, track: track, sound: s, impair: impair, stop: stop}
	p.work.Go(func() { p.speak(running) })
	p.work.Go(func() { overhear(session, present, p) })
	return p, nil
}

func (p *participant) leave() {
	p.stop()
	p.session.Leave()
	p.work.Wait()
}

// overhear has sink hear all that others say, those who are there and those who come, until the session ends.
func overhear(s bridge.Session, present []bridge.Participant, sink media.Sink) {
	hear := func(other bridge.Participant) {
		for _, t := range other.Tracks {
			if t.Audio {
				_ = s.Subscribe(t.SID, sink)
			}
		}
	}
	for _, other := range present {
		hear(other)
	}
	for e := range s.Events() {
		if e.Kind == bridge.ParticipantChanged {
			hear(e.Participant)
		}
	}
}

// WriteFrame is media.Sink.
func (p *participant) WriteFrame(f *media.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tape.heard = append(p.tape.heard, packet{f.Arrival, f.Timestamp, slices.Clone(f.Payload)})
}

// speak sends a packet every 20 ms, at a time of its own within them.
func (p *participant) speak(ctx context.Context) {
	start := time.Now().Add(rand.N(period))
	first := rand.Uint32()
	var writing sync.Mutex
	for n := 0; ctx.Err() == nil; n++ {
		time.Sleep(time.Until(start.Add(time.Duration(n) * period)))
		var out rtp.Packet
		out.SequenceNumber, out.Timestamp = uint16(n), first+uint32(n)*p.sound.step
		out.Payload = p.sound.at(n, true)
		p.mu.Lock()
		p.tape.sent = append(p.tape.sent, time.Now())
		p.mu.Unlock()
		write := func() {
			writing.Lock()
			defer writing.Unlock()
			_ = p.track.WriteRTP(&out)
		}
		if p.impair == nil {
			write()
			continue
		}
		if delay, lost := p.impair.next(); !lost {
			p.work.Go(func() {
				time.Sleep(delay)
				write()
			})
		}
	}
}

// take is what was said and heard so far.
func (p *participant) take() recording {
	p.mu.Lock()
	defer p.mu.Unlock()
	return recording{slices.Clone(p.tape.sent), slices.Clone(p.tape.heard)}
}
