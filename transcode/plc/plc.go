// Package plc hides lost packets of waveform codecs: it repeats the last pitch period of what was heard, lets it fade, and leads back into
// what comes after the loss without a click.
//
// The method is that of ITU-T G.711 Appendix I, without its delay: the sound is not held back, so the first repeated period is bent to begin where
// the sound broke off.
package plc

import "math"

// Times in ms.
const (
	memory   = 60 // of what was heard that is kept
	template = 20 // of it that is compared with what was before
	minLag   = 5  // the pitch period of a high voice, 200 Hz; of a higher one more periods are taken, which is finer
	maxLag   = 16 // and of a low one, 63 Hz
	bend     = 4  // in which the first period is bent to the sound before it
	hold     = 10 // of loss before the fade
	silent   = 90 // of loss after which nothing is left
	lead     = 4  // of the way back into sound after a loss; longer after longer ones,
	maxLead  = 10 // up to this
)

// voiced is the correlation above which a period is believed to be one.
const voiced = 0.5

// Concealer keeps the last sound of one stream. It is for one goroutine.
type Concealer struct {
	ms      int     // samples in a millisecond
	history []int16 // the last sound, oldest first
	lost    int     // samples concealed since the last good one
	period  []int16 // what is repeated
	at      int     // where in period
	step    float32 // by how much the first period misses the sound before it
}

// New makes a concealer for mono PCM at rate Hz, which is a multiple of 1000.
func New(rate int) *Concealer {
	ms := max(rate/1000, 1)
	return &Concealer{ms: ms, history: make([]int16, memory*ms), period: make([]int16, 0, maxLag*ms)}
}

// Accept takes decoded sound. After a loss it changes its beginning, so that the concealment flows into it.
func (c *Concealer) Accept(pcm []int16) {
	if c.lost > 0 {
		n := min(len(pcm), maxLead*c.ms, lead*c.ms+c.lost/4)
		for i := range n {
			in := float32(i+1) / float32(n+1)
			pcm[i] = round(float32(pcm[i])*in + c.sample()*(1-in))
		}
		c.lost = 0
	}
	c.remember(pcm)
}

// Conceal fills pcm with sound that goes on from what was heard last.
func (c *Concealer) Conceal(pcm []int16) {
	if c.lost == 0 {
		c.begin()
	}
	for i := range pcm {
		pcm[i] = round(c.sample())
	}
	c.remember(pcm)
}

func (c *Concealer) remember(pcm []int16) {
	if len(pcm) >= len(c.history) {
		copy(c.history, pcm[len(pcm)-len(c.history):])
		return
	}
	copy(c.history, c.history[len(pcm):])
	copy(c.history[len(c.history)-len(pcm):], pcm)
}

// begin finds what to repeat.
func (c *Concealer) begin() {
	lag := c.pitch()
	h := c.history
	end := len(h)
	c.period = append(c.period[:0], h[end-lag:]...)
	c.at = 0
	c.step = float32(h[end-1]) - float32(h[end-1-lag])
	// The last quarter turns into what was before the period, so that its end flows into its beginning.
	n := lag / 4
	for i := range n {
		in := float32(i+1) / float32(n+1)
		at := lag - n + i
		c.period[at] = round(float32(c.period[at])*(1-in) + float32(h[end-lag-n+i])*in)
	}
}

// sample is the next one of the concealment.
func (c *Concealer) sample() float32 {
	lost := c.lost
	c.lost++
	if lost >= silent*c.ms {
		return 0
	}
	v := float32(c.period[c.at])
	if c.at++; c.at == len(c.period) {
		c.at = 0
	}
	if n := bend * c.ms; lost < n {
		v += c.step * float32(n-lost) / float32(n)
	}
	if lost > hold*c.ms {
		v *= float32(silent*c.ms-lost) / float32((silent-hold)*c.ms)
	}
	return v
}

// pitch returns the lag in samples at which the last sound resembles itself most. At more than 8 kHz it looks at every second (third, …) sample
// first, and at every one around the best of these.
func (c *Concealer) pitch() int {
	coarse := max(1, c.ms/8)
	best, similar := c.search(minLag*c.ms, maxLag*c.ms, coarse)
	if coarse > 1 {
		best, similar = c.search(max(minLag*c.ms, best-coarse), min(maxLag*c.ms, best+coarse), 1)
	}
	if similar < voiced {
		return maxLag * c.ms // no voice: the longer the period, the less of a buzz
	}
	return best
}

func (c *Concealer) search(from, to, step int) (best int, similar float32) {
	length := template * c.ms
	now := c.history[len(c.history)-length:]
	var energy float32
	for i := 0; i < length; i += step {
		energy += float32(now[i]) * float32(now[i])
	}
	best, similar = to, -1
	for lag := from; lag <= to; lag += step {
		past := c.history[len(c.history)-length-lag:][:length]
		var dot, before float32
		for i := 0; i < length; i += step {
			v := float32(past[i])
			dot += float32(now[i]) * v
			before += v * v
		}
		if dot <= 0 {
			continue
		}
		// A multiple of the period resembles as much: the shorter lag keeps its place unless a longer one is clearly better.
		if r := dot / float32(math.Sqrt(float64(energy)*float64(before))); r > similar+0.01 {
			best, similar = lag, r
		}
	}
	return best, similar
}

func round(v float32) int16 {
	return int16(max(math.MinInt16, min(math.MaxInt16, v)))
}
