package mix

import (
	"bytes"
	"math"
	"testing"

	"go.uber.org/goleak"

	"passerelle/transcode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const rate = transcode.Rate

// talker is a source made of a function of time in samples; nil or false: silence.
type talker struct {
	at    int
	sound func(at int) float64
	on    bool
	reads int
	level int // reported; 0: measured
}

func tone(hz, amplitude float64) func(int) float64 {
	return func(at int) float64 { return amplitude * math.Sin(2*math.Pi*hz*float64(at)/rate) }
}

func (s *talker) Level() int {
	s.at += transcode.FrameSamples
	if !s.on {
		return -127
	}
	if s.level != 0 {
		return s.level
	}
	pcm := make([]int16, transcode.FrameSamples)
	s.fill(pcm)
	return int(loudness(pcm))
}

func (s *talker) fill(pcm []int16) {
	for i := range pcm {
		pcm[i] = int16(s.sound(s.at + i*transcode.FrameSamples/len(pcm)))
	}
}

func (s *talker) Read(pcm []int16) bool {
	s.reads++
	if s.on {
		s.fill(pcm)
	}
	return s.on
}

// ear is a far end: it decodes what it gets.
type ear struct {
	t        testing.TB
	dec      transcode.Decoder
	scratch  []int16
	pcm      []int16 // at the codec's rate
	frames   int
	markers  int
	payload  []byte
	samples  int
	deafness error
}

func (e *ear) WriteFrame(payload []byte, samples int, marker bool) error {
	if e.deafness != nil {
		return e.deafness
	}
	e.frames++
	e.samples = samples
	e.payload = append(e.payload[:0], payload...)
	if marker {
		e.markers++
	}
	if e.dec != nil {
		n, err := e.dec.Decode(e.scratch, payload)
		if err != nil {
			e.t.Error(err)
		}
		e.pcm = append(e.pcm, e.scratch[:n]...)
	}
	return nil
}

func newEar(t testing.TB, codec transcode.Codec) *ear {
	t.Helper()
	dec, err := codec.NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	return &ear{t: t, dec: dec, scratch: make([]int16, codec.SampleRate*120/1000)}
}

// listen makes an output of a mixer with a far end.
func listen(t testing.TB, m *Mixer, codec transcode.Codec, self *Input) (*Output, *ear) {
	t.Helper()
	e := newEar(t, codec)
	o, err := NewOutput(codec, e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	o.Attach(m, self)
	return o, e
}

func codec(t testing.TB, name string) transcode.Codec {
	t.Helper()
	for _, c := range transcode.Codecs() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no codec %s", name)
	return transcode.Codec{}
}

func ticks(m *Mixer, n int) {
	for range n {
		m.Tick()
	}
}

// power is the level of one frequency in PCM, dBov.
func power(pcm []int16, sampleRate int, hz float64) float64 {
	var re, im float64
	for i, v := range pcm {
		w := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(pcm)))
		s, c := math.Sincos(2 * math.Pi * hz * float64(i) / float64(sampleRate))
		re += float64(v) * c * w
		im += float64(v) * s * w
	}
	a := 4 * math.Hypot(re, im) / float64(len(pcm))
	return 20*math.Log10(a/32768+1e-9) - 3
}

// last is the end of what was heard, in seconds.
func (e *ear) last(c transcode.Codec, seconds float64) []int16 {
	return e.pcm[len(e.pcm)-int(seconds*float64(c.SampleRate)):]
}

