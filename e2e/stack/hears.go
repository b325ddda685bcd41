package stack

import (
	"testing"
	"time"

	"passerelle/internal/testpeer/speech"
	"passerelle/transcode"
)

// Hears waits until a clip (48 kHz) is on a recording that goes on, most of it, and answers when it began there. recording answers what there is so
// far and when its first sample was.
func Hears(t *testing.T, what string, clip []int16, recording func() ([]int16, time.Time)) time.Time {
	t.Helper()
	// Looking for speech takes so much of a processor that it would disturb the call: not before it can be there, and not all the time.
	pause := time.Duration(len(clip)) * time.Second / transcode.Rate
	var best float64
	for deadline := time.Now().Add(pause + 20*time.Second); time.Now().Before(deadline); pause = time.Second {
		time.Sleep(pause)
		pcm, start := recording()
		offset, share := speech.Heard(pcm, clip, transcode.Rate)
		if share >= 0.5 {
			return start.Add(offset)
		}
		best = max(best, share)
	}
	t.Fatalf("not in time: %s; only %.2f of it", what, best)
	return time.Time{}
}
