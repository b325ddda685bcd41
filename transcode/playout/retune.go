package playout

import "passerelle/transcode/resample"

// warmUp is how many of the last packets a new Opus decoder hears before it goes on where another one left off.
const warmUp = 10

// retune goes on at another rate: with the sound that is waiting, and with a decoder that continues it.
func (b *Buffer) retune(g grain) {
	old, waiting, v := b.grain, b.fifo, b.active
	if old == 0 || v == nil {
		b.close()
		b.grain, b.fifo, b.torn = g, make([]int16, 0, fifoSize*int(g)/48), true
		return
	}
	waiting = append(waiting, v.rest(int(old)*1000)...)
	b.grain, b.fifo = g, make([]int16, 0, fifoSize*int(g)/48)
	next, err := newVoice(v.codec, int(g)*1000)
	if err != nil {
		b.stats.Invalid++
		b.close()
		return
	}
	b.fifo = append(b.fifo, convert(waiting, old, g)...)
	if next.rate == v.rate { // the decoder is as it was; the sound that the new resampler holds back comes from it
		next.dec, next.fec = v.dec, v.fec
		held := next.continues(v)
		b.fifo = b.fifo[:max(0, len(b.fifo)-held)]
	} else {
		b.warm(next)
	}
	b.close()
	b.voices, b.active = append(b.voices, next), next
	b.torn, b.last = true, b.played
	if end := len(b.fifo); end > 0 {
		b.last = b.fifo[end-1]
	}
}

// rest is what a voice's resampler holds back: its end comes out when something is put behind it.
func (v *voice) rest(rate int) []int16 {
	held := v.up.Delay()
	if held == 0 || v.made == 0 {
		return nil
	}
	out := make([]int16, 2*held+rate/1000)
	n := v.up.Process(out, mirrored(v.pcm[:v.made], (2*held*v.rate+rate-1)/rate))
	return out[:min(n, held)]
}

// continues lets a voice's resampler hear what another one's heard last, and says how many samples of that it holds back.
func (v *voice) continues(from *voice) int {
	heard := from.pcm[:from.made]
	v.made = copy(v.pcm, heard)
	v.up.Process(make([]int16, len(heard)*6+6), heard)
	return v.up.Delay()
}

// warm lets an Opus decoder hear the last packets, as far as the ring still has them.
func (b *Buffer) warm(v *voice) {
	for q := b.ring.taken - warmUp + 1; q <= b.ring.taken; q++ {
		s := b.ring.slot(q)
		if s.sequence == q && v.codec.Is(s.codec) {
			_, _ = v.dec.Decode(v.pcm, s.payload)
		}
	}
}

// convert resamples sound that has a past and a future which are not known: they are taken to be its mirror images.
func convert(pcm []int16, from, to grain) []int16 {
	if len(pcm) == 0 {
		return nil
	}
	const side = 10 // ms
	before := mirrored(reversed(pcm), side*int(from))
	all := append(append(reversed(before), pcm...), mirrored(pcm, side*int(from))...)
	out, err := resample.Convert(all, int(from)*1000, int(to)*1000)
	if err != nil {
		return nil
	}
	cut := side * int(to)
	return out[cut : len(out)-cut]
}

// mirrored is n samples that go on from the end of pcm without a step or a kink: backwards and upside down.
func mirrored(pcm []int16, n int) []int16 {
	out := make([]int16, n)
	end := len(pcm) - 1
	for i := range out {
		out[i] = clip(2*int(pcm[end]) - int(pcm[max(0, end-1-i)]))
	}
	return out
}

func reversed(pcm []int16) []int16 {
	out := make([]int16, len(pcm))
	for i, v := range pcm {
		out[len(pcm)-1-i] = v
	}
	return out
}
