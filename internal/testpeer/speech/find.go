package speech

import (
	"math"
	"math/cmplx"
	"time"

	"passerelle/transcode/resample"
)

// findRate is where correlation is looked for: the telephone's band, which every codec on the way has kept.
const findRate = 8000

// Find says where in haystack needle is, and how surely: 1 is the same signal at whatever gain, below 0.2 is chance, speech through a telephone's
// codecs gives 0.9 and more. Both are mono PCM at rate Hz. needle must lie within haystack as a whole; a negative correlation is needle upside
// down. A playout buffer stretches time: look for pieces of a second or two there.
func Find(haystack, needle []int16, rate int) (offset time.Duration, correlation float64) {
	h, err := resample.Convert(haystack, rate, findRate)
	if err != nil {
		return 0, 0
	}
	n, err := resample.Convert(needle, rate, findRate)
	if err != nil || len(n) == 0 || len(n) > len(h) {
		return 0, 0
	}
	dot := correlate(h, n)

	var needleEnergy, windowEnergy, total float64
	for _, s := range n {
		needleEnergy += float64(s) * float64(s)
	}
	for i, s := range h {
		total += float64(s) * float64(s)
		if i < len(n) {
			windowEnergy += float64(s) * float64(s)
		}
	}
	best := 0
	for i := 0; i+len(n) <= len(h); i++ {
		// Near silence the quotient would be noise over nothing: such a window is not where the needle is.
		if floor := 1e-4 * total * float64(len(n)) / float64(len(h)); needleEnergy > 0 && windowEnergy > floor {
			if c := dot[i] / math.Sqrt(needleEnergy*windowEnergy); math.Abs(c) > math.Abs(correlation) {
				best, correlation = i, c
			}
		}
		if i+len(n) < len(h) {
			in, out := float64(h[i+len(n)]), float64(h[i])
			windowEnergy += in*in - out*out
		}
	}
	return time.Duration(best) * time.Second / findRate, correlation
}

// correlate returns the sum of h[i+k]·n[k] over k for every i in h, by way of the frequency domain.
//
//go:norace
func correlate(h, n []int16) []float64 {
	size := 1
	for size < len(h)+len(n) {
		size *= 2
	}
	// One transform does both real signals: h in the real part, n in the imaginary one.
	z := make([]complex128, size)
	for i, s := range h {
		z[i] = complex(float64(s), 0)
	}
	for i, s := range n {
		z[i] += complex(0, float64(s))
	}
	fft(z)
	r := make([]complex128, size)
	for k := range z {
		a, b := z[k], cmplx.Conj(z[(size-k)%size])
		spectrumH, spectrumN := (a+b)/2, (a-b)/2i
		// Conjugated, so that a second forward transform does the work of an inverse one.
		r[k] = cmplx.Conj(spectrumH * cmplx.Conj(spectrumN))
	}
	fft(r)
	out := make([]float64, len(h))
	for i := range out {
		out[i] = real(r[i]) / float64(size)
	}
	return out
}

// fft transforms x in place. len(x) is a power of two. The race detector would make it ten times slower, on samples that nobody else has.
//
//go:norace
func fft(x []complex128) {
	n := len(x)
	for i, j := 1, 0; i < n; i++ {
		bit := n >> 1
		for ; j&bit != 0; bit >>= 1 {
			j ^= bit
		}
		j |= bit
		if i < j {
			x[i], x[j] = x[j], x[i]
		}
	}
	turn := make([]complex128, n/2)
	for i := range turn {
		turn[i] = cmplx.Rect(1, -2*math.Pi*float64(i)/float64(n))
	}
	for half := 1; half < n; half *= 2 {
		step := n / (2 * half)
		for start := 0; start < n; start += 2 * half {
			for k := range half {
				a, b := x[start+k], x[start+k+half]*turn[k*step]
				x[start+k], x[start+k+half] = a+b, a-b
			}
		}
	}
}
