package vad

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"passerelle/internal/testpeer/speech"
	"passerelle/transcode/tone"
)

func noise(n, amplitude int) []int16 {
	r := rand.New(rand.NewPCG(1, 2))
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(r.IntN(2*amplitude+1) - amplitude)
	}
	return pcm
}

func scaled(pcm []int16, by float64) []int16 {
	out := make([]int16, len(pcm))
	for i, s := range pcm {
		out[i] = int16(by * float64(s))
	}
	return out
}

func mixed(a, b []int16) []int16 {
	out := make([]int16, min(len(a), len(b)))
	for i := range out {
		out[i] = a[i] + b[i]
	}
	return out
}

func TestWhatIsSpeech(t *testing.T) {
	for _, rate := range []int{8000, 16000, 48000} {
		said := speech.Say(t, "fr", speech.French, rate)
		keys, err := tone.DTMF(rate, time.Second, 50*time.Millisecond, "15D")
		if err != nil {
			t.Fatal(err)
		}
		chord := tone.Make(rate, 3*time.Second, -20, 440, 554, 659)
		for _, c := range []struct {
			name        string
			pcm         []int16
			least, most float64 // share of frames
		}{
			{"silence", make([]int16, 3*rate), 0, 0},
			{"faint noise", noise(3*rate, 50), 0, 0},
			{"noise", noise(3*rate, 400), 0, 0.12}, // the hangover after the first frames, of which it has yet to learn that they are noise
			{"speech", said, 0.9, 1},
			{"soft speech", scaled(said, 0.1), 0.85, 1},
			{"speech in noise", mixed(said, noise(len(said), 300)), 0.85, 1},
			{"keys", keys, 0.95, 1},
			{"music", chord, 0.95, 1},
		} {
			for _, ms := range []int{10, 20, 30, 60} {
				d, err := New(rate)
				if err != nil {
					t.Fatal(err)
				}
				active, frames := 0, 0
				for n := ms * rate / 1000; (frames+1)*n <= len(c.pcm); frames++ {
					if d.Speech(c.pcm[frames*n : (frames+1)*n]) {
						active++
					}
				}
				if share := float64(active) / float64(frames); share < c.least || share > c.most {
					t.Errorf("%s at %d Hz by %d ms: %.2f of it is speech, want %.2f to %.2f", c.name, rate, ms, share, c.least, c.most)
				}
			}
		}
	}
}

func TestHangover(t *testing.T) {
	d, err := New(16000)
	if err != nil {
		t.Fatal(err)
	}
	said := speech.Say(t, "en", speech.English, 16000)
	for i := 0; i < 16000; i += 320 {
		d.Speech(said[i : i+320])
	}
	frame, tail := make([]int16, 320), 0
	for d.Speech(frame) {
		if tail++; tail > 100 {
			t.Fatal("speech never ends")
		}
	}
	if ms := 20 * tail; ms < 200 || ms > 300 {
		t.Errorf("%d ms of hangover", ms)
	}
	d.Speech(said[:16000])
	d.Reset()
	if d.Speech(frame) {
		t.Error("speech after Reset")
	}
}

func TestOddInput(t *testing.T) {
	for _, rate := range []int{0, -1, 44100, 12000} {
		if _, err := New(rate); err == nil {
			t.Errorf("a detector at %d Hz", rate)
		}
	}
	d, err := New(8000)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 79, 81, 165, 10000} {
		if d.Speech(make([]int16, n)) {
			t.Errorf("%d samples of silence are speech", n)
		}
	}
}

func TestSpeechAllocatesNothing(t *testing.T) {
	d, err := New(48000)
	if err != nil {
		t.Fatal(err)
	}
	pcm := noise(960, 3000)
	if n := testing.AllocsPerRun(100, func() { d.Speech(pcm) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Detectors are freed while others work: under the race detector and in C's heap nothing may be used after that.
func TestForgottenDetectorsAreFreed(t *testing.T) {
	pcm := noise(160, 3000)
	for range 20 {
		for range 50 {
			d, err := New(8000)
			if err != nil {
				t.Fatal(err)
			}
			d.Speech(pcm)
		}
		runtime.GC()
	}
}

func BenchmarkSpeech(b *testing.B) {
	d, err := New(48000)
	if err != nil {
		b.Fatal(err)
	}
	pcm := noise(960, 3000)
	b.ReportAllocs()
	for b.Loop() {
		d.Speech(pcm)
	}
}
