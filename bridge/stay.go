package bridge

import (
	"context"
	"errors"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/transcode/mix"
	"passerelle/transcode/playout"
)

// stay is a call's time in a room.
type stay struct {
	*call
	room    *room
	session Session
	track   Track
	self    string // the identity in the room
	changed chan struct{}

	buffer *playout.Buffer // what the caller says, for the other legs of the room
	input  *mix.Input
	keypad ivr.Keypad

	muted  muteState
	hand   bool
	volume int           // dB
	alone  *mix.Playback // the quiet sound while nobody else is there
	away   bool          // this session has lost the SFU, for now
	lost   *mix.Playback // the sound while this session or the listener is away
}

// muteState says whether the room hears the caller, and who decided.
type muteState int

const (
	unmuted muteState = iota
	mutedByCaller
	mutedByHost
	forbidden // the host has taken the microphone away: only the host can give it back
)

// enter brings the caller into the room: the node's listener first, which is there already when other callers are, then the caller.
func (c *call) enter(ctx context.Context, ref RoomRef) (*stay, error) {
	c.ref = ref
	s := &stay{call: c, self: newIdentity(), changed: make(chan struct{}, 1)}
	start := time.Now()
	err := c.during(ctx, s.join)
	if err != nil {
		s.leave()
		return nil, err
	}
	c.node.metrics.joinTime.Observe(time.Since(start).Seconds())
	c.log.Info("room entered", "room", ref.Name, "directory", ref.Source, "identity", s.self)
	return s, nil
}

// join does what enter says. What it has begun when it fails, leave undoes.
func (s *stay) join(ctx context.Context) (err error) {
	if s.room, err = s.node.rooms.enter(ctx, s.ref.Name); err != nil {
		return err
	}
	s.room.watch(s.self, s.changed)
	if s.session, _, err = s.node.SFU.Join(ctx, Join{
		Room: s.ref.Name, Identity: s.self, Name: displayName(s.who), Phone: true, Publish: true,
		Attributes: map[string]string{"sip.callID": s.who.CallID, "sip.callStatus": "active"},
	}); err != nil {
		return err
	}
	if s.track, err = s.session.Publish(ctx, "microphone"); err != nil {
		return err
	}
	if s.buffer, err = playout.New(s.audio.Codec(), playout.Config{}); err != nil {
		return err
	}
	s.input = s.room.mixer.AddSource(s.buffer)
	s.ears.Attach(s.room.mixer, s.input)
	s.mouth.open(s.track, s.buffer)
	return nil
}

// leave undoes join, as far as it came, in the opposite order.
func (s *stay) leave() {
	s.mouth.shut()
	s.stop(&s.alone)
	s.stop(&s.lost)
	s.ears.Attach(s.node.lobby, nil)
	if s.input != nil {
		s.room.mixer.Remove(s.input)
		s.buffer.Close()
	}
	if s.session != nil {
		s.session.Leave()
	}
	if s.room != nil {
		s.room.unwatch(s.self, s.changed)
		s.node.rooms.leave(s.room)
	}
}

// converse is the meeting, from the caller's side, until it ends.
func (s *stay) converse(ctx context.Context) error {
	s.say(ivr.Joined)
	if err := s.company(); err != nil {
		return err
	}
	draining := s.node.draining
	for {
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case d := <-s.tones:
			if s.dedup.Accept("tone", d, time.Now()) {
				err = s.press(ctx, d)
			}
		case e, ok := <-s.leg.Events():
			if !ok {
				return ErrHungUp
			}
			var d byte
			if d, err = s.heed(e); d != 0 {
				err = s.press(ctx, d)
			}
		case e, ok := <-s.session.Events():
			if !ok {
				return ErrSFU
			}
			err = s.follow(e)
		case <-s.changed:
			err = s.company()
		case <-draining:
			draining = nil
			s.say(ivr.Draining)
		}
		if err != nil {
			return err
		}
	}
}

