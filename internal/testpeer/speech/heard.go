package speech

import (
	"cmp"
	"slices"
	"time"

	"passerelle/transcode/resample"
)

const (
	piece   = findRate / 4 // samples
	surely  = 0.7          // correlation from which a piece counts as found
	stretch = findRate / 2 // samples that a piece may be moved against the one beside it, by playout buffers and by a machine that stood still
)

// Heard says how much of what was said was heard, from 0 to 1, and when it began. Playout buffers stretch and cut time to follow the network, so
// said is looked for in pieces of a quarter of a second: the loudest anywhere, the others where they should be beside it. Pieces in which hardly anything
// was said do not count. Both are mono PCM at rate Hz.
func Heard(heard, said []int16, rate int) (offset time.Duration, share float64) {
	h, errH := resample.Convert(heard, rate, findRate)
	s, errS := resample.Convert(said, rate, findRate)
	if errH != nil || errS != nil {
		return 0, 0
	}
	starts := loud(s)
	anchor, delay := anchor(h, s, starts)
	if anchor < 0 {
		return 0, 0
	}
	later, _ := follow(h, s, starts[anchor+1:], delay)
	before := slices.Clone(starts[:anchor])
	slices.Reverse(before)
	earlier, first := follow(h, s, before, delay)
	return time.Duration(max(0, first)) * time.Second / findRate, float64(earlier+1+later) / float64(len(starts))
}

// follow looks for pieces, each beside the one before it, which was heard so much later than it was said. It answers how many it found, and how
// much later the last one was. Where some are missing, the next may have moved by more.
func follow(h, s []int16, starts []int, delay int) (found, last int) {
	slack := stretch
	for _, i := range starts {
		from, to := max(0, i+delay-slack), min(len(h), i+delay+piece+slack)
		slack += stretch
		if from >= to {
			continue
		}
		if offset, correlation := Find(h[from:to], s[i:i+piece], findRate); correlation >= surely {
			found, delay, slack = found+1, from+samples(offset)-i, stretch
		}
	}
	return found, delay
}

// loud lists where the pieces begin in which something was said.
func loud(s []int16) (starts []int) {
	quiet := energy(s) / float64(max(len(s), 1)) / 10
	for i := 0; i+piece <= len(s); i += piece {
		if e := energy(s[i:i+piece]) / piece; e > 0 && e >= quiet {
			starts = append(starts, i)
		}
	}
	return starts
}

// anchor finds one of the three loudest pieces and answers which of starts it is and how much later than in s it is in h; -1: none is there.
func anchor(h, s []int16, starts []int) (index, delay int) {
	order := slices.Clone(starts)
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(energy(s[b:b+piece]), energy(s[a:a+piece])) })
	for _, i := range order[:min(3, len(order))] {
		if at, correlation := Find(h, s[i:i+piece], findRate); correlation >= surely {
			return slices.Index(starts, i), samples(at) - i
		}
	}
	return -1, 0
}

func samples(d time.Duration) int { return int(d * findRate / time.Second) }

// energy is the sum of the squares.
func energy(pcm []int16) (sum float64) {
	for _, s := range pcm {
		sum += float64(s) * float64(s)
	}
	return sum
}
