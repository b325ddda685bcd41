package bridge

import (
	"context"
	"errors"
	"slices"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/bridge/policy"
	"passerelle/transcode/mix"
)

// handAttribute is where Visio's web client looks for a raised hand: an ISO 8601 time, or nothing.
const handAttribute = "handRaisedAt"

// press does what a key asks for.
func (s *stay) press(ctx context.Context, digit byte) error {
	ctx, stop := context.WithTimeout(ctx, keyTimeout)
	defer stop()
	var err error
	command := s.keypad.Press(digit, time.Now())
	if power, ok := powers()[command]; ok && !s.may(power) {
		s.say(ivr.KeyNotAllowed)
		return nil
	}
	switch command {
	case ivr.ToggleMute:
		err = s.microphone(ctx, s.muted != unmuted)
	case ivr.ToggleHand:
		err = s.toggleHand(ctx)
	case ivr.Quieter:
		s.turn(-volumeStep)
	case ivr.Louder:
		s.turn(volumeStep)
	case ivr.HowMany:
		others, _ := s.room.state(s.self)
		s.ears.Play(s.node.Prompts.Count(s.lang, others+1), mix.PlayOptions{Duck: duck})
	case ivr.Help:
		s.say(ivr.KeysHelp)
	case ivr.Hint:
		s.say(ivr.KeysHint)
	}
	return s.tried(err)
}

// tried says so when the SFU did not take what the caller wants. It will say so itself if it is gone; the call goes on.
func (s *stay) tried(err error) error {
	if err != nil {
		s.log.Warn("a key had no effect", "error", err)
		if !errors.Is(err, context.Canceled) {
			s.say(ivr.SFUUnavailable)
		}
	}
	return nil
}

// may tells whether the rule grants a power of the keypad.
func (s *stay) may(k policy.Key) bool {
	g := s.decision.Grant
	return slices.Contains(g.Keys, k) && (k != policy.KeyCount || g.Learn != policy.LearnNothing)
}

// powers says which power of the grant a command needs.
func powers() map[ivr.Command]policy.Key {
	return map[ivr.Command]policy.Key{
		ivr.ToggleMute: policy.KeyMute, ivr.ToggleHand: policy.KeyHand, ivr.Quieter: policy.KeyVolume, ivr.Louder: policy.KeyVolume,
		ivr.HowMany: policy.KeyCount,
	}
}

// toggleHand raises or lowers the caller's hand.
func (s *stay) toggleHand(ctx context.Context) error {
	raised, name := "", ivr.HandDown
	if !s.hand {
		raised, name = time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), ivr.HandUp
	}
	if err := s.session.SetAttributes(ctx, map[string]string{handAttribute: raised}); err != nil {
		return err
	}
	s.hand = !s.hand
	s.say(name)
	return nil
}

// turn makes what the caller hears louder or quieter, by 12 dB at most.
func (s *stay) turn(step int) {
	name := ivr.VolumeUp
	switch volume := s.volume + step; {
	case volume > volumeLimit:
		name = ivr.VolumeMax
	case volume < -volumeLimit:
		name = ivr.VolumeMin
	default:
		if step < 0 {
			name = ivr.VolumeDown
		}
		s.volume = volume
		s.ears.SetGain(float64(volume))
	}
	s.say(name)
}

const (
	keyTimeout  = 5 * time.Second // for the SFU to take what a key asks for
	volumeStep  = 3               // dB
	volumeLimit = 12              // dB
)
