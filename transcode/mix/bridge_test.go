package mix

import (
	"math"
	"testing"
)

// hears is how much of a tone is in a sound, as its amplitude.
func hears(pcm []int16, hz float64) float64 {
	var re, im float64
	for i, v := range pcm {
		s, c := math.Sincos(2 * math.Pi * hz * float64(i) / rate)
		re, im = re+float64(v)*c, im+float64(v)*s
	}
	return 2 * math.Hypot(re, im) / float64(max(len(pcm), 1))
}

// Rooms that are joined with this one are heard by its people, and not by each other: no sound can go round.
func TestBridgesDoNotHearEachOther(t *testing.T) {
	m := New(Options{NoLeveling: true})
	defer m.Close()
	opus := codec(t, "opus")
	m.AddSource(&talker{sound: tone(500, 4000), on: true})
	first := m.AddBridge(&talker{sound: tone(1100, 4000), on: true})
	second := m.AddBridge(&talker{sound: tone(1700, 4000), on: true})
	_, person := listen(t, m, opus, nil)
	a, one := listen(t, m, opus, first)
	a.SetBridge()
	b, two := listen(t, m, opus, second)
	b.SetBridge()
	for range 100 {
		m.Tick()
	}
	for name, c := range map[string]struct {
		ear  *ear
		want [3]bool
	}{
		"somebody of the room": {person, [3]bool{true, true, true}},
		"the first bridge":     {one, [3]bool{true, false, false}},
		"the second bridge":    {two, [3]bool{true, false, false}},
	} {
		pcm := c.ear.pcm[len(c.ear.pcm)/2:]
		for i, hz := range []float64{500, 1100, 1700} {
			if got := hears(pcm, hz); c.want[i] && got < 2000 || !c.want[i] && got > 100 {
				t.Errorf("%s hears %v Hz with %.0f", name, hz, got)
			}
		}
	}
	if n := testing.AllocsPerRun(50, m.Tick); n != 0 {
		t.Errorf("%v allocations a tick", n)
	}
}

// metered is a far end that wants to know levels.
type metered struct {
	ear
	levels []int
}

func (e *metered) Meter(dBov int) { e.levels = append(e.levels, dBov) }

func TestMeter(t *testing.T) {
	m := New(Options{NoLeveling: true})
	defer m.Close()
	s := &talker{sound: tone(500, 3277)}
	self := m.AddSource(&talker{sound: tone(900, 16000), on: true})
	shared, own := &metered{}, &metered{}
	for e, in := range map[*metered]*Input{shared: nil, own: self} {
		o, err := NewOutput(codec(t, "opus"), e)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		o.Attach(m, in)
	}
	for i := range 100 {
		s.on = i >= 50
		if i == 0 {
			m.AddSource(s)
		}
		m.Tick()
	}
	if n := len(own.levels); n != 100 || own.levels[40] > -90 || own.levels[90] < -26 || own.levels[90] > -20 {
		t.Errorf("levels of the room without oneself: %v", own.levels)
	}
	if shared.levels[40] < -12 {
		t.Errorf("levels of the room: %v", shared.levels)
	}
}
