//go:build e2e

package phone_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/bridge/ivr"
	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/baresip"
	"passerelle/internal/testpeer/sipp"
	"passerelle/transcode"
	"passerelle/transcode/tone"
)

// TestHold holds a call and takes it back: meanwhile nobody hears anything.
func TestHold(t *testing.T) {
	t.Parallel()
	s := start(t, stack.Options{Rooms: 1}).scene(t, 0)
	p := baresip.Start(t, baresip.Options{Codec: "PCMA"})
	s.enter(p, "udp")
	p.Hold(t)
	var heard int
	stack.Eventually(t, 10*time.Second, "the room falls silent for the telephone", func() bool {
		before := heard
		heard = len(p.Heard(t))
		time.Sleep(300 * time.Millisecond)
		return before == heard
	})
	s.camille.Say(toPhone(t))
	p.Say(t, toRoom(t))
	s.silence(sentence / 2)
	if more := len(p.Heard(t)) - heard; more > 0 {
		t.Errorf("the telephone heard %d samples while it held the call", more)
	}
	s.sees("the telephone is still there", open)
	stack.Eventually(t, 10*time.Second, "baresip counts no sound", func() bool { return p.Receiving() < 20_000 })
	p.Resume(t)
	stack.Eventually(t, 10*time.Second, "the telephone gets sound again", func() bool { return p.Receiving() > 50_000 })
	s.roomHears(func(clip []int16) { p.Say(t, clip) }) // what the telephone hears after a hold, TestScripted finds out
}

// TestTones types the PIN and *6 by tones in the sound, from a telephone that knows no telephone-events.
func TestTones(t *testing.T) {
	t.Parallel()
	s := start(t, stack.Options{Rooms: 1}).scene(t, 0)
	pcm, err := tone.DTMF(8000, 80*time.Millisecond, 80*time.Millisecond, s.pin+"#")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := tone.DTMF(8000, 100*time.Millisecond, 100*time.Millisecond, "*6")
	if err != nil {
		t.Fatal(err)
	}
	pause := make([]int16, 4*8000)
	pcm = append(append(append(pcm, pause...), keys...), pause...)
	codec, _ := transcode.Lookup("PCMA", 8000)
	encoder, err := codec.NewEncoder(transcode.EncoderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	encoded := make([]byte, len(pcm))
	if _, err := encoder.Encode(encoded, pcm); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys.alaw")
	if err := os.WriteFile(path, encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	script := (&sipp.Scenario{}).
		Request("INVITE", "", "v=0\no=sipp 1 1 IN IP4 [local_ip]\ns=-\nc=IN IP4 [media_ip]\nt=0 0\nm=audio [rtpstream_audio_port] RTP/AVP 8\n").
		Provisional(100).Provisional(180).Expect(200).Request("ACK", "", "").Pause(500).Play(path, pcma, "PCMA/8000").Bye()
	sipp.Start(t, s.SIP, script.String(), sipp.Options{})
	s.sees("the telephone is in the room", open)
	s.sees("the telephone is muted", muted)
}

// TestWelcome has a caller who is alone choose a language, mistype, and hear somebody come.
func TestWelcome(t *testing.T) {
	t.Parallel()
	h := start(t, stack.Options{Rooms: 2})
	s := h.scene(t, 1) // Camille is in another room
	room, pin := stack.RoomN(0)
	p := baresip.Start(t, baresip.Options{Codec: "opus"})
	p.Call(t, h.uri("udp"))
	s.hears(p, 0, ivr.EnterPIN)
	p.Press(t, "*")
	mark := s.hearsIn(p, 0, "en", ivr.EnterPIN)
	p.Press(t, "0000000000#")
	mark = s.hearsIn(p, mark, "en", ivr.WrongPIN)
	p.Press(t, pin+"#")
	mark = s.hearsIn(p, mark, "en", ivr.Joined)
	mark = s.hearsIn(p, mark, "en", ivr.Alone)

	late := &scene{T: t, house: h, room: room, pin: pin}
	late.join()
	late.sees("the telephone is there", open)
	s.hearsClip(p, mark, "the chime", ivr.EntryChime())
	late.converse(p)
}

// TestTwoTelephones has two callers in one room: each hears the other and not itself, Camille hears both.
func TestTwoTelephones(t *testing.T) {
	t.Parallel()
	s := start(t, stack.Options{Rooms: 1}).scene(t, 0)
	one := baresip.Start(t, baresip.Options{User: "+33123456701", Codec: "PCMA"})
	two := baresip.Start(t, baresip.Options{User: "+33123456702", Codec: "opus", Encryption: "srtp-mand"})
	s.enter(one, "udp")
	two.Call(t, s.uri("udp"))
	two.Press(t, s.pin+"#")
	stack.Eventually(t, 10*time.Second, "both are in the room", func() bool { return len(s.camille.People()) >= 2 && bothOpen(s.camille.People()) })
	s.hears(two, 0, ivr.Joined)

	ownMark := len(one.Heard(t))
	s.phoneHears(two, func(clip []int16) { one.Say(t, clip) })
	s.roomHears(func(clip []int16) { one.Say(t, clip) })
	for _, clip := range [][]int16{toPhone(t), toRoom(t)} {
		if own := find(one.Heard(t)[ownMark:], clip); own.good() {
			t.Errorf("the first telephone hears itself: %v", own)
		}
	}
}

func bothOpen(people map[string]bridge.Participant) bool {
	n := 0
	for _, p := range people {
		if p.Phone && open(p) {
			n++
		}
	}
	return n == 2
}
