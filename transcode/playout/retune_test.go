package playout

import (
	"math"
	"testing"
	"time"

	"passerelle/media"
	"passerelle/transcode"
)

// TestRetune reads a tone at one rate after the other: no frame is missing, nothing clicks, and the tone goes on where it was.
func TestRetune(t *testing.T) {
	const hz, amplitude = 310.0, 9000.0
	for _, c := range transcode.Codecs() {
		for _, phase := range []time.Duration{0, 7 * ms} {
			enc, err := c.NewEncoder(transcode.EncoderOptions{Bitrate: 32000, Complexity: 5})
			if err != nil {
				t.Fatal(err)
			}
			now := time.Unix(0, 0)
			b, err := New(c, Config{Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			f := media.Frame{Codec: &c, Payload: make([]byte, 1500)}
			pcm := make([]int16, c.SampleRate/50)
			at := 0
			send := func() {
				for i := range pcm {
					pcm[i] = int16(amplitude * math.Sin(2*math.Pi*hz*float64(at)/float64(c.SampleRate)))
					at++
				}
				n, err := enc.Encode(f.Payload[:1500], pcm)
				if err != nil {
					t.Fatal(err)
				}
				f.Payload = f.Payload[:n]
				f.Arrival = now
				b.WriteFrame(&f)
				f.Sequence++
				f.Timestamp += uint32(c.ClockRate / 50)
			}
			// What is heard, by a sine of the same frequency: its phase and size in each frame.
			var was, turned, size float64
			var lastSample float64
			rates := []int{48000, 8000, 16000, 8000, 48000, 16000, 48000}
			for tick := range 50 * len(rates) {
				rate := rates[tick/50]
				frame := make([]int16, rate/50)
				now = now.Add(phase)
				send()
				now = now.Add(20*ms - phase)
				ok := b.Read(frame)
				if tick < 30 {
					continue
				}
				if !ok {
					t.Fatalf("%s: frame %d is silence", c.Name, tick)
				}
				// Across the border, the sound goes on.
				steepest := amplitude * 2 * math.Pi * hz / 8000
				if gap := math.Abs(float64(frame[0]) - lastSample); tick > 30 && gap > 1.3*steepest {
					t.Errorf("%s, phase %v: a step of %.0f at tick %d", c.Name, phase, gap, tick)
				}
				lastSample = float64(frame[len(frame)-1])
				var re, im float64
				for i, v := range frame {
					s, co := math.Sincos(2 * math.Pi * hz * float64(i) / float64(rate))
					re, im = re+float64(v)*co, im+float64(v)*s
				}
				n := float64(len(frame))
				size = 2 * math.Hypot(re, im) / n
				angle := math.Atan2(re, im)
				turned = math.Mod(angle-was-2*math.Pi*hz*0.02+40*math.Pi, 2*math.Pi)
				if turned > math.Pi {
					turned -= 2 * math.Pi
				}
				was = angle
				if tick == 30 {
					continue
				}
				if late := turned / (2 * math.Pi * hz) * 1000; math.Abs(late) > 0.9 {
					t.Errorf("%s, phase %v: the sound jumps by %.2f ms at tick %d", c.Name, phase, late, tick)
				}
				if math.Abs(20*math.Log10(size/amplitude)) > 2.5 {
					t.Errorf("%s, phase %v: the tone has %.1f dB at tick %d", c.Name, phase, 20*math.Log10(size/amplitude), tick)
				}
			}
			b.Close()
		}
	}
}
