//go:build e2e

package faults

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/e2e/stack"
	"passerelle/sip"
)

// TestDirectoryHangs has Visio's roomkit take requests and never answer: who types a PIN that only it could know is told that the directory is
// away, and is blamed for nothing; who types one of the file's gets in as ever.
func TestDirectoryHangs(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	over := make(chan struct{})
	roomkit := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}))
	defer roomkit.Close()
	defer close(over)
	rooms := filepath.Join(t.TempDir(), "rooms.yaml")
	if err := os.WriteFile(rooms, fmt.Appendf(nil, "- {pin: %q, room: %s}\n", stack.PIN, stack.Room), 0o600); err != nil {
		t.Fatal(err)
	}
	h := open(t, stack.Options{NoRooms: true, Extra: fmt.Sprintf(
		"directory: {file: %q, timeout: 3s, roomkit: {url: %q, token: a-token-of-visio}}", rooms, roomkit.URL)})

	unlucky := h.dial(sip.DialOptions{})
	since := time.Now()
	h.press(unlucky, "5550001111#")
	h.hears(since, ivr.DirectoryUnavailable)
	h.ends(unlucky, "directory")
	if asked.Load() == 0 {
		t.Error("roomkit was not asked")
	}
	if n := h.Metric(t, "passerelle_pin_failures_total"); n != 0 {
		t.Errorf("%v PINs count as wrong", n)
	}
	h.enter(sip.DialOptions{})
}