func TestNobodyHearsHimself(t *testing.T) {
	for _, c := range transcode.Codecs() {
		m := New(Options{})
		a, b := &talker{sound: tone(440, 16000), on: true}, &talker{sound: tone(1000, 16000), on: true}
		loud := &talker{sound: tone(1700, 30000), on: true} // with it, the limiter is at work
		inA, inB := m.AddSource(a), m.AddSource(b)
		m.AddSource(loud)
		_, earA := listen(t, m, c, inA)
		_, earB := listen(t, m, c, inB)
		_, earC := listen(t, m, c, nil)
		ticks(m, 100)
		all := earC.last(c, 1)
		for _, x := range []struct {
			name         string
			heard        []int16
			self, others float64
		}{{"a", earA.last(c, 1), 440, 1000}, {"b", earB.last(c, 1), 1000, 440}} {
			own := power(x.heard, c.SampleRate, x.self) - power(all, c.SampleRate, x.self)
			other := power(x.heard, c.SampleRate, x.others)
			if own > -50 {
				t.Errorf("%s %d: %s hears himself at %.1f dB", c.Name, c.ClockRate, x.name, own)
			}
			if other < -25 {
				t.Errorf("%s %d: %s hears the other one at %.1f dBov only", c.Name, c.ClockRate, x.name, other)
			}
		}
		m.Close()
	}
}

func TestListenersShare(t *testing.T) {
	c := codec(t, "PCMA")
	m := New(Options{})
	defer m.Close()
	in := m.AddSource(&talker{sound: tone(440, 8000), on: true})
	var ears []*ear
	for range 50 {
		_, e := listen(t, m, c, nil)
		ears = append(ears, e)
	}
	_, opus := listen(t, m, codec(t, "opus"), nil)
	speaker, own := listen(t, m, c, in)
	ticks(m, 10)
	if s := m.Stats(); s != (Stats{Inputs: 1, Read: 1, Outputs: 52, Own: 1, Rate: 48000}) {
		t.Errorf("stats %+v", s)
	}
	if len(m.lines) != 2 {
		t.Errorf("%d shared lines for 2 codecs", len(m.lines))
	}
	for i, e := range ears {
		if e.frames != 10 || e.samples != 160 || e.markers != 1 || !bytes.Equal(e.payload, ears[0].payload) {
			t.Fatalf("listener %d: %d frames of %d samples, %d markers", i, e.frames, e.samples, e.markers)
		}
	}
	if opus.samples != 960 {
		t.Errorf("opus: %d samples in a frame", opus.samples)
	}
	if bytes.Equal(own.payload, ears[0].payload) {
		t.Error("the talker has the listeners' payload")
	}
	if got := speaker.Chain(); got != "mix → 8 kHz → PCMA (own)" {
		t.Error(got)
	}
}

func TestSilentRoomSendsEveryTick(t *testing.T) {
	m := New(Options{})
	defer m.Close()
	_, e := listen(t, m, codec(t, "PCMU"), nil)
	ticks(m, 30)
	if e.frames != 30 || loudness(e.pcm) > -80 {
		t.Errorf("%d frames at %.0f dBov", e.frames, loudness(e.pcm))
	}
}

// sinad compares what was heard with what should have been, after the given time: dB, and the largest difference in samples.
func sinad(want, got []int16, from int) (dB float64, worst int) {
	var signal, noise float64
	for i := from; i < min(len(want), len(got)); i++ {
		d := int(got[i]) - int(want[i])
		signal += float64(want[i]) * float64(want[i])
		noise += float64(d) * float64(d)
		worst = max(worst, d, -d)
	}
	return 10 * math.Log10((signal+1)/(noise+1)), worst
}

