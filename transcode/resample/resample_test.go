package resample

import (
	"errors"
	"math"
	"runtime"
	"testing"
)

var rates = []int{8000, 12000, 16000, 24000, 32000, 44100, 48000}

func sine(hz float64, rate, samples int) []int16 {
	pcm := make([]int16, samples)
	for i := range pcm {
		pcm[i] = int16(10000 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate)))
	}
	return pcm
}

func TestEveryFrameGivesAFrame(t *testing.T) {
	for _, from := range rates {
		for _, to := range rates {
			r, err := New(from, to)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 200 {
				frames := 1 + i%3
				src, dst := make([]int16, frames*from/50), make([]int16, frames*to/50)
				if n := r.Process(dst, src); n != len(dst) {
					t.Fatalf("%d to %d Hz, call %d: %d samples, want %d", from, to, i, n, len(dst))
				}
			}
			r.Close()
			r.Close()
			if from != to && r.Process(make([]int16, to/50), make([]int16, from/50)) != 0 {
				t.Errorf("%d to %d Hz: a closed resampler writes", from, to)
			}
		}
	}
}

func TestConvertKeepsToneLengthAndStep(t *testing.T) {
	for _, from := range rates {
		for _, to := range rates {
			in := sine(1000, from, from/2+7)
			out, err := Convert(in, from, to)
			if err != nil {
				t.Fatal(err)
			}
			if want := (len(in)*to + from - 1) / from; len(out) != want {
				t.Fatalf("%d to %d Hz: %d samples, want %d", from, to, len(out), want)
			}
			// The tone must be where it would be had it been made at the new rate; the ends are left out, where the filter sees the cut.
			want := sine(1000, to, len(out))
			var noise, signal float64
			for i := to / 50; i < len(out)-to/50; i++ {
				d := float64(out[i]) - float64(want[i])
				noise += d * d
				signal += float64(want[i]) * float64(want[i])
			}
			least := 30.0
			if from == 44100 || to == 44100 {
				least = 14 // its delay is no whole number of samples: half of one is left
			}
			if snr := 10 * math.Log10(signal/noise); snr < least {
				t.Errorf("%d to %d Hz: SNR %.1f dB", from, to, snr)
			}
		}
	}
}

// A tone above half of the lower rate must not come back as another tone.
func TestNoAliases(t *testing.T) {
	out, err := Convert(sine(6000, 48000, 24000), 48000, 8000)
	if err != nil {
		t.Fatal(err)
	}
	var peak int16
	for _, s := range out[160 : len(out)-160] {
		peak = max(peak, s, -s)
	}
	if peak > 100 { // 40 dB below the tone
		t.Errorf("peak %d is left of a 6 kHz tone at 8 kHz", peak)
	}
}

func TestResetForgets(t *testing.T) {
	r, err := New(8000, 48000)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dst := make([]int16, 960)
	r.Process(dst, sine(1000, 8000, 160))
	r.Reset()
	r.Process(dst, make([]int16, 160))
	for i, s := range dst {
		if s != 0 {
			t.Fatalf("sample %d is %d after Reset", i, s)
		}
	}
}

func TestShortDestination(t *testing.T) {
	r, err := New(8000, 48000)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n := r.Process(make([]int16, 100), make([]int16, 160)); n != 100 {
		t.Errorf("%d samples, want 100", n)
	}
	if n := r.Process(nil, make([]int16, 160)); n != 0 {
		t.Errorf("%d samples into nil", n)
	}
	if n := r.Process(make([]int16, 100), nil); n != 0 {
		t.Errorf("%d samples out of nil", n)
	}
}

func TestBadRates(t *testing.T) {
	for _, c := range [][2]int{{0, 8000}, {8000, 0}, {-8000, 8000}, {8000, 1 << 40}, {3999, 8000}} {
		if _, err := New(c[0], c[1]); !errors.Is(err, ErrRate) {
			t.Errorf("%v: %v", c, err)
		}
		if _, err := Convert(nil, c[0], c[1]); !errors.Is(err, ErrRate) {
			t.Errorf("Convert %v: %v", c, err)
		}
	}
}

func TestProcessAllocatesNothing(t *testing.T) {
	r, err := New(8000, 48000)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	src, dst := make([]int16, 160), make([]int16, 960)
	if n := testing.AllocsPerRun(100, func() { r.Process(dst, src) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Resamplers that nobody closed are freed with their last reference.
func TestForgottenResamplersAreFreed(t *testing.T) {
	for range 50 {
		for range 20 {
			r, err := New(8000, 48000)
			if err != nil {
				t.Fatal(err)
			}
			r.Process(make([]int16, 960), make([]int16, 160))
		}
		runtime.GC()
	}
}

func BenchmarkProcess(b *testing.B) {
	for _, c := range [][2]int{{8000, 48000}, {48000, 8000}, {16000, 48000}, {48000, 16000}} {
		b.Run(name(c), func(b *testing.B) {
			r, err := New(c[0], c[1])
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			src, dst := sine(440, c[0], c[0]/50), make([]int16, c[1]/50)
			b.ReportAllocs()
			for b.Loop() {
				r.Process(dst, src)
			}
		})
	}
}

func name(c [2]int) string {
	return map[int]string{8000: "8", 16000: "16", 48000: "48"}[c[0]] + "to" + map[int]string{8000: "8", 16000: "16", 48000: "48"}[c[1]]
}
