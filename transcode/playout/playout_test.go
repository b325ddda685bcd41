package playout

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"passerelle/media"
	"passerelle/transcode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ms = time.Millisecond

// outage holds back what is sent in a time, and lets it go at its end.
func outage(from, to time.Duration) func(time.Duration) time.Duration {
	return func(sent time.Duration) time.Duration {
		if sent >= from && sent < to {
			return to - sent
		}
		return 0
	}
}

// TestDelay sends speech through links, and measures how long it takes and how well it is found again.
func TestDelay(t *testing.T) {
	opus := transcode.EncoderOptions{Bitrate: 32000, Complexity: 5, FEC: true, Loss: 20}
	for _, x := range []struct {
		name      string
		codec     string
		link      link
		p50, p95  time.Duration // at most
		sure      float64       // correlation with what was said, at least
		concealed time.Duration // at most
	}{
		{"clean", "PCMA", link{phase: 5 * ms}, 22 * ms, 25 * ms, .95, 0},
		{"clean, in step with the ticks", "PCMA", link{}, 22 * ms, 25 * ms, .95, 0},
		{"clean, just after the ticks", "PCMA", link{phase: 19500 * time.Microsecond}, 25 * ms, 25 * ms, .95, 0},
		{"clean", "G722", link{phase: 9 * ms}, 22 * ms, 25 * ms, .9, 0},
		{"clean", "opus", link{phase: 9 * ms}, 22 * ms, 25 * ms, .85, 0},
		{"packets of 60 ms", "PCMA", link{packet: 60 * ms, phase: 3 * ms}, 25 * ms, 25 * ms, .95, 0},
		{"packets of 10 ms", "PCMU", link{packet: 10 * ms, phase: 3 * ms}, 30 * ms, 30 * ms, .95, 0},
		{"packets of 2.5 ms", "opus", link{packet: 2500 * time.Microsecond, encoder: opus}, 45 * ms, 45 * ms, .8, 0},
		{"jitter of 20 ms, loss of 2 %", "PCMA", link{jitter: 10 * ms, loss: .02}, 70 * ms, 80 * ms, .9, 1500 * ms},
		{"jitter of 40 ms, loss of 2 %, duplicates", "PCMA", link{jitter: 20 * ms, loss: .02, twice: .05}, 70 * ms, 80 * ms, .9, 1500 * ms},
		{"jitter of 40 ms, loss of 2 %", "opus", link{jitter: 20 * ms, loss: .02, encoder: opus}, 70 * ms, 80 * ms, .8, 1500 * ms},
		{"loss of 30 %", "PCMA", link{jitter: 5 * ms, loss: .3}, 45 * ms, 45 * ms, .7, 10 * time.Second},
		{"a stall of 500 ms", "PCMA", link{stall: outage(10*time.Second, 10500*ms)}, 25 * ms, 100 * ms, .9, 200 * ms},
		{"a clock 200 ppm fast", "PCMA", link{ppm: 200}, 25 * ms, 45 * ms, .9, 0},
		{"a clock 200 ppm slow", "PCMA", link{ppm: -200}, 25 * ms, 45 * ms, .9, 100 * ms},
	} {
		t.Run(x.codec+" "+x.name, func(t *testing.T) {
			c := codec(t, x.codec)
			x.link.from = 5 * time.Second
			if x.codec == "opus" && x.link.encoder == (transcode.EncoderOptions{}) {
				x.link.encoder = opus
			}
			h := run(t, c, talk(t, c.SampleRate, 30), x.link)
			_, sure := delaysOf(talk(t, transcode.Rate, 30), h.pcm)
			t.Logf("%v, correlation %.3f", h, mean(sure))
			if p := percentile(h.delays, 50); p > x.p50 {
				t.Errorf("p50 %v", p)
			}
			if p := percentile(h.delays, 95); p > x.p95 {
				t.Errorf("p95 %v", p)
			}
			if len(sure) < 20 || mean(sure) < x.sure {
				t.Errorf("correlation %.3f over %d pieces", mean(sure), len(sure))
			}
			if h.stats.Concealed > x.concealed {
				t.Errorf("concealed %v", h.stats.Concealed)
			}
			if x.link.twice > 0 && h.stats.Duplicate == 0 {
				t.Error("no duplicate was counted")
			}
		})
	}
}

