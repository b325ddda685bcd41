//go:build e2e

package visio_test

import (
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"passerelle/e2e/stack"
)

// startRedis starts a Redis that keeps nothing, on a port of its own, and ends it with the test. It answers host:port.
func startRedis(t *testing.T) string {
	t.Helper()
	address := stack.FreePort(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("make setup-test installs Redis: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	stack.Eventually(t, 10*time.Second, "Redis listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
	return address
}