// company looks at who is in the room: a caller who is alone is told so, and hears a quiet sound until somebody comes.
func (s *stay) company() error {
	others, err := s.room.state(s.self)
	if err != nil {
		return err
	}
	s.line()
	switch alone := others == 0; {
	case alone && s.alone == nil:
		s.say(ivr.Alone)
		s.alone = s.ears.Play(ivr.ComfortTone(), mix.PlayOptions{Loop: true})
	case !alone:
		s.stop(&s.alone)
	}
	return nil
}

// stop ends a sound, if it is heard.
func (s *stay) stop(p **mix.Playback) {
	if *p != nil {
		(*p).Stop()
		*p = nil
	}
}

// follow does what the SFU tells this participant.
func (s *stay) follow(e SessionEvent) error {
	switch e.Kind {
	case MutedByHost:
		s.hostMutes(e.Muted)
	case SelfChanged:
		s.permit(e.Participant.CanPublish)
		if hand := e.Participant.Attributes[handAttribute] != ""; hand != s.hand {
			if s.hand = hand; !hand {
				s.say(ivr.HandLoweredByHost)
			}
		}
	case Interrupted, Restored:
		s.away = e.Kind == Interrupted
		s.line()
	case SessionEnded:
		if e.Reason == nil {
			return ErrSFU
		}
		return e.Reason
	}
	return nil
}

// line tells the caller when the SFU is away, and when it is back: for what they say, by their own session, and for what they hear, by the listener's.
func (s *stay) line() {
	switch away := s.away || s.room.deaf(); {
	case away && s.lost == nil:
		s.log.Warn("the SFU is away, the caller is held")
		s.node.metrics.interrupted.Inc()
		s.say(ivr.LineInterrupted)
		s.lost = s.ears.Play(ivr.ReconnectTone(), mix.PlayOptions{Loop: true})
	case !away && s.lost != nil:
		s.log.Info("the SFU is back")
		s.stop(&s.lost)
		s.say(ivr.LineRestored)
	}
}

// hostMutes tells the caller what a host did to their microphone.
func (s *stay) hostMutes(muted bool) {
	switch {
	case muted && s.muted == unmuted:
		s.muted = mutedByHost
		s.mouth.mute(true)
		s.say(ivr.MutedByHost)
	case !muted && s.muted != unmuted && s.muted != forbidden:
		s.muted = unmuted
		s.mouth.mute(false)
		s.say(ivr.Unmuted)
	}
}

// permit follows the caller's right to speak.
func (s *stay) permit(can bool) {
	switch {
	case !can && s.muted != forbidden:
		s.muted = forbidden
		s.mouth.mute(true)
		s.say(ivr.MutedByHost)
	case can && s.muted == forbidden:
		s.muted = mutedByHost
		s.say(ivr.MayUnmute)
	}
}

// handAttribute is where Visio's web client looks for a raised hand: an ISO 8601 time, or nothing.
const handAttribute = "handRaisedAt"

// press does what a key asks for.
func (s *stay) press(ctx context.Context, digit byte) error {
	ctx, stop := context.WithTimeout(ctx, keyTimeout)
	defer stop()
	var err error
	switch s.keypad.Press(digit, time.Now()) {
	case ivr.ToggleMute:
		err = s.toggleMute(ctx)
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
	if err != nil {
		// The SFU did not take it. It will say so itself if it is gone; the call goes on.
		s.log.Warn("a key had no effect", "error", err)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		s.say(ivr.SFUUnavailable)
	}
	return nil
}

// toggleMute closes or opens the caller's microphone: at once here, then for the room to see.
func (s *stay) toggleMute(ctx context.Context) error {
	switch s.muted {
	case forbidden:
		s.say(ivr.UnmuteNotAllowed)
	case unmuted:
		s.muted = mutedByCaller
		s.mouth.mute(true)
		s.say(ivr.Muted)
		return s.track.SetMuted(ctx, true)
	default:
		if err := s.track.SetMuted(ctx, false); err != nil {
			return err
		}
		s.muted = unmuted
		s.mouth.mute(false)
		s.say(ivr.Unmuted)
	}
	return nil
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
