package bridge

import (
	"sync"

	"passerelle/transcode"
	"passerelle/transcode/resample"
)

// chimes is the source of a room's mix that rings when somebody comes or goes. It is in the mix, so it costs the same for one leg or a thousand.
type chimes struct {
	mu   sync.Mutex
	left []int16 // what is still to be heard, 48 kHz
	down *resample.Resampler
	rate int // Hz, to which down goes; 0: there is none
}

// play rings, once at a time: when many come at once, they share a ring.
func (c *chimes) play(clip []int16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.left) == 0 {
		c.left = clip
	}
}

// say speaks a clip after what is heard already, up to half a minute of it.
func (c *chimes) say(clip []int16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.left)+len(clip) <= maxSaid {
		c.left = append(c.left[:len(c.left):len(c.left)], clip...)
	}
}

// maxSaid bounds what waits to be said, in samples.
const maxSaid = 30 * transcode.Rate

// Level is mix.Source: a chime is heard over everybody, and then there is nothing.
func (c *chimes) Level() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.left) == 0 {
		return -127
	}
	return 0
}

// Read is mix.Source.
func (c *chimes) Read(frame []int16) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.left) == 0 {
		return false
	}
	if rate := 50 * len(frame); rate != c.rate {
		down, err := resample.New(transcode.Rate, rate)
		if err != nil {
			return false
		}
		c.down, c.rate = down, rate
	}
	var next [transcode.FrameSamples]int16
	c.left = c.left[copy(next[:], c.left):]
	c.down.Process(frame, next[:])
	return true
}
