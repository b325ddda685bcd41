package speech

import "math"

// SegmentalSNR compares what was heard with what was said, sample by sample, and returns the mean over segments of 20 ms of the ratio of signal to
// difference in dB, each kept between -10 and 35. Segments in which nothing was said do not count. Both are mono PCM at rate Hz and in step; a
// difference in gain is taken out first. 0 dB is as bad as silence; G.711 gives about 30, G.722 15 to 25.
func SegmentalSNR(said, heard []int16, rate int) float64 {
	length := min(len(said), len(heard))
	var dot, energy, signal float64
	for i := range length {
		s, h := float64(said[i]), float64(heard[i])
		dot += s * h
		energy += h * h
		signal += s * s
	}
	gain := 1.0
	if energy > 0 && dot > 0 {
		gain = dot / energy
	}
	quiet := signal / float64(max(length, 1)) / 1000 // 30 dB below the mean

	segment := rate / 50
	sum, count := 0.0, 0
	for start := 0; start+segment <= length; start += segment {
		var s2, d2 float64
		for i := start; i < start+segment; i++ {
			s := float64(said[i])
			d := s - gain*float64(heard[i])
			s2 += s * s
			d2 += d * d
		}
		if s2 <= quiet*float64(segment) {
			continue
		}
		sum += max(-10, min(35, 10*math.Log10(s2/(d2+1e-9))))
		count++
	}
	if count == 0 {
		return -10
	}
	return sum / float64(count)
}
