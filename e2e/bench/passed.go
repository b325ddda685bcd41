package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/internal/egress"
	"passerelle/media"
	"passerelle/webrtc"
	"passerelle/webrtc/livekit"
)

const (
	passedGoal = 5 * time.Millisecond
	came       = 3 // seconds until everybody is there
)

// passedAudio measures what the gateway adds to the sound of a guest, which it passes as it is: a guest and a participant speak at the same time, another
// participant hears both, and the median of the direct way is taken off.
func passedAudio(ctx context.Context, r *rig, token string, client *livekit.Client, said *sound) ([]time.Duration, error) {
	theirs, ours := *said, *said // different words: packets are told apart by what is in them
	half := len(said.speech) / 2
	theirs.speech, ours.speech = said.speech[:half], said.speech[half:]
	direct, err := join(ctx, client, guestRoom, "direct", &theirs, nil)
	if err != nil {
		return nil, err
	}
	defer direct.leave()

	port, err := webrtc.OpenPort(ctx, egress.New(), "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer port.Close()
	m := new(pion.MediaEngine)
	if err := m.RegisterDefaultCodecs(); err != nil {
		return nil, err
	}
	p, err := port.NewPeer(m, new(interceptor.Registry))
	if err != nil {
		return nil, err
	}
	defer p.Close()
	track, err := pion.NewTrackLocalStaticRTP(pion.RTPCodecCapability{MimeType: pion.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "voice", "guest")
	if err != nil {
		return nil, err
	}
	if _, err := p.AddTrack(track); err != nil {
		return nil, err
	}
	if err := connect(ctx, p, "http://"+r.page+"/whip", token); err != nil {
		return nil, err
	}

	e := &ear{heard: map[string]time.Time{}}
	session, present, err := client.Join(ctx, bridge.Join{Room: guestRoom, Identity: "ear", Name: "Ear", Subscribe: true})
	if err != nil {
		return nil, err
	}
	var listening sync.WaitGroup
	defer func() {
		session.Leave()
		listening.Wait()
	}()
	listening.Go(func() { overhear(session, present, e) })

	var sent []time.Time
	start := time.Now().Add(rand.N(period))
	for n := 0; n < min(half, (came+8)*50) && ctx.Err() == nil; n++ {
		time.Sleep(time.Until(start.Add(time.Duration(n) * period)))
		sent = append(sent, time.Now())
		out := rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(n), Timestamp: uint32(n) * ours.step}, Payload: ours.at(n, true)}
		if err := track.WriteRTP(&out); err != nil {
			return nil, err
		}
	}
	time.Sleep(200 * time.Millisecond) // the last are under way
	direct.mu.Lock()
	baseline := e.delays(&theirs, direct.tape.sent)
	direct.mu.Unlock()
	delays := e.delays(&ours, sent)
	for i := range delays {
		delays[i] -= of(baseline, .5)
	}
	return delays, nil
}

// ear notes when packets came, by what is in them.
type ear struct {
	mu    sync.Mutex
	heard map[string]time.Time
}

// WriteFrame implements media.Sink.
func (e *ear) WriteFrame(f *media.Frame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard[string(f.Payload)] = f.Arrival
}

// delays are those of packets of speech that were sent then, sorted. Packets of silence are alike.
func (e *ear) delays(s *sound, sent []time.Time) (list []time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for n, at := range sent {
		b := s.at(n, true)
		if n < came*50 {
			continue
		}
		if heard, ok := e.heard[string(b)]; ok && len(b) > 40 && heard.After(at) && heard.Sub(at) < time.Second {
			list = append(list, heard.Sub(at))
		}
	}
	slices.Sort(list)
	return list
}
