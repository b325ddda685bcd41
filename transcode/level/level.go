// Package level measures how loud PCM is.
package level

import "math"

// Silence is what is measured when every sample is 0, in dBFS; it is also the bottom of RTP's level scale (RFC 6464).
const Silence = -127.0

// RMS is the mean power of pcm in dBFS: 0 is a square wave of full scale, -3 a full sine, about -26 speech.
func RMS(pcm []int16) float64 {
	if len(pcm) == 0 {
		return Silence
	}
	var sum int64
	for _, s := range pcm {
		sum += int64(s) * int64(s)
	}
	return max(Silence, 10*math.Log10(float64(sum)/float64(len(pcm))/(1<<30)))
}
