package bridge

import (
	"context"

	"passerelle/bridge/ivr"
)

// bar is a set of those who keep a caller's microphone closed. While there is one, only they can open it again.
type bar int

const (
	barHost bar = 1 << iota
	barRule
	barRecording
)

// muteState says whether the room hears the caller, and who decided.
type muteState int

const (
	unmuted muteState = iota
	mutedByCaller
	mutedByHost
	forbidden // stay.bars says by whom: only they can open the microphone again
)

// microphone closes or opens the caller's microphone: at once here, then for the room to see.
func (s *stay) microphone(ctx context.Context, open bool) error {
	switch {
	case s.muted == forbidden && open:
		s.say(ivr.UnmuteNotAllowed)
	case !open && s.muted == unmuted:
		s.closeMicrophone()
		return s.tellMuted(ctx, true)
	case open && s.muted != unmuted:
		if err := s.tellMuted(ctx, false); err != nil {
			return err
		}
		s.muted, s.byHost = unmuted, false
		s.mouth.mute(false)
		s.say(ivr.Unmuted)
	}
	return nil
}

// closeMicrophone lets nothing of the caller through, as they want it. The room is not told yet.
func (s *stay) closeMicrophone() {
	if s.muted == unmuted {
		s.muted, s.byHost = mutedByCaller, false
		s.mouth.mute(true)
		s.say(ivr.Muted)
	}
}

// hostMutes tells the caller what a host did to their microphone.
func (s *stay) hostMutes(muted bool) {
	switch {
	case muted && s.muted == unmuted:
		s.muted, s.byHost = mutedByHost, true
		s.mouth.mute(true)
		s.say(ivr.MutedByHost)
	case !muted && s.muted != unmuted && s.muted != forbidden:
		s.muted, s.byHost = unmuted, true
		s.mouth.mute(false)
		s.say(ivr.Unmuted)
	}
}

// bar closes the caller's microphone for a reason that is not theirs, or takes that reason away; said is what they are told when it closes.
func (s *stay) bar(who bar, barred bool, said ivr.Name) {
	before := s.bars
	if s.bars |= who; !barred {
		s.bars &^= who
	}
	switch {
	case s.bars == before:
	case before == 0:
		s.muted, s.byHost = forbidden, who == barHost
		s.mouth.mute(true)
		s.say(said)
	case s.bars == 0:
		s.muted = mutedByHost
		s.say(ivr.MayUnmute)
	case barred:
		s.say(said)
	}
}

// tellMuted has the room see the microphone closed or open. While the rule's notices are spoken through it, it is open for the room.
func (s *stay) tellMuted(ctx context.Context, muted bool) error {
	if muted && !s.announced {
		return nil
	}
	return s.track.SetMuted(ctx, muted)
}

// showMuted has the room see a microphone that is closed, unless a host has taken it away: there is nothing to be seen then.
func (s *stay) showMuted(ctx context.Context) {
	if s.muted == unmuted || s.bars&barHost != 0 {
		return
	}
	ctx, stop := context.WithTimeout(ctx, keyTimeout)
	defer stop()
	if err := s.tellMuted(ctx, true); err != nil {
		s.log.Warn("the room cannot be shown that a microphone is closed", "error", err)
	}
}

// recorded follows the room's recording: the caller is told, and who may not be recorded is neither heard nor seen meanwhile.
func (s *stay) recorded(on bool) {
	s.stand(func(st *Standing) { st.Recorded = on })
	if s.place != nil {
		s.place.setRecorded(on)
	}
	switch {
	case on && s.decision.Grant.Recording:
		s.say(ivr.RecordingStarted)
	case on:
		s.bar(barRecording, true, ivr.RecordingMuted)
	default:
		s.say(ivr.RecordingStopped)
		s.bar(barRecording, false, "")
	}
}
