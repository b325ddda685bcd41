//go:build soak

package faults

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"passerelle/e2e/stack"
	"passerelle/sip"
)

const performance = "../../docs/performance.md"

// lap is what the gateway takes when all calls of some minutes have ended but one, and how late the two sides of that one hear each other.
type lap struct {
	at              time.Duration
	calls           int // so far
	footprint       footprint
	atPhone, inRoom quality
}

// TestSoak has calls come and go for as long as SOAK says, over a network that loses packets, next to one call that lasts all the time. About once a minute
// all others end, and what the gateway takes is told; it must not grow, and neither must the delay of the call that lasts. `make soak` runs it, and it
// writes what it saw into docs/performance.md.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil {
		length = time.Hour
	}
	h := open(t, forgetful())
	h.stay = 15 * time.Second
	lasting := h.enter(sip.DialOptions{})
	var laps []lap
	var first footprint
	total := 0
	for start := time.Now(); time.Since(start) < length; {
		for until := time.Now().Add(45 * time.Second); time.Now().Before(until); {
			total += h.calls(func(e ending) int {
				if e.label == "signalling" { // each holds its leg for half a minute
					return 0
				}
				return rand.IntN(2 + e.calls/10)
			})
		}
		stack.Eventually(t, time.Minute, "only the lasting call is left", func() bool { return h.Metric(t, "passerelle_rtp_ports") == 1 })
		l := lap{calls: total, footprint: h.footprint()}
		if len(laps) < 2 { // what is made once and kept is made by the first few calls
			first = l.footprint
		}
		stack.Eventually(t, 90*time.Second, "goroutines, files and memory are where they were", func() bool {
			l.footprint = h.footprint()
			return l.footprint.goroutines <= first.goroutines+3 && l.footprint.files <= first.files+2 &&
				l.footprint.heap < first.heap+2e6 && l.footprint.resident < first.resident+40e6
		})
		l.atPhone, l.inRoom = h.converse(lasting, 4*time.Second, nil)
		l.at = time.Since(start).Round(time.Second)
		t.Logf("%v: %d calls, %v", l.at, total, l.footprint)
		laps = append(laps, l)
	}
	keep(t, laps)
	if n := len(laps); n >= 6 {
		for _, side := range []struct {
			where string
			of    func(lap) time.Duration
		}{{"phone", func(l lap) time.Duration { return l.atPhone.delay() }}, {"room", func(l lap) time.Duration { return l.inRoom.delay() }}} {
			early, late := middle(laps[:n/3], side.of), middle(laps[n-n/3:], side.of)
			if d := late - early; d.Abs() > 25*time.Millisecond { // a packet and the clock's phase; 10 ppm of drift are 36 ms in an hour
				t.Errorf("what the %s hears has moved from %v to %v", side.where, early, late)
			}
		}
	}
}

func middle(laps []lap, of func(lap) time.Duration) time.Duration {
	return of(slices.SortedFunc(slices.Values(laps), func(a, b lap) int { return cmp.Compare(of(a), of(b)) })[len(laps)/2])
}

// keep puts what was seen at the end of docs/performance.md, in place of what the last soak put there.
func keep(t *testing.T, laps []lap) {
	t.Helper()
	last := laps[len(laps)-1]
	var b strings.Builder
	fmt.Fprintf(&b, "\n## Soak\n\nWritten by `make soak` on %s: %d calls in %v, eight at a time, 3%% of their packets lost, each ended in one of the ways that callers have,\n",
		time.Now().UTC().Format("2006-01-02 15:04 UTC"), last.calls, last.at)
	b.WriteString("beside one that lasted. When all but that one had ended, about once a minute, the gateway took (heap: in use after a collection):\n\n")
	b.WriteString("| after | calls | goroutines | files | RTP ports | heap | resident | phone hears the room after | room hears the phone after |\n|---|---|---|---|---|---|---|---|---|\n")
	step := max(1, len(laps)/12)
	for i, l := range laps {
		if i%step == 0 || i == len(laps)-1 {
			f := l.footprint
			fmt.Fprintf(&b, "| %v | %d | %.0f | %.0f | %.0f | %.1f MB | %.0f MB | %v | %v |\n",
				l.at, l.calls, f.goroutines, f.files, f.ports, f.heap/1e6, f.resident/1e6, l.atPhone.delay(), l.inRoom.delay())
		}
	}
	b.WriteString("\nFrom mouth to ear, with the 20 ms of a packet, the encoders' delay and both ends' own buffers in it.\n")
	text, err := os.ReadFile(performance)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(text), "\n## Soak\n")
	if err := os.WriteFile(performance, []byte(before+b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