// TestNoClickBetweenSharedAndOwn lets a leg say something now and then, and compares what it hears with what a leg hears that always listens.
func TestNoClickBetweenSharedAndOwn(t *testing.T) {
	for _, x := range []struct {
		codec string
		dB    float64
		worst int
	}{{"PCMA", 100, 1}, {"L16", 100, 1}, {"G722", 38, 800}, {"opus", 28, 900}} {
		c := codec(t, x.codec)
		room, control := New(Options{NoLeveling: true}), New(Options{NoLeveling: true})
		speech := func(at int) float64 { // like a voice: harmonics that come and go, and a pause now and then
			env := max(0, 0.4+0.6*math.Sin(2*math.Pi*float64(at)/rate))
			return env * (tone(180, 6000)(at) + tone(540, 3000)(at) + tone(1260, 1500)(at))
		}
		room.AddSource(&talker{sound: speech, on: true})
		control.AddSource(&talker{sound: speech, on: true})
		self := &talker{sound: tone(700, 6000)}
		in := room.AddSource(self)
		o, heard := listen(t, room, c, in)
		listen(t, room, c, nil) // keeps the shared line busy
		_, want := listen(t, control, c, nil)
		switches, was := 0, "?"
		for i := range 800 {
			self.on = i%200 >= 50 && i%200 < 80
			room.Tick()
			control.Tick()
			if now := o.Chain(); now != was {
				switches, was = switches+1, now
			}
		}
		if switches < 8 {
			t.Errorf("%s: only %d switches", c.Name, switches)
		}
		dB, worst := sinad(want.pcm, heard.pcm, 0)
		t.Logf("%s: %.1f dB, worst difference %d, %d switches", c.Name, dB, worst, switches)
		if dB < x.dB || worst > x.worst {
			t.Errorf("%s: what is heard differs by %.1f dB, at worst by %d", c.Name, dB, worst)
		}
		room.Close()
		control.Close()
	}
}

// steepest is the largest second difference: a click shows there first.
func steepest(pcm []int16) (step, at int) {
	for i := 2; i < len(pcm); i++ {
		d := int(pcm[i]) - 2*int(pcm[i-1]) + int(pcm[i-2])
		if max(d, -d) > step {
			step, at = max(d, -d), i
		}
	}
	return step, at
}

func TestMovingMakesNoGapAndNoClick(t *testing.T) {
	c := codec(t, "L16")
	lobby, a, b := New(Options{}), New(Options{NoLeveling: true}), New(Options{NoLeveling: true})
	a.AddSource(&talker{sound: tone(300, 9000), on: true, at: 13})
	b.AddSource(&talker{sound: tone(400, 9000), on: true, at: 77})
	o, e := listen(t, lobby, c, nil)
	for i := range 120 {
		switch i {
		case 30, 90:
			o.Attach(a, nil)
		case 60:
			o.Attach(b, nil)
		}
		for _, m := range []*Mixer{lobby, a, b} {
			m.Tick()
		}
	}
	if e.frames != 120 || e.markers != 1 {
		t.Errorf("%d frames in 120 ticks, %d markers", e.frames, e.markers)
	}
	w := 2 * math.Pi * 400 / float64(c.SampleRate)
	if step, at := steepest(e.pcm[c.SampleRate/5:]); float64(step) > 9000*w*w*3 {
		t.Errorf("a click of %d at sample %d", step, at)
	}
	if p := power(e.last(c, 0.5), c.SampleRate, 300); p < -15 {
		t.Errorf("the new room is heard at %.0f dBov", p)
	}
}

func TestFortyTalkers(t *testing.T) {
	c := codec(t, "L16")
	m := New(Options{Loudest: 40, NoLeveling: true})
	defer m.Close()
	for i := range 40 {
		m.AddSource(&talker{sound: tone(100+37*float64(i), 20000), on: true, at: i * 101})
	}
	_, e := listen(t, m, c, nil)
	var peak int32
	for range 100 {
		m.Tick()
		for i, v := range m.program {
			if (v < 0) != (m.sum[i] < 0) && v != 0 && m.sum[i] != 0 {
				t.Fatal("the sum has wrapped")
			}
			peak = max(peak, int32(v), -int32(v))
		}
		// Gain moves without steps: the ratio of two neighbours follows the sum's.
		for i := 1; i < len(m.program); i++ {
			if max(m.sum[i], -m.sum[i]) > 60000 && max(m.sum[i-1], -m.sum[i-1]) > 60000 {
				g, h := float64(m.program[i])/float64(m.sum[i]), float64(m.program[i-1])/float64(m.sum[i-1])
				if math.Abs(g-h) > 0.05 {
					t.Fatalf("gain steps from %.3f to %.3f", h, g)
				}
			}
		}
	}
	if peak >= 32767 || peak < 25000 {
		t.Errorf("the peak is %d", peak)
	}
	if l := loudness(e.last(c, 1)); l < -20 {
		t.Errorf("40 talkers are heard at %.0f dBov", l)
	}
}

