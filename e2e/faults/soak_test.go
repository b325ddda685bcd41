//go:build soak

package faults

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"passerelle/e2e/stack"
	"passerelle/sip"
)

// TestSoak has calls come and go for as long as SOAK says, over a network that loses packets, next to one call that lasts all the time. Once a
// minute all others end, and what the gateway takes is told; it must not grow. `make soak` runs it.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil {
		length = time.Hour
	}
	h := open(t, forgetful())
	h.stay = 15 * time.Second
	lasting := h.enter(sip.DialOptions{})
	var first footprint
	total := 0
	for start, lap := time.Now(), 0; time.Since(start) < length; lap++ {
		for until := time.Now().Add(45 * time.Second); time.Now().Before(until); {
			total += h.calls(func(e ending) int {
				if e.label == "signalling" { // each holds its leg for half a minute
					return 0
				}
				return rand.IntN(2 + e.calls/10)
			})
		}
		stack.Eventually(t, time.Minute, "only the lasting call is left", func() bool { return h.Metric(t, "passerelle_rtp_ports") == 1 })
		now := h.footprint()
		if lap < 2 { // what is made once and kept is made by the first few calls
			first = now
		}
		stack.Eventually(t, 90*time.Second, "goroutines, files and memory are where they were", func() bool {
			now = h.footprint()
			return now.goroutines <= first.goroutines+3 && now.files <= first.files+2 && now.heap < first.heap+2e6 && now.resident < first.resident+40e6
		})
		t.Logf("%v: %d calls, %v", time.Since(start).Round(time.Second), total, now)
		h.converse(lasting, 4*time.Second, nil)
	}
}
