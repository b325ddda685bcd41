package bridge

import (
	"context"
	"sync"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/bridge/policy"
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

	place  *place          // in front of the room's pictures; nil: the leg has none
	buffer *playout.Buffer // what the caller says, for the other legs of the room
	input  *mix.Input
	keypad ivr.Keypad

	muted     muteState
	bars      bar  // who keeps the microphone closed, whatever the caller wants
	byHost    bool // it was a host who closed or opened the microphone last
	hand      bool
	announced bool          // the notices of the rule to the room are said
	alone     *mix.Playback // the quiet sound while nobody else is there
	away      bool          // this session has lost the SFU, for now
	lost      *mix.Playback // the sound while this session or the listener is away

	hours    hours          // what ends the stay by itself
	speaking sync.WaitGroup // notices to the room
}

// enter brings the caller into the room: the node's listener first, which is there already when other callers are, then the caller.
func (c *call) enter(ctx context.Context, ref RoomRef) (*stay, error) {
	c.ref = ref
	s := &stay{call: c, self: newIdentity(identityKind(c.who.Protocol)), changed: make(chan struct{}, 1)}
	start := time.Now()
	me := s.participant()
	s.asScreen(&me)
	us := leg{discreet: s.decision.Grant.Learn == policy.LearnNothing}
	err := c.during(ctx, func(ctx context.Context) error { return s.join(ctx, me, us) })
	if err != nil {
		s.leave()
		return nil, err
	}
	s.open(me)
	c.node.metrics.joinTime.Observe(time.Since(start).Seconds())
	c.log.Info("room entered", "room", ref.Name, "directory", ref.Source, "identity", s.self)
	return s, nil
}

// participant is how the caller comes into the room.
func (s *stay) participant() Join {
	j := Join{Room: s.ref.Name, Identity: s.self, Name: s.name(), Phone: true, Publish: true, Attributes: map[string]string{
		"sip.callID": s.who.CallID, "sip.callStatus": "active",
	}}
	if s.decision.Grant.Foreign {
		j.Attributes[foreignAttribute] = "true"
	}
	if s.who.Bridge {
		j.Attributes[BridgeAttribute] = "true"
	}
	if !s.decision.Grant.Recording {
		j.Attributes[recordingAttribute] = "refused"
	}
	return j
}

// Attributes that tell the room about a leg.
const (
	// BridgeAttribute is "true" where the leg's far end is another room.
	BridgeAttribute    = "passerelle.bridge"
	foreignAttribute   = "passerelle.foreign"   // "true": its sound leaves national infrastructure
	recordingAttribute = "passerelle.recording" // "refused": it may not be recorded, and is neither heard nor seen while the room is
)

// join does what enter says. What it has begun when it fails, leave undoes.
func (s *stay) join(ctx context.Context, me Join, us leg) (err error) {
	if s.room, err = s.node.rooms.enter(ctx, s.ref.Name); err != nil {
		return err
	}
	s.room.watch(s.self, us, s.changed)
	if s.session, _, err = s.node.SFU.Join(ctx, me); err != nil {
		return err
	}
	if s.track, err = s.session.Publish(ctx, "microphone"); err != nil {
		return err
	}
	if s.buffer, err = playout.New(s.audio.Codec(), playout.Config{}); err != nil {
		return err
	}
	if s.who.Bridge {
		s.input = s.room.mixer.AddBridge(s.buffer)
		s.ears.SetBridge()
	} else {
		s.input = s.room.mixer.AddSource(s.buffer)
	}
	return nil
}

// open lets the caller be heard and seen in the room, as far as the grant, which may have changed while it was entered, has it.
func (s *stay) open(me Join) {
	grant := s.decision.Grant
	s.mouth.mute(s.closed || !grant.Audio.Sends() || !grant.Recording && s.isRecorded())
	s.mouth.open(s.track, s.buffer)
	s.place = s.takePlace(s.room.stageFor(s.call), s.session, me)
}

// isRecorded tells whether the room is recorded, as far as the SFU tells.
func (s *stay) isRecorded() bool {
	r, ok := s.session.(Recorded)
	return ok && r.Recording()
}

// leave undoes join, as far as it came, in the opposite order.
func (s *stay) leave() {
	s.mouth.shut() // which ends notices
	s.speaking.Wait()
	s.stop(&s.alone)
	s.stop(&s.lost)
	s.ears.Attach(s.node.lobby, nil)
	if s.input != nil {
		s.room.mixer.Remove(s.input)
		s.buffer.Close()
	}
	if s.place != nil {
		s.place.leave()
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
	defer func() { s.closed = s.muted != unmuted }() // the next room that they are moved to hears no more of them than this one
	said := s.introduce(ctx)
	s.announced = said == nil
	s.say(ivr.Joined)
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.hours.stop()
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
			err = s.attend(ctx, e)
		case e, ok := <-s.session.Events():
			if !ok {
				return ErrSFU
			}
			err = s.follow(ctx, e)
		case <-s.changed:
			err = s.company()
		case <-s.call.changed:
			err = s.reconsider(ctx)
		case o := <-s.orders:
			err = s.obeyOrder(ctx, o)
		case <-s.hours.timer.C:
			err = s.hours.pass(s)
		case <-said:
			said, s.announced = nil, true
			s.showMuted(ctx)
		case <-draining:
			draining = nil
			s.say(ivr.Draining)
			s.stand(func(st *Standing) { st.Draining = true })
		}
		if err != nil {
			return err
		}
		s.showStay()
	}
}

