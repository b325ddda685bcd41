//go:build e2e

package phone_test

import (
	"context"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/bridge/ivr"
	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/baresip"
	"passerelle/transcode"
	"passerelle/webrtc/livekit/lksig"
)

// admin has the host do something.
func (s *scene) host(do func(ctx context.Context) error) {
	s.Helper()
	ctx, stop := context.WithTimeout(s.Context(), 10*time.Second)
	defer stop()
	if err := do(ctx); err != nil {
		s.Fatal(err)
	}
}

// TestMute mutes by keypad, by host, and by taking the microphone away: the room sees it, hears nothing, and the caller is told.
func TestMute(t *testing.T) {
	t.Parallel()
	s := start(t, stack.Options{Rooms: 1}).scene(t, 0)
	p := baresip.Start(t, baresip.Options{Codec: "PCMA"})
	s.enter(p, "udp")

	mark := len(p.Heard(t))
	p.Press(t, "*6")
	guest := s.sees("the telephone is muted", muted)
	mark = s.hears(p, mark, ivr.Muted)
	p.Say(t, toRoom(t))
	s.silence(sentence / 2)

	p.Press(t, "*6")
	s.sees("the telephone is not muted any more", open)
	mark = s.hears(p, mark, ivr.Unmuted)
	s.roomHears(func(clip []int16) { p.Say(t, clip) })

	// The host mutes; the caller may come back.
	s.host(func(ctx context.Context) error {
		return s.admin.Mute(ctx, s.room, guest.Identity, guest.Tracks[0].SID, true)
	})
	s.sees("the host has muted the telephone", muted)
	mark = s.hears(p, mark, ivr.MutedByHost)
	p.Say(t, toRoom(t))
	s.silence(sentence / 2)
	p.Press(t, "*6")
	s.sees("the telephone is back", open)
	mark = s.hears(p, mark, ivr.Unmuted)

	// The host takes the microphone away, and gives it back.
	may := func(can bool) {
		s.host(func(ctx context.Context) error {
			return s.admin.Update(ctx, s.room, guest.Identity, nil, &lksig.ParticipantPermission{CanPublish: can, CanPublishData: true, CanUpdateMetadata: true})
		})
	}
	may(false)
	mark = s.hears(p, mark, ivr.MutedByHost)
	p.Press(t, "*6")
	mark = s.hears(p, mark, ivr.UnmuteNotAllowed)
	may(true)
	mark = s.hears(p, mark, ivr.MayUnmute)
	p.Press(t, "*6")
	s.sees("the telephone speaks again", open)
	s.hears(p, mark, ivr.Unmuted)
	s.roomHears(func(clip []int16) { p.Say(t, clip) })
}

// TestHand raises and lowers the hand by keypad, and has a host lower it.
func TestHand(t *testing.T) {
	t.Parallel()
	s := start(t, stack.Options{Rooms: 1}).scene(t, 0)
	p := baresip.Start(t, baresip.Options{Codec: "G722"})
	s.enter(p, "udp")
	down := func(g bridge.Participant) bool { return !handUp(g) }

	mark := len(p.Heard(t))
	p.Press(t, "*9")
	guest := s.sees("the hand is up", handUp)
	if _, err := time.Parse(time.RFC3339, guest.Attributes["handRaisedAt"]); err != nil {
		t.Error(err)
	}
	mark = s.hears(p, mark, ivr.HandUp)
	p.Press(t, "*9")
	s.sees("the hand is down", down)
	mark = s.hears(p, mark, ivr.HandDown)

	p.Press(t, "*9")
	s.sees("the hand is up again", handUp)
	mark = s.hears(p, mark, ivr.HandUp)
	s.host(func(ctx context.Context) error {
		return s.admin.Update(ctx, s.room, guest.Identity, map[string]string{"handRaisedAt": ""}, nil)
	})
	s.sees("the host has lowered the hand", down)
	mark = s.hears(p, mark, ivr.HandLoweredByHost)
	p.Press(t, "*9")
	s.sees("the hand is up after that", handUp)
	s.hears(p, mark, ivr.HandUp)
}

// TestOtherKeys turns the volume, counts, asks for help, and types what means nothing.
func TestOtherKeys(t *testing.T) {
	t.Parallel()
	s := start(t, stack.Options{Rooms: 1}).scene(t, 0)
	p := baresip.Start(t, baresip.Options{Codec: "PCMU"})
	s.enter(p, "udp")

	speak := func(clip []int16) { s.camille.Say(clip) }
	usual := s.phoneHears(p, speak)
	mark := len(p.Heard(t))
	for range 2 {
		p.Press(t, "*4")
		mark = s.hears(p, mark, ivr.VolumeDown)
	}
	if quieter := s.phoneHears(p, speak); quieter.level > usual.level-4 || quieter.level < usual.level-8 {
		t.Errorf("two steps quieter are %.1f dB", quieter.level-usual.level)
	}
	mark = len(p.Heard(t))
	p.Press(t, "*5")
	mark = s.hears(p, mark, ivr.VolumeUp)
	p.Press(t, "*2")
	mark = s.hears(p, mark, ivr.CountBefore)
	p.Press(t, "*8")
	mark = s.hears(p, mark, ivr.KeysHint)
	p.Press(t, "*1")
	s.hearsClip(p, mark, "help", prompts(t).Clip("fr", ivr.KeysHelp)[:2*transcode.Rate])
	s.sees("the telephone is neither muted nor raises a hand", func(g bridge.Participant) bool { return open(g) && !handUp(g) })
}
