package sfuproc

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"passerelle/internal/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "secret-secret-secret-secret-secret"

func start(t *testing.T, o Options) (*Process, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	o.Key = "devkey"
	p, err := Start(ctx, o)
	if err == nil {
		t.Cleanup(p.Kill)
	}
	return p, err
}

func healthy(t *testing.T, p *Process) bool {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http" + strings.TrimPrefix(p.URL(), "ws"))
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusOK
}

// exists tells whether there is a process of this id.
func exists(pid int) bool {
	_, err := os.Stat("/proc/" + strconv.Itoa(pid))
	return err == nil
}

func TestStartStop(t *testing.T) {
	p, err := start(t, Options{Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(p.URL(), "ws://127.0.0.1:") || !healthy(t, p) {
		t.Errorf("%s is not healthy", p.URL())
	}
	line, err := os.ReadFile("/proc/" + strconv.Itoa(p.Pid()) + "/cmdline")
	if err != nil || bytes.Contains(line, []byte(secret)) {
		t.Errorf("command line %q, %v: want one without the secret", line, err)
	}
	p.Stop()
	if healthy(t, p) || exists(p.Pid()) {
		t.Error("still there after Stop")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("Stop ended it with %s, want exit status 0", p.cmd.ProcessState)
	}
	p.Stop() // and once more changes nothing
}

// A crash test needs the SFU back where it was.
func TestKillRestart(t *testing.T) {
	p, err := start(t, Options{Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	select {
	case <-p.Done():
	default:
		t.Error("Kill returned before the SFU was gone")
	}
	again, err := start(t, Options{Secret: secret, Listen: strings.TrimPrefix(p.URL(), "ws://")})
	if err != nil {
		t.Fatal(err)
	}
	if again.URL() != p.URL() || again.Pid() == p.Pid() || !healthy(t, again) {
		t.Errorf("restarted at %s as %d, want %s and another process", again.URL(), again.Pid(), p.URL())
	}
}

func TestStartErrors(t *testing.T) {
	taken, err := egress.New().ListenTCP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"short secret":    {Options{Secret: "short"}, "PASSERELLE_SFU_SECRET must hold at least 32"},
		"public address":  {Options{Secret: secret, Listen: "0.0.0.0:7880"}, "expected a loopback address"},
		"port taken":      {Options{Secret: secret, Listen: taken.Addr().String()}, "address already in use"},
		"no such program": {Options{Secret: secret, Binary: filepath.Join(t.TempDir(), Name)}, "no such file"},
		"not an address":  {Options{Secret: secret, Listen: "here"}, "missing port"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := start(t, c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, %v: want an error with %q", p, err, c.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Error("the error shows the secret")
			}
		})
	}
}

// A start that is given up leaves no process behind.
func TestStartCancelled(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	program := filepath.Join(t.TempDir(), Name)
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho $$ >"+pidFile+"\necho never ready >&2\nread line\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var log bytes.Buffer
	go func() {
		for {
			if b, err := os.ReadFile(pidFile); err == nil && bytes.HasSuffix(b, []byte("\n")) {
				break
			}
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := Start(ctx, Options{Binary: program, Secret: secret, Log: &log}); err == nil || !strings.Contains(err.Error(), "not ready in time") {
		t.Errorf("%v, want that it was not ready", err)
	}
	b, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err != nil || exists(pid) {
		t.Errorf("process %d, %v: still there", pid, err)
	}
}
