package playout

import "math"

// grain is the number of samples in a millisecond of the sound that is worked on: 8, 16 or 48.
type grain int

// The pitch periods that may be left out or repeated: 400 to 67 Hz.
func (g grain) minLag() int { return int(g) * 5 / 2 }
func (g grain) maxLag() int { return int(g) * 15 }

func (g grain) compared() int { return int(g) * 10 }
func (g grain) blend() int    { return int(g) * 5 } // in which one sound becomes another one

// decimate takes the search to 8 kHz.
func (g grain) decimate() int { return int(g) / 8 }

// hush is the mean square of what is a pause: -60 dBov. There, any length will do.
const hush = 33 * 33

// squeeze leaves out up to most samples at the beginning of pcm and says how many, 0 when nothing fits well enough. The sound ends that much
// earlier in pcm. What is left out is one or more pitch periods, found as in WSOLA: by the likeness of the sound to itself.
func (g grain) squeeze(pcm []int16, most int, good float64) int {
	most = min(most, g.maxLag(), len(pcm)-g.compared())
	if most < int(g)/2 {
		return 0
	}
	lag := most
	if !g.quiet(pcm) {
		var likeness float64
		if lag, likeness = g.period(pcm, most); lag == 0 || likeness < good {
			return 0
		}
	}
	blend := g.blend()
	for i := range blend {
		pcm[i] = cross(pcm[i], pcm[i+lag], i, blend)
	}
	copy(pcm[blend:], pcm[blend+lag:])
	return lag
}

// stretch repeats about wanted samples at the beginning of pcm and says how many. The sound ends that much later in pcm, which has room for it.
func (g grain) stretch(pcm []int16, wanted int) int {
	most := min(g.maxLag(), len(pcm)-g.compared(), cap(pcm)-len(pcm))
	if most < g.minLag() {
		return 0
	}
	lag := min(wanted, most)
	if !g.quiet(pcm) {
		lag, _ = g.period(pcm, most)
	}
	if lag < g.minLag() {
		return 0
	}
	end := len(pcm)
	pcm = pcm[:end+lag]
	// Behind the first lag samples comes the whole of pcm again, blended in.
	blend := g.blend()
	copy(pcm[lag+blend:], pcm[blend:end])
	var first [48 * 5]int16
	copy(first[:], pcm[:blend])
	for i := range blend {
		pcm[lag+i] = cross(pcm[lag+i], first[i], i, blend)
	}
	return lag
}

// cross is the way from a to b, at step i of n.
func cross(a, b int16, i, n int) int16 {
	return int16((int(a)*(n-i) + int(b)*i) / n)
}

// quiet tells whether the beginning of pcm is a pause.
func (g grain) quiet(pcm []int16) bool {
	n := min(len(pcm), 20*int(g))
	sum := 0
	for _, v := range pcm[:n] {
		sum += int(v) * int(v)
	}
	return sum < hush*n
}

// period finds the shift, up to most samples, at which pcm is most like itself, and how like: 1 is the same.
func (g grain) period(pcm []int16, most int) (lag int, likeness float64) {
	const n, shortest, longest = 80, 20, 120 // compared, minLag and maxLag at 8 kHz
	if most < g.minLag() {
		return 0, 0
	}
	var x [longest + n]int32
	decimate := g.decimate()
	have := min(len(x), (min(most, g.maxLag())+g.compared())/decimate)
	for i := range x[:have] {
		sum := int32(0)
		for _, v := range pcm[i*decimate : (i+1)*decimate] {
			sum += int32(v)
		}
		x[i] = sum / int32(decimate)
	}
	var own int64
	for _, v := range x[:n] {
		own += int64(v) * int64(v)
	}
	var other int64
	for _, v := range x[shortest:min(shortest+n, have)] {
		other += int64(v) * int64(v)
	}
	best := -1
	for l := shortest; l+n <= have; l++ {
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
	return g.refine(pcm, best*decimate, most), likeness
}

// refine moves a lag that was found at 8 kHz to the best one nearby.
func (g grain) refine(pcm []int16, lag, most int) int {
	best, least := lag, int64(math.MaxInt64)
	every := max(1, int(g)/24)
	for l := max(lag-g.decimate(), g.minLag()); l <= min(lag+g.decimate(), most, len(pcm)-g.compared()); l++ {
		var sum int64
		for i := 0; i < g.compared(); i += every {
			d := int64(pcm[i]) - int64(pcm[i+l])
			sum += d * d
		}
		if sum < least {
			best, least = l, sum
		}
	}
	return best
}
