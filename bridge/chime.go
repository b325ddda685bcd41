package bridge

import (
	"sync"

	"passerelle/transcode"
)

// chimes is the source of a room's mix that rings when somebody comes or goes. It is in the mix, so it costs the same for one leg or a thousand.
type chimes struct {
	mu   sync.Mutex
	left []int16 // what is still to be heard, 48 kHz
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
	n := copy(frame, c.left)
	clear(frame[n:])
	c.left = c.left[n:]
	return true
}
