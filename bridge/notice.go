package bridge

import (
	"context"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/transcode"
	"passerelle/transcode/level"
	"passerelle/transcode/opus"
)

// notify speaks a rule's notices to the caller, one after the other, before the room.
func (c *call) notify(ctx context.Context, notices []string) error {
	for _, n := range notices {
		if err := c.announce(ctx, ivr.Name(n)); err != nil {
			return err
		}
	}
	return nil
}

// introduce speaks the rule's notices to the room as the caller comes in: through the caller's own track, because that is what the SFU's listeners
// hear of this node, and through the mix for the other legs of this node. It returns at once what is closed when all is said, or ctx ends; nil: there is nothing
// to be said.
func (s *stay) introduce(ctx context.Context) <-chan struct{} {
	var clip []int16
	for _, n := range s.decision.Grant.Notices.Room {
		clip = append(clip, s.node.Prompts.Clip(s.roomLanguage(), ivr.Name(n))...)
	}
	if len(clip) == 0 {
		return nil
	}
	said := make(chan struct{})
	s.room.chimes.say(clip)
	s.speaking.Go(func() {
		defer close(said)
		if err := s.mouth.speak(ctx, clip); err != nil {
			s.log.Warn("the room could not be told", "error", err)
		}
	})
	return said
}

// roomLanguage is the one in which a room is spoken to.
func (s *stay) roomLanguage() string {
	if s.ref.Language != "" {
		return s.ref.Language
	}
	return s.node.IVR.Language
}

// speak says a clip (48 kHz, whole frames) to the room instead of the caller, in real time, until its end or that of ctx.
func (u *uplink) speak(ctx context.Context, clip []int16) error {
	encoder, err := opus.NewEncoder(transcode.Rate, opus.ForVoices(transcode.Rate))
	if err != nil {
		return err
	}
	u.lend(true)
	defer u.lend(false)
	tick := time.NewTicker(transcode.FrameSamples * time.Second / transcode.Rate)
	defer tick.Stop()
	payload := make([]byte, 1275)
	for ; len(clip) >= transcode.FrameSamples; clip = clip[transcode.FrameSamples:] {
		frame := clip[:transcode.FrameSamples]
		n, err := encoder.Encode(payload, frame)
		if err != nil {
			return err
		}
		if !u.insert(payload[:n], level.RMS(frame)) {
			return nil // the caller has left
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	return nil
}

// lend gives the track to a notice, and back.
func (u *uplink) lend(lent bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lent = lent
	u.rest()
	// What comes next begins where the notice ended, whatever the caller's own clock did meanwhile.
	u.clock.started, u.clock.marker = false, true
}

// insert sends one packet of a notice. It reports whether there still is a track.
func (u *uplink) insert(payload []byte, loudness float64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.track == nil {
		return false
	}
	u.write(payload, u.clock.advance(transcode.FrameSamples), loudness)
	return true
}