// TestDriftForAnHour runs an hour with a clock that is off. The delay stays what it is.
func TestDriftForAnHour(t *testing.T) {
	c := codec(t, "PCMU")
	for _, ppm := range []float64{200, -200} {
		zero, now := time.Unix(0, 0), time.Duration(0)
		b, err := New(c, Config{Now: func() time.Time { return zero.Add(now) }})
		if err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, 160)
		for i := range payload {
			payload[i] = byte(0x80 + 0x70*(i/10%2)) // 400 Hz
		}
		f := media.Frame{Codec: &c, Payload: payload}
		frame := make([]int16, 160)
		var least, most time.Duration = time.Hour, 0
		step := time.Duration(float64(20*ms) * (1 - ppm/1e6))
		next := step
		for ; now < time.Hour; now += 20 * ms {
			for ; next <= now; next += step {
				f.Arrival = zero.Add(next)
				b.WriteFrame(&f)
				f.Sequence++
				f.Timestamp += 160
			}
			b.Read(frame)
			if now > 10*time.Second && now%time.Second == 0 {
				d := b.Stats().Delay
				least, most = min(least, d), max(most, d)
			}
		}
		s := b.Stats()
		b.Close()
		t.Logf("%+.0f ppm: delay %v to %v, %+v", ppm, least, most, s)
		if most > 45*ms || math.Abs(s.Drift-ppm) > 5 || s.Concealed > 100*ms || s.Dropped > 0 {
			t.Errorf("%+.0f ppm: delay up to %v, %+v", ppm, most, s)
		}
	}
}

// TestSenderAtFourTimesTheRate sends 80 ms of sound every 20 ms.
func TestSenderAtFourTimesTheRate(t *testing.T) {
	c := codec(t, "PCMA")
	h := run(t, c, talk(t, c.SampleRate, 40), link{ppm: 750000, from: 3 * time.Second})
	if p := percentile(h.delays, 99); p > time.Second || h.stats.Dropped == 0 {
		t.Errorf("delay up to %v, %+v", p, h.stats)
	}
}

func TestUnreadStreamIsHeardFromItsPresent(t *testing.T) {
	c := codec(t, "PCMA")
	h := run(t, c, talk(t, c.SampleRate, 20), link{
		phase: 5 * ms, from: 11 * time.Second, readGaps: func(at time.Duration) bool { return at > 5*time.Second && at < 10*time.Second },
	})
	if p := percentile(h.delays, 95); p > 45*ms {
		t.Errorf("delay %v after a time without reading", p)
	}
}

