//go:build e2e

package faults

import (
	"testing"

	"passerelle/bridge/ivr"
	"passerelle/transcode"
)

// TestEars makes sure that the other tests of this package can fail: each prompt that they wait for is found in itself and in no other.
func TestEars(t *testing.T) {
	t.Parallel()
	prompts, err := ivr.Load("", []string{"fr"})
	if err != nil {
		t.Fatal(err)
	}
	names := []ivr.Name{
		ivr.Joined, ivr.LineInterrupted, ivr.LineRestored, ivr.SFUUnavailable, ivr.Removed, ivr.RoomEnded, ivr.RefusedE2EE, ivr.DirectoryUnavailable,
		ivr.Draining, ivr.Goodbye,
	}
	for _, said := range names {
		heard := make([]int16, 6*transcode.Rate)
		copy(heard[transcode.Rate/3:], prompts.Clip("fr", said))
		for _, wanted := range names {
			if wanted == ivr.RoomEnded && said == ivr.SFUUnavailable {
				continue // they begin with the same words: ends tells them apart
			}
			share := found(heard, prompts.Clip("fr", wanted))
			if said == wanted && share < 0.9 || said != wanted && share >= enough {
				t.Errorf("%.0f%% of %q is found in %q", 100*share, wanted, said)
			}
		}
	}
}
