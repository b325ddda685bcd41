package sip

import (
	"context"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// TestSIPp lets another stack call a hundred times, over UDP and TCP.
func TestSIPp(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sipp"); err != nil {
		t.Fatal("sipp is missing: make setup installs it (Debian package sip-tester)")
	}
	for network, mode := range map[string]string{"udp": "u1", "tcp": "t1"} {
		t.Run(network, func(t *testing.T) {
			s := start(t, nil)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, "sipp", "-sn", "uac", "-t", mode, "-i", "127.0.0.1", "-m", "50", "-r", "50", "-d", "50", "-nostdin",
				"-timeout", strconv.Itoa(20), "-timeout_error", s.Addr(network).String())
			cmd.Dir = t.TempDir()
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("sipp: %v\n%s", err, out[max(0, len(out)-2000):])
			}
			eventually(t, "no leg", func() bool { return s.Legs() == 0 })
			if n := s.ports.InUse(); n != 0 {
				t.Errorf("%d media ports are still open", n)
			}
		})
	}
}
