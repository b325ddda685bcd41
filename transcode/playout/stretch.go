package playout

import "math"

// The pitch periods that may be left out or repeated, in samples: 400 to 67 Hz.
const (
	minLag = 120
	maxLag = 720

	decimate = 6       // the search is done at 8 kHz
	compared = 480     // 10 ms are compared
	hush     = 33 * 33 // mean square of what is a pause: -60 dBov; there, any length will do
)

// squeeze leaves out up to most samples at the beginning of pcm and says how many, 0 when nothing fits well enough. The sound ends that much
// earlier in pcm. What is left out is one or more pitch periods, found as in WSOLA: by the likeness of the sound to itself.
func squeeze(pcm []int16, most int, good float64) int {
	most = min(most, maxLag, len(pcm)-compared)
	if most < 24 {
		return 0
	}
	lag := most
	if !quiet(pcm) {
		var likeness float64
		if lag, likeness = period(pcm, most); lag == 0 || likeness < good {
			return 0
		}
	}
	for i := range blend {
		pcm[i] = cross(pcm[i], pcm[i+lag], i)
	}
	copy(pcm[blend:], pcm[blend+lag:])
	return lag
}

// stretch repeats about wanted samples at the beginning of pcm and says how many. The sound ends that much later in pcm, which has room for it.
func stretch(pcm []int16, wanted int) int {
	most := min(maxLag, len(pcm)-compared, cap(pcm)-len(pcm))
	if most < minLag {
		return 0
	}
	lag := min(wanted, most)
	if !quiet(pcm) {
		lag, _ = period(pcm, most)
	}
	if lag < minLag {
		return 0
	}
	end := len(pcm)
	pcm = pcm[:end+lag]
	// Behind the first lag samples comes the whole of pcm again, blended in.
	copy(pcm[lag+blend:], pcm[blend:end])
	var first [blend]int16
	copy(first[:], pcm[:blend])
	for i := range blend {
		pcm[lag+i] = cross(pcm[lag+i], first[i], i)
	}
	return lag
}

// cross is the way from a to b, at step i of blend.
func cross(a, b int16, i int) int16 {
	return int16((int(a)*(blend-i) + int(b)*i) / blend)
}

// quiet tells whether the beginning of pcm is a pause.
func quiet(pcm []int16) bool {
	n := min(len(pcm), frame20)
	sum := 0
	for _, v := range pcm[:n] {
		sum += int(v) * int(v)
	}
	return sum < hush*n
}

// period finds the shift, up to most samples, at which pcm is most like itself, and how like: 1 is the same.
func period(pcm []int16, most int) (lag int, likeness float64) {
	const n = compared / decimate
	if most < minLag {
		return 0, 0
	}
	var x [(maxLag + compared) / decimate]int32
	have := min(len(x), (min(most, maxLag)+compared)/decimate)
	for i := range x[:have] {
		sum := int32(0)
		for _, v := range pcm[i*decimate : (i+1)*decimate] {
			sum += int32(v)
		}
		x[i] = sum / decimate
	}
	var own int64
	for _, v := range x[:n] {
		own += int64(v) * int64(v)
	}
	var other int64
	for _, v := range x[minLag/decimate : min(minLag/decimate+n, have)] {
		other += int64(v) * int64(v)
	}
	best := -1
	for l := minLag / decimate; l+n <= have; l++ {
		var dot int64
		y := x[l : l+n]
		for i, v := range y {
			dot += int64(v) * int64(x[i])
		}
		if c := float64(dot) / math.Sqrt(float64(own)*float64(other)+1); c > likeness {
			best, likeness = l, c
		}
		if l+n < have {
			other += int64(x[l+n])*int64(x[l+n]) - int64(x[l])*int64(x[l])
		}
	}
	if best < 0 {
		return 0, 0
	}
	return refine(pcm, best*decimate, most), likeness
}

// refine moves a lag that was found at 8 kHz to the best one nearby.
func refine(pcm []int16, lag, most int) int {
	best, least := lag, int64(math.MaxInt64)
	for l := max(lag-decimate, minLag); l <= min(lag+decimate, most, len(pcm)-compared); l++ {
		var sum int64
		for i := 0; i < compared; i += 2 {
			d := int64(pcm[i]) - int64(pcm[i+l])
			sum += d * d
		}
		if sum < least {
			best, least = l, sum
		}
	}
	return best
}
