package mix

// The limiter's ways.
const (
	ceiling = 29204 // -1 dBov: louder is made quieter
	blocks  = 4     // of 5 ms, in each of which loudness is looked at
	release = 0.02  // of the way back to 1 in each block: a quarter of a second
)

// limiter keeps a sum within 16 bits. Its gain moves smoothly: down within a millisecond, or earlier when it sees a peak coming, up in a quarter
// of a second. What is above the ceiling while it goes down is bent, not cut.
type limiter struct {
	gain float32 // at the end of the last frame
}

// limit writes src, 20 ms, into dst, no louder than the ceiling, and says what src's peak was.
func (l *limiter) limit(dst []int16, src []int32) (loudest int32) {
	var need [blocks + 1]float32 // the most gain that each block bears
	least := float32(1)
	block, attack := len(src)/blocks, len(src)/20
	for b := range blocks {
		peak := int32(0)
		for _, v := range src[b*block : (b+1)*block] {
			peak = max(peak, v, -v)
		}
		loudest = max(loudest, peak)
		need[b] = 1
		if peak > ceiling {
			need[b] = ceiling / float32(peak)
			least = min(least, need[b])
		}
	}
	if least == 1 && l.gain > 0.9999 {
		l.gain = 1
		for i, v := range src {
			dst[i] = int16(v)
		}
		return loudest
	}
	need[blocks] = 1
	gain := l.gain
	for b := range blocks {
		// The gain at the end of a block is right for it and for the next one.
		end := min(gain+(1-gain)*release, need[b], need[b+1])
		d, s := dst[b*block:(b+1)*block], src[b*block:(b+1)*block]
		if gain > need[b] { // a peak at the very beginning of the frame
			slide(d[:attack], s[:attack], gain, end)
			slide(d[attack:], s[attack:], end, end)
		} else {
			slide(d, s, gain, end)
		}
		gain = end
	}
	l.gain = gain
	return loudest
}

// slide applies a gain that goes from one value to another.
func slide(dst []int16, src []int32, from, to float32) {
	step := (to - from) / float32(len(src))
	for i, v := range src {
		from += step
		dst[i] = soften(float32(v) * from)
	}
}

// soften bends what is above the ceiling so that it stays within 16 bits.
func soften(v float32) int16 {
	const room = 32767 - ceiling
	switch {
	case v > ceiling:
		x := v - ceiling
		return int16(ceiling + room*x/(x+room))
	case v < -ceiling:
		x := -v - ceiling
		return int16(-ceiling - room*x/(x+room))
	}
	return int16(v)
}
