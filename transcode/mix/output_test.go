package mix

import (
	"errors"
	"math"
	"testing"

	"passerelle/transcode"
)

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// clip is a tone of n frames, and a bit.
func clip(hz, amplitude float64, samples int) []int16 {
	pcm := make([]int16, samples)
	for i := range pcm {
		pcm[i] = int16(tone(hz, amplitude)(i))
	}
	return pcm
}

func TestPlay(t *testing.T) {
	c := codec(t, "L16")
	m := New(Options{NoLeveling: true})
	defer m.Close()
	m.AddSource(&talker{sound: tone(300, 10000), on: true})
	o, e := listen(t, m, c, nil)
	_, other := listen(t, m, c, nil)
	ticks(m, 10)
	first := o.Play(clip(1000, 8000, 10*960+123), PlayOptions{Duck: 12})
	second := o.Play(clip(2000, 8000, 10*960), PlayOptions{Duck: 12})
	ticks(m, 10)
	if closed(first.Done()) {
		t.Error("done too early")
	}
	ticks(m, 1)
	if !closed(first.Done()) || closed(second.Done()) {
		t.Error("the first clip is not done in time, or the second one is")
	}
	ticks(m, 10)
	if !closed(second.Done()) {
		t.Error("the second clip is not done in time")
	}
	ticks(m, 20)
	frame := c.SampleRate / 50
	part := func(e *ear, from, to int) []int16 { return e.pcm[from*frame : to*frame] }
	for _, x := range []struct {
		name     string
		pcm      []int16
		hz, want float64
	}{
		{"room before", part(e, 2, 10), 300, -13.3},
		{"room while ducked", part(e, 13, 20), 300, -25.3},
		{"first clip", part(e, 12, 20), 1000, -15.3},
		{"second clip", part(e, 22, 30), 2000, -15.3},
		{"room after", part(e, 40, 50), 300, -13.3},
		{"room of the other one", part(other, 12, 20), 300, -13.3},
		{"first clip at the other one", part(other, 12, 20), 1000, -100},
	} {
		if got := power(x.pcm, c.SampleRate, x.hz); math.Abs(got-x.want) > 1 && (x.want > -60 || got > -60) {
			t.Errorf("%s: %.1f dBov, not %.1f", x.name, got, x.want)
		}
	}
	w := 2 * math.Pi * 2000 / float64(c.SampleRate)
	if step, at := steepest(e.pcm); float64(step) > 8000*w*w*2 {
		t.Errorf("a click of %d in frame %d", step, at/frame)
	}
}

func TestStopAndReplace(t *testing.T) {
	c := codec(t, "L16")
	m := New(Options{})
	defer m.Close()
	o, e := listen(t, m, c, nil)
	loop := o.Play(clip(500, 9000, 4800), PlayOptions{Loop: true})
	beside := o.Play(clip(700, 3000, 960), PlayOptions{})
	waits := o.Play(clip(700, 3000, 960), PlayOptions{})
	ticks(m, 1)
	waits.Stop()
	if !closed(waits.Done()) {
		t.Error("a waiting clip is not stopped at once")
	}
	ticks(m, 50)
	if closed(loop.Done()) || !closed(beside.Done()) {
		t.Fatal("a loop ended by itself, or held a clip up")
	}
	o.Hush()
	ticks(m, 5)
	if closed(loop.Done()) {
		t.Fatal("Hush ended a loop")
	}
	loop.Stop()
	loop.Stop()
	ticks(m, 5)
	if !closed(loop.Done()) || loudness(e.last(c, 0.05)) > -80 {
		t.Error("the loop was not stopped")
	}
	w := 2 * math.Pi * 500 / float64(c.SampleRate)
	if step, _ := steepest(e.pcm[c.SampleRate/10:]); float64(step) > 9000*w*w*2 {
		t.Errorf("a click of %d where it stopped", step)
	}
	a := o.Play(clip(500, 9000, 96000), PlayOptions{})
	b := o.Play(clip(600, 9000, 96000), PlayOptions{})
	ticks(m, 5)
	r := o.Play(clip(700, 9000, 960*4), PlayOptions{Replace: true})
	ticks(m, 6)
	if !closed(a.Done()) || !closed(b.Done()) || !closed(r.Done()) {
		t.Error("not replaced")
	}
	if !closed(o.Play(nil, PlayOptions{}).Done()) {
		t.Error("an empty clip is not done at once")
	}
	last := o.Play(clip(500, 9000, 96000), PlayOptions{})
	for range 3 * queueRoom {
		o.Play(clip(500, 9000, 960), PlayOptions{})
	}
	if n := len(o.queue); n > queueRoom {
		t.Errorf("%d clips wait", n)
	}
	o.Close()
	if !closed(last.Done()) || !closed(o.Play(clip(1, 1, 1), PlayOptions{}).Done()) {
		t.Error("a closed output plays")
	}
}