// begin lets the caller hear and speak as the grant has it, once they are in the room.
func (s *stay) begin(ctx context.Context) error {
	s.hours = newHours(s.began, s.decision.Grant)
	s.listen()
	if on := s.isRecorded(); on || s.standing.Recorded { // the room that they were moved from was
		s.recorded(on)
	}
	s.bar(barRule, !s.decision.Grant.Audio.Sends(), ivr.ListenOnly)
	if s.closed {
		s.closeMicrophone()
	}
	s.showMuted(ctx)
	for _, key := range s.ahead {
		if err := s.press(ctx, key); err != nil {
			return err
		}
	}
	s.ahead = nil
	err := s.company()
	s.showStay()
	return err
}

// listen lets the caller hear the room, where the grant has it.
func (s *stay) listen() {
	if s.decision.Grant.Audio.Receives() {
		s.ears.Attach(s.room.mixer, s.input)
		return
	}
	s.ears.Attach(s.node.lobby, nil)
	s.say(ivr.SpeakOnly)
}

// reconsider follows changed rules.
func (s *stay) reconsider(ctx context.Context) error {
	before := s.decision.Grant
	if err := s.rethink(ctx); err != nil {
		return err
	}
	now := s.decision.Grant
	if s.place != nil {
		s.place.setGrant(now)
	}
	if now.Audio != before.Audio {
		s.log.Info("the rules changed and narrow the call", "rule", s.decision.Rule, "audio", now.Audio)
		s.say(ivr.RulesChangedNarrow)
		if now.Audio.Receives() != before.Audio.Receives() {
			s.listen()
		}
		s.bar(barRule, !now.Audio.Sends(), ivr.ListenOnly)
		s.showMuted(ctx)
	}
	if s.standing.Recorded && now.Recording != before.Recording {
		s.bar(barRecording, !now.Recording, ivr.RecordingMuted)
		s.showMuted(ctx)
	}
	s.hours.set(s.began, now)
	return s.company()
}

// obeyOrder does what an operator wants.
func (s *stay) obeyOrder(ctx context.Context, o order) error {
	ctx, stop := context.WithTimeout(ctx, keyTimeout)
	defer stop()
	switch o.Verb {
	case Mute, Unmute:
		if o.Verb == Unmute && s.muted == forbidden {
			o.done <- ErrNotNow
			return nil
		}
		err := s.tellMuted(ctx, o.Verb == Mute)
		if err == nil || o.Verb == Mute { // a closed microphone is closed, even if the room learns of it later
			s.hostMutes(o.Verb == Mute)
		}
		o.done <- err
	case Move:
		o.done <- nil
		return &moving{RoomRef{Name: o.Room, Source: "operator", Language: s.ref.Language}}
	default:
		o.done <- ErrNotNow
	}
	return nil
}

// showStay publishes what changed of the caller's microphone and hand, and of the room for those who see it.
func (s *stay) showStay() {
	if v := s.view.Load(); v.Muted != (s.muted != unmuted) || v.Hand != s.hand {
		s.show(func(v *view) { v.Muted, v.Hand = s.muted != unmuted, s.hand })
	}
	s.stand(func(st *Standing) {
		st.Muted, st.ByHost, st.MayUnmute, st.Hand = s.muted != unmuted, s.byHost, s.muted != forbidden, s.hand
		st.Alone, st.Away, st.Banner = s.alone != nil, s.lost != nil, s.decision.Grant.Banner
	})
}

// attend does what the far end does or wants.
func (s *stay) attend(ctx context.Context, e Event) error {
	switch e.Kind {
	case Microphone:
		return s.tried(s.microphone(ctx, e.On))
	case Hand:
		if e.On != s.hand {
			return s.tried(s.toggleHand(ctx))
		}
		return nil
	}
	d, err := s.heed(e)
	if d != 0 {
		err = s.press(ctx, d)
	}
	return err
}

// company looks at who is in the room: a caller who is alone is told so, and hears a quiet sound until somebody comes.
func (s *stay) company() error {
	others, err := s.room.state(s.self)
	if err != nil {
		return err
	}
	if s.who.Bridge {
		others = s.room.souls() // rooms must not keep each other alive
	}
	s.line()
	s.hours.company(others > 0)
	switch alone := others == 0; {
	case alone && s.alone == nil:
		s.say(ivr.Alone)
		s.alone = s.loop(ivr.ComfortTone())
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
func (s *stay) follow(ctx context.Context, e SessionEvent) error {
	if s.place.follow(e) {
		return nil
	}
	switch e.Kind {
	case MutedByHost:
		s.hostMutes(e.Muted)
	case SelfChanged:
		back := s.bars&barHost != 0 && e.Participant.CanPublish
		s.bar(barHost, !e.Participant.CanPublish, ivr.MutedByHost)
		if back {
			s.showMuted(ctx) // the room has the track anew, and takes it for open
		}
		if hand := e.Participant.Attributes[handAttribute] != ""; hand != s.hand {
			if s.hand = hand; !hand {
				s.say(ivr.HandLoweredByHost)
			}
		}
	case RecordingChanged:
		s.recorded(e.Recording)
		s.showMuted(ctx)
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
		s.lost = s.loop(ivr.ReconnectTone())
	case !away && s.lost != nil:
		s.log.Info("the SFU is back")
		s.stop(&s.lost)
		s.say(ivr.LineRestored)
	}
}
