//go:build e2e

package faults

import (
	"strings"
	"testing"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/e2e/stack"
	"passerelle/sip"
)

// TestHostEndsIt has a host remove the caller and then close the room: each is told.
func TestHostEndsIt(t *testing.T) {
	t.Parallel()
	h := open(t, stack.Options{})

	call := h.enter(sip.DialOptions{})
	guest, _ := h.guest()
	since := time.Now()
	if err := h.admin().Remove(t.Context(), stack.Room, guest.Identity); err != nil {
		t.Fatal(err)
	}
	h.hears(since, ivr.Removed)
	h.ends(call, "removed")

	call = h.enter(sip.DialOptions{})
	since = time.Now()
	if err := h.admin().DeleteRoom(t.Context(), stack.Room); err != nil {
		t.Fatal(err)
	}
	h.hears(since, ivr.RoomEnded)
	h.ends(call, "room_ended")
	if strings.Contains(h.Log(), "level=ERROR") {
		t.Error("an error is logged")
	}
}
