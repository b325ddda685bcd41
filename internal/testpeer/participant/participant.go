// Package participant is somebody in a room who speaks and listens, for tests and for the demo: what is said and heard is kept as sound.
package participant

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/pion/rtp"

	"passerelle/bridge"
	"passerelle/internal/testpeer/tape"
	"passerelle/transcode"
	"passerelle/transcode/level"
	"passerelle/transcode/opus"
	"passerelle/transcode/playout"
)

// Participant is somebody in a room. Its methods may be called from any goroutine.
type Participant struct {
	Tape *tape.Tape // all that is heard

	session bridge.Session
	track   bridge.Track
	cancel  context.CancelFunc
	work    sync.WaitGroup

	mu     sync.Mutex
	people map[string]bridge.Participant
	heard  map[string]*playout.Buffer // by track SID
	speech []int16                    // what is still to be said
	loop   []int16                    // said again and again
	due    time.Time                  // when the next 20 ms are said
}

// Join enters a room. Leave ends it.
func Join(ctx context.Context, sfu bridge.SFU, room, identity, name string) (*Participant, error) {
	session, present, err := sfu.Join(ctx, bridge.Join{
		Room: room, Identity: identity, Name: name, Publish: true, Camera: true, Content: true, Subscribe: true,
	})
	if err != nil {
		return nil, err
	}
	track, err := session.Publish(ctx, "microphone")
	if err != nil {
		session.Leave()
		return nil, err
	}
	p := &Participant{
		Tape: tape.New(), session: session, track: track,
		people: map[string]bridge.Participant{}, heard: map[string]*playout.Buffer{},
	}
	for _, other := range present {
		p.arrive(other)
	}
	encoder, err := opus.NewEncoder(transcode.Rate, opus.Options{Complexity: 5})
	if err != nil {
		session.Leave()
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	p.work.Go(func() { p.Tape.Run(running) })
	p.work.Go(func() { p.speak(running, encoder) })
	p.work.Go(p.follow)
	return p, nil
}

// Leave leaves the room and returns when nothing of the participant is left.
func (p *Participant) Leave() {
	p.cancel()
	p.session.Leave()
	p.work.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for sid, b := range p.heard {
		p.Tape.Remove(b)
		b.Close()
		delete(p.heard, sid)
	}
}

// Say says a clip (48 kHz), once, beginning with the next 20 ms, which are at the answered time.
func (p *Participant) Say(clip []int16) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.speech = clip
	return p.due
}

// Loop says a clip (48 kHz) again and again, whenever there is nothing else to say; nil: not any more.
func (p *Participant) Loop(clip []int16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loop = clip
}

// People are the others who are there now, by identity.
func (p *Participant) People() map[string]bridge.Participant {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.people)
}

// Find answers the first other participant whom the condition describes.
func (p *Participant) Find(is func(bridge.Participant) bool) (bridge.Participant, bool) {
	for _, other := range p.People() {
		if is(other) {
			return other, true
		}
	}
	return bridge.Participant{}, false
}

// speak publishes 20 ms every 20 ms: speech, the loop, or silence.
func (p *Participant) speak(ctx context.Context, encoder *opus.Encoder) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	frame, payload := make([]int16, transcode.FrameSamples), make([]byte, 1275)
	var packet rtp.Packet
	var loudness [1]byte                                             // of each packet, by which the SFU tells who speaks (RFC 6464)
	_ = packet.Header.SetExtension(bridge.AudioLevelID, loudness[:]) // one byte under a small id always fits
	start := time.Now()
	for n := 0; ; n++ {
		// A late tick is caught up with, so that speech keeps its pace.
		for time.Since(start) < time.Duration(n)*20*time.Millisecond {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		p.next(frame, start.Add(time.Duration(n+1)*20*time.Millisecond))
		size, err := encoder.Encode(payload, frame)
		if err != nil {
			panic(fmt.Sprintf("participant: %v", err)) // 20 ms of PCM can be encoded
		}
		packet.Header.SequenceNumber = uint16(n)
		packet.Header.Timestamp = uint32(n * transcode.FrameSamples)
		packet.Payload = payload[:size]
		loudness[0] = byte(min(max(-level.RMS(frame), 0), 127))
		_ = p.track.WriteRTP(&packet) // while the SFU is away nobody hears it
	}
}

// next takes the next 20 ms of what is to be said; those after them are due later.
func (p *Participant) next(frame []int16, due time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = due
	if len(p.speech) == 0 {
		p.speech = p.loop
	}
	n := copy(frame, p.speech)
	clear(frame[n:])
	p.speech = p.speech[n:]
}

// follow keeps up with the room until the session ends.
func (p *Participant) follow() {
	for e := range p.session.Events() {
		switch e.Kind {
		case bridge.ParticipantChanged:
			p.arrive(e.Participant)
		case bridge.ParticipantLeft:
			p.mu.Lock()
			for _, t := range p.people[e.Participant.Identity].Tracks {
				p.forget(t.SID)
			}
			delete(p.people, e.Participant.Identity)
			p.mu.Unlock()
		}
	}
}

// arrive takes in a participant who came or changed, and listens to their tracks.
func (p *Participant) arrive(other bridge.Participant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	has := map[string]bool{}
	for _, t := range other.Tracks {
		has[t.SID] = true
		if p.heard[t.SID] != nil || !t.Audio {
			continue
		}
		codec, _ := transcode.Lookup("opus", transcode.Rate)
		b, err := playout.New(codec, playout.Config{})
		if err != nil {
			panic(fmt.Sprintf("participant: %v", err)) // opus is a codec
		}
		p.heard[t.SID] = b
		p.Tape.Add(b)
		_ = p.session.Subscribe(t.SID, b)
	}
	for _, t := range p.people[other.Identity].Tracks {
		if !has[t.SID] {
			p.forget(t.SID)
		}
	}
	p.people[other.Identity] = other
}

// forget stops listening to a track.
func (p *Participant) forget(sid string) {
	if b := p.heard[sid]; b != nil {
		_ = p.session.Subscribe(sid, nil)
		p.Tape.Remove(b)
		b.Close()
		delete(p.heard, sid)
	}
}
