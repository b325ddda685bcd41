package stack

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"passerelle/internal/testpeer/speech"
	"passerelle/transcode"
	"passerelle/transcode/wav"
)

// Hears waits until a clip (48 kHz) is on a recording that goes on, most of it, and answers when it began there. recording answers what there is so
// far and when its first sample was. Where the clip does not come, go test -artifacts keeps what was heard instead.
func Hears(t *testing.T, what string, clip []int16, recording func() ([]int16, time.Time)) time.Time {
	t.Helper()
	var best float64
	for deadline := time.Now().Add(25 * time.Second); time.Now().Before(deadline); {
		pcm, start := recording()
		// Looking for speech takes so much of a processor that it would disturb the call: not before it can be there, and not all the time.
		if missing := len(clip) - len(pcm); missing > 0 {
			time.Sleep(time.Duration(missing)*time.Second/transcode.Rate + 100*time.Millisecond)
			continue
		}
		offset, share := speech.Heard(pcm, clip, transcode.Rate)
		if share >= 0.5 {
			return start.Add(offset)
		}
		best = max(best, share)
		time.Sleep(time.Second)
	}
	pcm, _ := recording()
	keep(t, "heard.wav", pcm)
	keep(t, "said.wav", clip)
	t.Fatalf("not in time: %s; only %.2f of it", what, best)
	return time.Time{}
}

// keep writes a sound beside the test's results.
func keep(t *testing.T, name string, pcm []int16) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.ArtifactDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := wav.Write(file, pcm, transcode.Rate); err != nil {
		t.Fatal(err)
	}
}
