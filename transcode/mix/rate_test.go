package mix

import (
	"math"
	"testing"

	"passerelle/transcode/opus"
)

// TestRoomTakesTheRateOfItsLegs lets a leg that hears more come and go. Who was there misses nothing and hears no click.
func TestRoomTakesTheRateOfItsLegs(t *testing.T) {
	const hz, amplitude = 300, 9000
	for _, x := range []struct {
		stays, comes string
		before, wide int
	}{{"PCMA", "opus", 8000, 48000}, {"PCMA", "G722", 8000, 16000}, {"G722", "opus", 16000, 48000}} {
		c := codec(t, x.stays)
		m := New(Options{NoLeveling: true})
		s := &talker{sound: tone(hz, amplitude), on: true}
		m.AddSource(s)
		shared, heard := listen(t, m, c, nil)
		self := m.AddSource(&talker{sound: tone(1, 0), level: -20, on: true}) // says nothing, loudly: its leg has a line of its own
		_, own := listen(t, m, c, self)
		check := func(when string, want int) {
			t.Helper()
			if got := m.Stats().Rate; got != want {
				t.Errorf("%s, %s: the room has %d Hz, not %d", x.stays, when, got, want)
			}
		}
		ticks(m, 50)
		check("alone", x.before)
		wide, far := listen(t, m, codec(t, x.comes), nil)
		ticks(m, 1)
		check("with "+x.comes, x.wide)
		ticks(m, 49)
		if got := power(far.last(codec(t, x.comes), 0.5), codec(t, x.comes).SampleRate, hz); math.Abs(got+14.2) > 1 {
			t.Errorf("%s hears the room at %.1f dBov", x.comes, got)
		}
		wide.Close()
		ticks(m, patience)
		check("just after it", x.wide)
		ticks(m, 200)
		check("while somebody talks", x.wide)
		loud := len(heard.pcm)
		s.on = false
		ticks(m, 5)
		check("in a pause", x.before)
		ticks(m, 95)
		again := len(heard.pcm)
		s.on = true
		ticks(m, 50)
		for name, e := range map[string]*ear{"shared": heard, "own": own} {
			if want := 50 + 50 + patience + 200 + 100 + 50; e.frames != want || e.markers != 1 {
				t.Errorf("%s, %s: %d frames in %d ticks, %d markers", x.stays, name, e.frames, want, e.markers)
			}
			w := 2 * math.Pi * hz / float64(c.SampleRate)
			for _, part := range [][]int16{e.pcm[c.SampleRate/4 : loud], e.pcm[again+c.SampleRate/4:]} {
				if step, at := steepest(part); float64(step) > amplitude*w*w*2+200 {
					t.Errorf("%s, %s: a click of %d in tick %d", x.stays, name, step, at*50/c.SampleRate)
				}
				if p := power(part, c.SampleRate, hz); math.Abs(p+14.2) > 1 {
					t.Errorf("%s, %s: the room is heard at %.1f dBov", x.stays, name, p)
				}
			}
		}
		if got := shared.Chain(); got != chain(c, "shared") {
			t.Error(got)
		}
		m.Close()
	}
}

// TestOpusRests: nothing to hear is not encoded, for a listener as for a talker, and what comes after it is heard as it is.
func TestOpusRests(t *testing.T) {
	const hz, amplitude = 400, 8000
	c := codec(t, "opus")
	m := New(Options{NoLeveling: true})
	defer m.Close()
	s := &talker{sound: tone(hz, amplitude)}
	m.AddSource(s)
	self := m.AddSource(&talker{sound: tone(1, 0), level: -20, on: true})
	_, shared := listen(t, m, c, nil)
	_, own := listen(t, m, c, self)
	for range 3 {
		s.on = true
		ticks(m, 100)
		s.on = false
		ticks(m, 100)
		for name, e := range map[string]*ear{"shared": shared, "own": own} {
			if len(e.payload) != len(opus.Silence) {
				t.Errorf("%s: %d bytes for nothing", name, len(e.payload))
			}
			part := e.last(c, 4) // 2 s of the tone, 2 s of nothing
			tone, rest := part[c.SampleRate/5:2*c.SampleRate-c.SampleRate/50], part[3*c.SampleRate:]
			if p := power(tone, c.SampleRate, hz); math.Abs(p+15.3) > 1 {
				t.Errorf("%s: heard at %.1f dBov", name, p)
			}
			if l := loudness(rest); l > -80 {
				t.Errorf("%s: nothing is heard at %.0f dBov", name, l)
			}
			w := 2 * math.Pi * hz / float64(c.SampleRate)
			if step, at := steepest(part[c.SampleRate/10 : 2*c.SampleRate-c.SampleRate/50]); float64(step) > amplitude*w*w*8 {
				t.Errorf("%s: a click of %d after %d ms", name, step, 100+at/48)
			}
		}
	}
}

// TestNothingIsEncodedOnce: a codec without memory says nothing with the same payload time and again, and the right one.
func TestNothingIsEncodedOnce(t *testing.T) {
	for _, name := range []string{"PCMA", "PCMU", "L16", "G722"} {
		c := codec(t, name)
		m := New(Options{NoLeveling: true})
		s := &talker{sound: tone(400, 8000), on: true}
		m.AddSource(s)
		_, e := listen(t, m, c, nil)
		ticks(m, 20)
		s.on = false
		ticks(m, 60)
		if l := loudness(e.last(c, 0.5)); l > -70 {
			t.Errorf("%s: nothing is heard at %.0f dBov", name, l)
		}
		s.on = true
		ticks(m, 20)
		if p := power(e.last(c, 0.3), c.SampleRate, 400); math.Abs(p+15.3) > 1 {
			t.Errorf("%s: heard at %.1f dBov again", name, p)
		}
		m.Close()
	}
}