// TestHostileStreams writes anything, in any order. Nothing must fail, nor grow.
func TestHostileStreams(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	all := transcode.Codecs()
	now := time.Unix(0, 0)
	b, err := New(all[0], Config{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	bad := transcode.Codec{Name: "x", ClockRate: 8000, SampleRate: 8000}
	frame := make([]int16, frame20)
	for i := range 20000 {
		f := media.Frame{Codec: &all[rng.IntN(len(all))], Payload: make([]byte, rng.IntN(1600)), Sequence: uint16(i), Timestamp: uint32(i * 960), Arrival: now}
		switch rng.IntN(8) {
		case 0:
			f.Sequence = uint16(rng.Uint32())
		case 1:
			f.Timestamp = rng.Uint32()
		case 2:
			f.Codec = &bad
		case 3:
			f.Sequence -= uint16(rng.IntN(200))
		}
		for j := range f.Payload {
			f.Payload[j] = byte(rng.Uint32())
		}
		b.WriteFrame(&f)
		if i%2 == 0 {
			b.Read(frame)
		}
		now = now.Add(time.Duration(rng.IntN(20)) * ms)
	}
	b.WriteFrame(&media.Frame{})
	if len(b.voices) > maxVoices || cap(b.fifo) > fifoSize {
		t.Errorf("%d decoders, %d samples", len(b.voices), cap(b.fifo))
	}
}

func TestNewStreamBeginsAnew(t *testing.T) {
	c := codec(t, "PCMU")
	now := time.Unix(0, 0)
	b, err := New(c, Config{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	frame := make([]int16, frame20)
	f := media.Frame{Codec: &c, Payload: make([]byte, 160), Sequence: 100, Timestamp: 5}
	heard := func(n int) (sound int) {
		for range n {
			f.Arrival = now
			b.WriteFrame(&f)
			f.Sequence++
			f.Timestamp += 160
			if b.Read(frame) {
				sound++
			}
			now = now.Add(20 * ms)
		}
		return sound
	}
	heard(100)
	f.Sequence, f.Timestamp = 40000, 1<<31
	if n := heard(100); n < 95 || b.Stats().Restarts != 1 {
		t.Errorf("%d of 100 frames of the second stream, %+v", n, b.Stats())
	}
	f.Sequence -= 300 // ancient
	b.WriteFrame(&f)
	f.Sequence += 300
	if s := b.Stats(); s.Late != 1 || s.Restarts != 1 {
		t.Errorf("an ancient packet: %+v", s)
	}
}

func TestLevel(t *testing.T) {
	for _, x := range []struct {
		codec   string
		payload []byte
		given   int
		want    int
	}{
		{"opus", []byte{1, 2, 3}, noLevel, silence},
		{"opus", make([]byte, 100), noLevel, -25},
		{"opus", make([]byte, 100), -70, -70},
		{"PCMU", []byte{0, 0, 0, 0, 0, 0, 0, 0}, noLevel, 0},
		{"PCMU", []byte{255, 255, 255, 255, 255}, noLevel, silence},
		{"PCMA", []byte{0x2a, 0, 0, 0, 0xaa}, noLevel, 0},
	} {
		c := codec(t, x.codec)
		b, err := New(c, Config{})
		if err != nil {
			t.Fatal(err)
		}
		b.unread = unreadFrames
		if x.given != noLevel {
			b.SetLevel(x.given)
		}
		b.WriteFrame(&media.Frame{Codec: &c, Payload: x.payload})
		if got := b.Level(); got != x.want {
			t.Errorf("%s %v: %d dBov, not %d", x.codec, x.payload[:3], got, x.want)
		}
		if got := b.Level(); got != silence {
			t.Errorf("%s: %d dBov without a packet", x.codec, got)
		}
		b.Close()
	}
}

func TestAllocatesNothing(t *testing.T) {
	for _, name := range []string{"PCMA", "G722", "opus"} {
		c := codec(t, name)
		enc, err := c.NewEncoder(transcode.EncoderOptions{Bitrate: 32000, Complexity: 5})
		if err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, 1500)
		n, err := enc.Encode(payload, make([]int16, c.SampleRate/50))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(0, 0)
		b, err := New(c, Config{Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		f := media.Frame{Codec: &c, Payload: payload[:n]}
		frame := make([]int16, frame20)
		step := func() {
			now = now.Add(20 * ms)
			f.Arrival = now
			if f.Sequence%20 != 3 { // one is lost
				b.WriteFrame(&f)
			}
			f.Sequence++
			f.Timestamp += uint32(c.ClockRate / 50)
			b.Read(frame)
			b.Level()
		}
		for range 300 {
			step()
		}
		if n := testing.AllocsPerRun(200, step); n != 0 {
			t.Errorf("%s: %v allocations a packet", name, n)
		}
		b.Close()
	}
}
