//go:build e2e

package faults

import (
	"testing"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/e2e/stack"
	"passerelle/sip"
)

// TestSFUDies kills the SFU in the middle of a call and starts it again: the caller is held, told so, and talks on.
func TestSFUDies(t *testing.T) {
	t.Parallel()
	h := open(t, stack.Options{})
	call := h.enter(sip.DialOptions{})
	h.converse(call, 4*time.Second, nil)

	since := time.Now()
	h.SFU.Kill()
	h.hears(since, ivr.LineInterrupted)
	if atPhone, inRoom := h.speak(call, 2*time.Second, nil); !atPhone.bad() || !inRoom.bad() {
		t.Errorf("they heard each other without an SFU: %v, %v", atPhone, inRoom)
	}
	since = time.Now()
	h.StartSFU(t)
	h.hears(since, ivr.LineRestored)
	stack.Eventually(t, patience, "Camille sees the telephone again", func() bool { _, ok := h.guest(); return ok })
	h.converse(call, 5*time.Second, nil)

	if n := h.Metric(t, "passerelle_sfu_interruptions_total"); n < 1 {
		t.Errorf("%v interruptions are counted", n)
	}
	if n := h.Metric(t, `passerelle_calls{state="talking"}`); n != 1 {
		t.Errorf("%v calls are talking, want 1", n)
	}
	call.HangUp()
	h.reason("hung_up")
}

// TestSFUStaysAway kills the SFU for good: the caller is held for livekit.reconnect_for, and then told that it is no use.
func TestSFUStaysAway(t *testing.T) {
	t.Parallel()
	h := open(t, stack.Options{Environ: []string{"PASSERELLE_LIVEKIT_RECONNECT_FOR=3s"}})
	call := h.enter(sip.DialOptions{})
	since := time.Now()
	h.SFU.Kill()
	h.hears(since, ivr.LineInterrupted)
	h.hears(since, ivr.SFUUnavailable)
	h.ends(call, "sfu")

	// And nobody gets in meanwhile.
	late := h.dial(sip.DialOptions{})
	since = time.Now()
	h.press(late, stack.PIN+"#")
	h.hears(since, ivr.SFUUnavailable)
	h.ends(late, "sfu")
}
