// Package sipp runs scenarios of SIPp, a SIP traffic generator that none of us wrote, for tests: calls that follow a script to the letter, where a
// telephone would do as it likes.
package sipp

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Options says how a scenario is run.
type Options struct {
	Bind      string // loopback address of SIP and RTP; empty: 127.0.0.1
	Transport string // udp or tcp; empty: udp
	Echo      bool   // what comes on [media_port] and on [media_port]+2 is sent back to where it came from
}

// Process is a running SIPp with one call.
type Process struct {
	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of the process, after exited
}

// Start begins a scenario against target, host:port. What is left of it ends with the test.
func Start(t testing.TB, target, scenario string, o Options) *Process {
	t.Helper()
	if o.Bind == "" {
		o.Bind = "127.0.0.1"
	}
	p := &Process{dir: t.TempDir(), exited: make(chan struct{})}
	path := filepath.Join(p.dir, "scenario.xml")
	if err := os.WriteFile(path, []byte(scenario), 0o600); err != nil {
		t.Fatal(err)
	}
	transport := "u1"
	if o.Transport == "tcp" {
		transport = "t1"
	}
	args := []string{
		target, "-sf", path, "-m", "1", "-i", o.Bind, "-mi", o.Bind, "-p", freePort(t, o.Bind), "-mp", freePort(t, o.Bind), "-t", transport, "-nostdin",
		"-trace_err", "-error_file", filepath.Join(p.dir, "errors"), "-trace_msg", "-message_file", filepath.Join(p.dir, "messages"),
		"-timeout", "60s", "-timeout_error",
	}
	if o.Echo {
		args = append(args, "-rtp_echo")
	}
	p.cmd = exec.Command("sipp", args...)
	p.cmd.Dir = p.dir
	p.cmd.Env = append(os.Environ(), "TERM=dumb")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("sipp (make setup-test installs it): %v", err)
	}
	go func() {
		defer close(p.exited)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("sipp: %v\n%s\n%s", p.err, p.read("errors"), p.Messages())
		}
	})
	return p
}

// Wait waits until the scenario has ended as it should.
func (p *Process) Wait(t testing.TB, within time.Duration) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(within):
		t.Fatalf("sipp has not ended within %v", within)
	}
	if p.err != nil {
		t.Fatalf("sipp: %v\n%s", p.err, p.read("errors"))
	}
}

// Messages is all that was sent and received, as SIPp writes it down.
func (p *Process) Messages() string { return p.read("messages") }

// Received are the messages that came, in their order.
func (p *Process) Received() []string {
	var all []string
	for _, m := range strings.Split(p.Messages(), "-----------------------------------------------") {
		if _, text, ok := strings.Cut(m, "message received"); ok {
			if _, text, ok = strings.Cut(text, "\n\n"); ok {
				all = append(all, strings.ReplaceAll(text, "\r", ""))
			}
		}
	}
	return all
}

func (p *Process) read(name string) string {
	b, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		return fmt.Sprintf("(no %s)", name)
	}
	return string(b)
}

// freePort is a port on which, a moment ago, nothing used UDP.
func freePort(t testing.TB, address string) string {
	t.Helper()
	l, err := net.ListenPacket("udp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.LocalAddr().String())
	return port
}
