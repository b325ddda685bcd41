package mix

import (
	"testing"

	"passerelle/transcode"
)

// TestRateTurnsAtTheEndOfAClip: however long a clip is, it may turn to another rate in any of its last ticks.
func TestRateTurnsAtTheEndOfAClip(t *testing.T) {
	for length := 1; length < 2*transcode.FrameSamples; length += 7 {
		for before := range 5 {
			p := &Playback{gain: 1, clip: make([]int16, length), done: make(chan struct{})}
			var acc [transcode.FrameSamples]int32
			var r reel
			over := false
			for range before {
				if !over {
					_, over = p.mix(acc[:160], 8000, &r)
				}
			}
			for n := 0; !over; n++ {
				if _, over = p.mix(acc[:], transcode.Rate, &r); n > 5 {
					t.Fatalf("%d samples, %d ticks at 8 kHz: it does not end", length, before)
				}
			}
			p.end()
		}
	}
}
