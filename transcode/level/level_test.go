package level

import (
	"math"
	"testing"
)

func TestLevels(t *testing.T) {
	sine := make([]int16, 4800)
	for i := range sine {
		sine[i] = int16(math.Round(32767 * math.Sin(2*math.Pi*float64(i)/48)))
	}
	for _, c := range []struct {
		name string
		pcm  []int16
		rms  float64
	}{
		{"nothing", nil, Silence},
		{"silence", make([]int16, 960), Silence},
		{"the least", []int16{1, 1}, -90.3},
		{"lowest sample", []int16{-32768, -32768}, 0},
		{"full sine", sine, -3.01},
	} {
		if got := RMS(c.pcm); math.Abs(got-c.rms) > 0.02 {
			t.Errorf("%s: RMS %.2f, want %.2f", c.name, got, c.rms)
		}
	}
}

func BenchmarkRMS(b *testing.B) {
	pcm := make([]int16, 960)
	b.ReportAllocs()
	for b.Loop() {
		RMS(pcm)
	}
}
