//go:build e2e || soak

package faults

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"passerelle/e2e/stack"
)

// footprint is what a gateway takes of its machine.
type footprint struct {
	goroutines, files, ports float64
	heap                     float64 // bytes in use after a collection
	resident                 float64 // bytes, with what the C libraries have
}

func (f footprint) String() string {
	return fmt.Sprintf("%.0f goroutines, %.0f files, %.0f RTP ports, heap %.1f MB, resident %.0f MB",
		f.goroutines, f.files, f.ports, f.heap/1e6, f.resident/1e6)
}

func (h *house) footprint() footprint {
	h.t.Helper()
	return footprint{
		goroutines: h.Metric(h.t, "go_goroutines"), files: h.Metric(h.t, "process_open_fds"), ports: h.Metric(h.t, "passerelle_rtp_ports"),
		heap: h.heap(), resident: h.Metric(h.t, "process_resident_memory_bytes"),
	}
}

// heap is the least that is in use after collections: asking for metrics makes the garbage that brings them about. GOGC is 10.
func (h *house) heap() float64 {
	h.t.Helper()
	collections := func() float64 { return h.Metric(h.t, "go_gc_duration_seconds_count") }
	least := math.Inf(1)
	for end := collections() + 3; collections() < end; {
		least = min(least, h.Metric(h.t, "go_memstats_heap_alloc_bytes"))
	}
	return least
}

// ending is one way in which a call goes.
type ending struct {
	what  string
	label string // of the reason
	calls int    // of a hundred
	act   func(h *house, c *caller)
}

func endings() []ending {
	return []ending{
		{"never acknowledges", "signalling", 4, neverACKs},
		{"vanishes from the room", "media_timeout", 8, vanishes},
		{"cancels", "cancelled", 16, cancels},
		{"types wrong PINs", "bad_pin", 8, guesses},
		{"hangs up at the question", "hung_up", 20, hangsUpEarly},
		{"hangs up in the room", "hung_up", 44, hangsUp},
	}
}

// calls makes as many calls of each kind as counts says, eight at a time, and returns how many there were.
func (h *house) calls(counts func(e ending) int) (total int) {
	limit := make(chan struct{}, 8)
	var work sync.WaitGroup
	for _, e := range endings() {
		for range counts(e) {
			total++
			work.Go(func() {
				if e.label != "signalling" { // those take long and cost nothing
					limit <- struct{}{}
					defer func() { <-limit }()
				}
				c := newCaller(h.t, h.SIP, fmt.Sprintf("127.0.0.%d", 2+rand.IntN(250)))
				defer c.vanish()
				c.voice.loss = 0.03
				e.act(h, c)
			})
		}
	}
	work.Wait()
	return total
}

// forgetful is a configuration under which what a call leaves behind is gone soon, and shows.
func forgetful() stack.Options {
	return stack.Options{
		Extra:   "calls: {media_timeout: 2s}\nivr: {pin_timeout: 30s, guess: {per_source: 0, overall: 100000}}",
		Environ: []string{"GOGC=10", "PASSERELLE_LOG_LEVEL=info"},
	}
}

// TestNothingLeft sets up and tears down a hundred calls, which end in every way that a caller can think of, and looks at what is left of them.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	h := open(t, forgetful())
	// What is made once and kept is made by the first few calls.
	h.calls(func(e ending) int { return e.calls / 8 })
	h.idle()
	before := h.footprint()
	start := time.Now()
	total := h.calls(func(e ending) int { return e.calls })
	t.Logf("%d calls in %v", total, time.Since(start).Round(time.Second))
	h.idle()
	// SIP keeps each answer for 32 s, to give it again; callers that vanished are told so for as long.
	after := before
	stack.Eventually(t, 50*time.Second, "goroutines, files and memory are where they were", func() bool {
		after = h.footprint()
		return after.goroutines <= before.goroutines+3 && after.files <= before.files+2 && after.heap < before.heap+1e6
	})
	t.Logf("before: %v", before)
	t.Logf("after:  %v (settled after %v)", after, time.Since(start).Round(time.Second))
	if after.ports != 0 {
		t.Errorf("%v RTP ports are still in use", after.ports)
	}
	for _, e := range endings() {
		if n := h.Metric(t, fmt.Sprintf("passerelle_calls_total{reason=%q}", e.label)); int(n) < e.calls {
			t.Errorf("%v calls ended with %s, want at least the %d of which each %s", n, e.label, e.calls, e.what)
		}
	}
	if strings.Contains(h.Log(), "reason=internal") {
		t.Error("a call ended for an internal error")
	}
}

// idle waits until no call is left.
func (h *house) idle() {
	h.t.Helper()
	stack.Eventually(h.t, 50*time.Second, "no call is left", func() bool { return h.Metric(h.t, "passerelle_rtp_ports") == 0 })
}

func neverACKs(_ *house, c *caller) {
	c.invite(c.sdp(), "")
	c.status("INVITE", c.seq)
	c.ended(60 * time.Second) // 64*T1 is 32 s
}

func vanishes(h *house, c *caller) {
	c.ignore()
	quiet := c.enter(h)
	quiet()
}

// cancels either leaves the gateway no time to answer, or keeps it waiting for a PRACK.
func cancels(_ *house, c *caller) {
	c.invite("", "Require: 100rel\r\n")
	c.find(patience, true, "180", func(m string) bool { return strings.HasPrefix(m, "SIP/2.0 180") })
	c.cancel()
	if code, _ := c.status("INVITE", c.seq); code != 487 {
		c.t.Errorf("a cancelled INVITE was answered with %d", code)
	}
	c.request("ACK", c.seq, c.branch, "", "", "")
}

func guesses(_ *house, c *caller) {
	c.invite(c.sdp(), "")
	if !c.answered() {
		return
	}
	defer c.hum()()
	for !c.hungUp() { // what is typed while a PIN is looked up is dropped
		c.digit('0')
		time.Sleep(100 * time.Millisecond) // as fingers do: each message is kept for a while
	}
}

func hangsUpEarly(_ *house, c *caller) {
	c.invite(c.sdp(), "")
	if c.answered() {
		defer c.hum()()
		c.digits("12")
		c.bye()
	}
}

func hangsUp(h *house, c *caller) {
	quiet := c.enter(h)
	defer quiet()
	time.Sleep(time.Duration(rand.Float64() * float64(h.stay))) // a call has a length
	c.bye()
}
