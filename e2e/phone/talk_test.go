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
	mark, from := len(p.Heard(s.T)), time.Now()
	p.Say(s.T, toRoom(s.T))
	s.camille.Say(toPhone(s.T))
	return s.roomHears(from), s.phoneHears(p, mark)
}

// roomHears looks for what is said to the room in what Camille has heard since.
func (s *scene) roomHears(since time.Time) match {
	s.Helper()
	return s.await("telephone → room", toRoom(s.T), func() []int16 {
		heard, _ := s.camille.Tape.Since(since)
		return heard
	})
}

// phoneHears looks for what is said to the telephone in what it has heard since the mark.
func (s *scene) phoneHears(p *baresip.Phone, mark int) match {
	s.Helper()
	return s.await("room → telephone", toPhone(s.T), func() []int16 { return p.Heard(s.T)[mark:] })
}

// await waits until all of a clip is in a recording.
func (s *scene) await(what string, said []int16, recording func() []int16) (m match) {
	s.Helper()
	for end := time.Now().Add(12 * time.Second); time.Now().Before(end) && !m.good(); time.Sleep(250 * time.Millisecond) {
		if heard := recording(); len(heard) > len(said) {
			m = find(heard, said)
		}
	}
	s.Logf("%s: %v", what, m)
	if !m.good() {
		s.Errorf("%s: it was not heard", what)
	}
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