func TestHeldGainCodec(t *testing.T) {
	c := codec(t, "PCMA")
	m := New(Options{NoLeveling: true})
	defer m.Close()
	m.AddSource(&talker{sound: tone(300, 8000), on: true})
	o, e := listen(t, m, c, nil)
	ticks(m, 10)
	o.SetHeld(true)
	p := o.Play(clip(500, 9000, 960*3), PlayOptions{})
	ticks(m, 10)
	if e.frames != 10 || o.Chain() != "mix → 8 kHz → PCMA (held)" {
		t.Errorf("held: %d frames, %s", e.frames, o.Chain())
	}
	if !closed(p.Done()) {
		t.Error("held: time stands still")
	}
	o.SetHeld(false)
	ticks(m, 20)
	if e.frames != 30 || e.markers != 2 {
		t.Errorf("resumed: %d frames, %d markers", e.frames, e.markers)
	}
	before := power(e.last(c, 0.2), c.SampleRate, 300)
	o.SetGain(-12)
	ticks(m, 20)
	if got := power(e.last(c, 0.2), c.SampleRate, 300) - before; math.Abs(got+12) > 0.5 {
		t.Errorf("gain of -12 dB: %.1f", got)
	}
	o.SetGain(0)
	ticks(m, keepOwn+waitCalm+1)
	if got := o.Chain(); got != "mix → 8 kHz → PCMA (shared)" {
		t.Error(got)
	}
	opus := codec(t, "opus")
	e.dec = newEar(t, opus).dec
	e.scratch = make([]int16, 5760)
	if err := o.SetCodec(opus); err != nil {
		t.Fatal(err)
	}
	e.pcm = nil
	ticks(m, 20)
	if got := o.Chain(); got != "mix → opus (shared)" || e.samples != 960 || e.markers != 3 || len(e.pcm) != 20*960 {
		t.Errorf("%s, %d samples, %d markers", got, e.samples, e.markers)
	}
	if o.SetCodec(transcode.Codec{Name: "EVS"}) == nil {
		t.Error("any codec will do")
	}
	if _, err := NewOutput(transcode.Codec{Name: "EVS"}, e); err == nil {
		t.Error("any codec will do")
	}
	e.deafness = errors.New("gone")
	ticks(m, 3)
	if o.Failed() != 3 {
		t.Errorf("%d frames failed", o.Failed())
	}
	frames := e.frames
	o.Detach()
	o.Detach()
	ticks(m, 3)
	if e.frames != frames || o.Chain() != "mix → opus (off)" {
		t.Errorf("detached, and still hears: %s", o.Chain())
	}
}

func TestRemoveSource(t *testing.T) {
	m := New(Options{})
	defer m.Close()
	s := &talker{sound: tone(300, 8000), on: true}
	in := m.AddSource(s)
	o, e := listen(t, m, codec(t, "PCMU"), in)
	ticks(m, 3)
	m.Remove(in)
	m.Remove(in)
	reads := s.reads
	ticks(m, 3)
	if s.reads != reads || e.frames != 6 {
		t.Error("a removed source is read, or its output hears nothing")
	}
	o.Close()
	o.Attach(m, nil)
	ticks(m, 1)
	if e.frames != 6 {
		t.Error("a closed output hears")
	}
}

// deaf takes frames and does nothing with them.
type deaf struct{}

func (deaf) WriteFrame([]byte, int, bool) error { return nil }

// crowd is a room with so many listeners and talkers.
func crowd(tb testing.TB, c transcode.Codec, silent, talking int) *Mixer {
	tb.Helper()
	m := New(Options{})
	add := func(s Source) {
		o, err := NewOutput(c, deaf{})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(o.Close)
		o.Attach(m, m.AddSource(s))
	}
	for range silent {
		add(mute{})
	}
	sound := clip(440, 8000, 960)
	for i := range talking {
		add(&voice{pcm: sound, wait: i})
	}
	ticks(m, 10)
	return m
}

// mute is always silent; voice never.
type mute struct{}

func (mute) Level() int        { return -127 }
func (mute) Read([]int16) bool { return false }

type voice struct {
	pcm  []int16
	wait int
}

func (v *voice) Level() int { return -20 }
func (v *voice) Read(pcm []int16) bool {
	copy(pcm, v.pcm)
	return true
}

func TestTickAllocatesNothing(t *testing.T) {
	for _, name := range []string{"PCMA", "G722", "opus"} {
		m := crowd(t, codec(t, name), 20, 3)
		if n := testing.AllocsPerRun(100, m.Tick); n != 0 {
			t.Errorf("%s: %v allocations a tick", name, n)
		}
	}
}

func BenchmarkTick(b *testing.B) {
	for _, x := range []struct {
		name            string
		codec           string
		silent, talking int
	}{
		{"four PCMA one talks", "PCMA", 3, 1},
		{"1000 PCMA three talk", "PCMA", 997, 3},
		{"800 opus three talk", "opus", 797, 3},
		{"four opus one talks", "opus", 3, 1},
		{"lobby of 1000 PCMA", "PCMA", 1000, 0},
		{"one opus listener in silence", "opus", 1, 0},
	} {
		b.Run(x.name, func(b *testing.B) {
			m := crowd(b, codec(b, x.codec), x.silent, x.talking)
			b.ReportAllocs()
			for b.Loop() {
				m.Tick()
			}
		})
	}
}

func BenchmarkStage(b *testing.B) {
	sound := clip(440, 8000, 960)
	for _, c := range transcode.Codecs() {
		b.Run("line "+c.Name, func(b *testing.B) {
			l, err := newLine(c)
			if err != nil {
				b.Fatal(err)
			}
			defer l.close()
			past := history{n: len(sound)}
			for b.Loop() {
				l.encode(sound, &past, false)
			}
		})
	}
	b.Run("input", func(b *testing.B) {
		in := newInput(&voice{pcm: sound}).choose()
		for b.Loop() {
			in.read(1, 960, true)
		}
	})
	b.Run("limiter at rest", func(b *testing.B) { benchLimiter(b, 8000) })
	b.Run("limiter at work", func(b *testing.B) { benchLimiter(b, 60000) })
}

func benchLimiter(b *testing.B, amplitude float64) {
	src, dst := make([]int32, 960), make([]int16, 960)
	for i := range src {
		src[i] = int32(tone(440, amplitude)(i))
	}
	l := limiter{gain: 1}
	for b.Loop() {
		l.limit(dst, src)
	}
}
