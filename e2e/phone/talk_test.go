//go:build e2e

package phone_test

import (
	"testing"
	"time"

	"passerelle/internal/testpeer/baresip"
)

// What is said: to the room in French, to the telephone in English.
const sentence = 3 * time.Second

func toRoom(t *testing.T) []int16  { return clip(t, "fr", sentence) }
func toPhone(t *testing.T) []int16 { return clip(t, "en", sentence) }

// converse has the telephone and Camille speak at the same time and looks for each at the other's ear.
func (s *scene) converse(p *baresip.Phone) (room, phone match) {
	s.Helper()
	s.hearing("both directions", func() bool {
		mark, from := len(p.Heard(s.T)), time.Now()
		p.Say(s.T, toRoom(s.T))
		s.camille.Say(toPhone(s.T))
		room, phone = s.atRoom(from), s.atPhone(p, mark)
		return room.good() && phone.good()
	})
	return room, phone
}

// roomHears has the telephone say something and looks for it in what Camille hears.
func (s *scene) roomHears(say func([]int16)) (m match) {
	s.Helper()
	s.hearing("the room", func() bool {
		from := time.Now()
		say(toRoom(s.T))
		m = s.atRoom(from)
		return m.good()
	})
	return m
}

// phoneHears has somebody say something and looks for it in what the telephone hears.
func (s *scene) phoneHears(p *baresip.Phone, say func([]int16)) (m match) {
	s.Helper()
	s.hearing("the telephone", func() bool {
		mark := len(p.Heard(s.T))
		say(toPhone(s.T))
		m = s.atPhone(p, mark)
		return m.good()
	})
	return m
}

// hearing tries three times: a machine that stands still for a moment tears holes into speech, and that is not what is tested here.
func (s *scene) hearing(who string, try func() bool) {
	s.Helper()
	for range 3 {
		if try() {
			return
		}
	}
	s.Fatalf("%s did not hear what was said", who)
}

// atRoom is what of the words to the room Camille has heard since.
func (s *scene) atRoom(since time.Time) match {
	s.Helper()
	return s.await("telephone → room", toRoom(s.T), func() []int16 {
		heard, _ := s.camille.Tape.Since(since)
		return heard
	})
}

// atPhone is what of the words to the telephone it has heard since the mark.
func (s *scene) atPhone(p *baresip.Phone, mark int) match {
	s.Helper()
	return s.await("room → telephone", toPhone(s.T), func() []int16 { return p.Heard(s.T)[mark:] })
}

// await waits until all of a clip is in a recording, and looks for it.
func (s *scene) await(what string, said []int16, recording func() []int16) (m match) {
	s.Helper()
	for end := time.Now().Add(sentence + 4*time.Second); time.Now().Before(end) && !m.good(); time.Sleep(250 * time.Millisecond) {
		if heard := recording(); len(heard) > len(said) {
			m = find(heard, said)
		}
	}
	s.Logf("%s: %v", what, m)
	return m
}

// silence waits for d and fails the test if Camille hears anything of the telephone meanwhile.
func (s *scene) silence(d time.Duration) {
	s.Helper()
	time.Sleep(d)
	if loud := s.camille.Tape.Level(d); loud > -60 {
		s.Errorf("Camille hears %.1f dBFS", loud)
	}
}