func TestLimiterIsTransparentBelowTheCeiling(t *testing.T) {
	l := limiter{gain: 1}
	src, dst := make([]int32, transcode.FrameSamples), make([]int16, transcode.FrameSamples)
	for i := range src {
		src[i] = int32(i*61%58000 - 29000)
	}
	l.limit(dst, src)
	for i, v := range src {
		if int32(dst[i]) != v {
			t.Fatalf("sample %d: %d became %d", i, v, dst[i])
		}
	}
}

func TestOnlyTheLoudestAreRead(t *testing.T) {
	m := New(Options{})
	all := make([]*talker, 20)
	for i := range all {
		all[i] = &talker{sound: tone(200, 3000), on: true, level: -40}
		m.AddSource(all[i])
	}
	ticks(m, 50)
	read := func() (n int) {
		for _, s := range all {
			if s.reads > 0 {
				n++
			}
		}
		return n
	}
	if n := read(); n != 6 {
		t.Fatalf("%d sources of the same level were read", n)
	}
	// A little louder does not cut anybody's word; much louder gets in.
	all[15].level = -37
	ticks(m, 50)
	if all[15].reads > 0 {
		t.Error("3 dB were enough")
	}
	all[15].level = -20
	ticks(m, 3)
	if all[15].reads == 0 || m.Stats().Read != 6 {
		t.Errorf("20 dB were not enough, or nobody left: %+v", m.Stats())
	}
	// A pause within a sentence does not lose the place.
	reads := all[15].reads
	all[15].on = false
	ticks(m, 20)
	if all[15].reads != reads+20 {
		t.Error("a short pause lost the place")
	}
	for _, s := range all {
		s.on = false
	}
	ticks(m, 200)
	if s := m.Stats(); s.Read != 0 {
		t.Errorf("silent sources are read: %+v", s)
	}
}

func TestNoiseIsNoVoice(t *testing.T) {
	m := New(Options{})
	noise := &talker{sound: tone(333, 60), on: true, level: -54}
	m.AddSource(noise)
	ticks(m, 3000)
	if s := m.Stats(); s.Read != 0 {
		t.Error("a minute of line noise counts as a voice")
	}
	noise.level = -30
	ticks(m, 1)
	if s := m.Stats(); s.Read != 1 {
		t.Error("a voice above the noise is not heard at once")
	}
}

func TestLeveling(t *testing.T) {
	for _, x := range []struct{ comes, least, most float64 }{{-38, -28, -20}, {-23, -25, -21}, {-12, -24, -18}, {-45, -34, -32}} {
		amplitude := 32768 * math.Pow(10, x.comes/20) * math.Sqrt2
		// A talker: half a second of sound, half a second of a little noise.
		sound := func(at int) float64 {
			if at/(rate/2)%2 == 0 {
				return tone(300, amplitude)(at)
			}
			return tone(2000, 30)(at)
		}
		m := New(Options{})
		m.AddSource(&talker{sound: sound, on: true})
		c := codec(t, "L16")
		_, e := listen(t, m, c, nil)
		ticks(m, 1500)
		end := e.last(c, 1) // half of it speech, then a pause
		p := power(end[:len(end)*2/5], c.SampleRate, 300)
		n := power(end[len(end)*4/5:], c.SampleRate, 2000)
		if p < x.least || p > x.most {
			t.Errorf("speech at %.0f dBov becomes %.1f", x.comes, p)
		}
		if came := 20*math.Log10(30./32768) - 3; n > came+1.5 {
			t.Errorf("speech at %.0f dBov: noise in pauses at %.1f dBov becomes %.1f", x.comes, came, n)
		}
		m.Close()
	}
}
