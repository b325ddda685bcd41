package speech

import (
	"slices"
	"time"

	"passerelle/transcode/resample"
)

const (
	piece     = 500 * time.Millisecond
	surely    = 0.7                    // correlation from which a piece counts as found
	stretched = 150 * time.Millisecond // how far playout buffers may move pieces against each other
)

// Heard says how much of what was said was heard, from 0 to 1, and when it began. Playout buffers stretch and cut time to follow the network, so
// said is looked for in pieces of half a second, which must be found in their places, give or take what a buffer moves them. Pieces in which hardly
// anything was said do not count. Both are mono PCM at rate Hz.
func Heard(heard, said []int16, rate int) (offset time.Duration, share float64) {
	h, errH := resample.Convert(heard, rate, findRate) // once for all pieces
	s, errS := resample.Convert(said, rate, findRate)
	if errH != nil || errS != nil {
		return 0, 0
	}
	const n = int(findRate * piece / time.Second)
	var delays []time.Duration
	pieces := 0
	quiet := energy(s) / float64(max(len(s), 1)) / 10
	for i := 0; i+n <= len(s); i += n {
		if energy(s[i:i+n])/float64(n) < quiet {
			continue
		}
		pieces++
		at, correlation := Find(h, s[i:i+n], findRate)
		if correlation >= surely {
			delays = append(delays, at-time.Duration(i)*time.Second/findRate)
		}
	}
	if len(delays) == 0 {
		return 0, 0
	}
	slices.Sort(delays)
	offset = delays[len(delays)/2]
	inPlace := 0
	for _, d := range delays {
		if (d - offset).Abs() <= stretched {
			inPlace++
		}
	}
	return offset, float64(inPlace) / float64(pieces)
}

// energy is the sum of the squares.
func energy(pcm []int16) (sum float64) {
	for _, s := range pcm {
		sum += float64(s) * float64(s)
	}
	return sum
}
