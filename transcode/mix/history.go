package mix

import (
	"passerelle/transcode"
	"passerelle/transcode/resample"
)

// preroll is how many frames a line hears before its first frame is sent, so that it goes on where another one left off.
const preroll = 3

// history is the last frames of a sound.
type history struct {
	frames [preroll][transcode.FrameSamples]int16
	n      int // samples of each
	oldest int
}

// add puts a frame behind the others, and forgets the oldest one.
func (h *history) add(f []int16) {
	copy(h.frames[h.oldest][:], f)
	h.oldest = (h.oldest + 1) % preroll
}

// frame is one of them, the oldest first.
func (h *history) frame(i int) []int16 { return h.frames[(h.oldest+i)%preroll][:h.n] }

// turn makes frames of n samples out of those that there are.
func (h *history) turn(n int) {
	var all []int16
	for i := range preroll {
		all = append(all, h.frame(i)...)
	}
	was := h.n
	h.n, h.oldest = n, 0
	all, err := resample.Convert(all, 50*was, 50*n)
	for i := range preroll {
		clear(h.frames[i][:])
		if err == nil { // which it is: mixers have no other rates
			copy(h.frames[i][:n], all[i*n:])
		}
	}
}
