// Package sfuproc runs the embedded SFU, the program of internal/sfu, as a child process. The child listens on loopback only, and it ends when
// this process does, however that ends.
package sfuproc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"passerelle/internal/egress"
)

// stopTime is how long the SFU may take to say good-bye to its participants.
const stopTime = 10 * time.Second

// Options says which SFU to start. Key and Secret are the one API key that it knows; Secret has at least 32 characters.
type Options struct {
	Binary  string // path of passerelle-sfu; empty: the one that Find finds
	Listen  string // loopback host:port; port 0: any free one; empty: 127.0.0.1:0
	UDP     string // loopback host:port of the media port; empty: any free one
	Key     string
	Secret  string
	Redis   string    // host:port; empty: none, and no SIP API
	Webhook string    // URL; empty: none
	Log     io.Writer // gets what the SFU says about itself; nil: nobody does
}

// Process is a running SFU.
type Process struct {
	address string
	cmd     *exec.Cmd
	done    chan struct{} // closed when the child is gone
}

// Start starts an SFU and returns when it answers. The context bounds the start only: use Stop to end what was started.
func Start(ctx context.Context, o Options) (*Process, error) {
	if o.Binary == "" {
		var err error
		if o.Binary, err = Find(); err != nil {
			return nil, err
		}
	}
	address, err := choosePort(ctx, o.Listen)
	if err != nil {
		return nil, fmt.Errorf("SFU: listen on %q: %w", o.Listen, err)
	}
	p := &Process{address: address, cmd: exec.Command(o.Binary, o.args(address)...), done: make(chan struct{})}
	if _, err := p.cmd.StdinPipe(); err != nil { // nothing is written to it: the child ends when it breaks
		return nil, err
	}
	ready := &lineWaiter{line: "ready\n", seen: make(chan struct{})}
	said := &tail{w: o.Log}
	p.cmd.Stdout, p.cmd.Stderr = ready, said
	p.cmd.Env = []string{"PASSERELLE_SFU_SECRET=" + o.Secret} // and nothing of our own, which may hold other secrets
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}   // a Ctrl-C is for us: the SFU is needed until the last call has ended
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the SFU: %w", err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()

	select {
	case <-ready.seen:
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("the SFU ended before it was ready, with %s: %s", p.cmd.ProcessState, said)
	case <-ctx.Done():
		p.Kill()
		return nil, fmt.Errorf("the SFU was not ready in time: %w: %s", ctx.Err(), said)
	}
}

func (o Options) args(address string) []string {
	args := []string{"--exit-with-stdin", "--listen", address, "--key", o.Key}
	for _, f := range [...]struct{ flag, value string }{{"--udp", o.UDP}, {"--redis", o.Redis}, {"--webhook", o.Webhook}} {
		if f.value != "" {
			args = append(args, f.flag, f.value)
		}
	}
	return args
}

// URL is where clients join: ws://host:port.
func (p *Process) URL() string { return "ws://" + p.address }

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the SFU is gone.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill ends the SFU at once, as a crash would, and returns when it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop lets the SFU say good-bye to its participants, and returns when it is gone.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTime):
		p.Kill()
	}
}

// choosePort replaces port 0 by a free one, because the SFU has no way to tell which it would have taken.
func choosePort(ctx context.Context, listen string) (string, error) {
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	if _, port, err := net.SplitHostPort(listen); err != nil || port != "0" {
		return listen, err
	}
	l, err := egress.New().ListenTCP(ctx, listen)
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// lineWaiter closes seen when line has been written to it.
type lineWaiter struct {
	line string
	seen chan struct{}
	once sync.Once
	have []byte
}

func (w *lineWaiter) Write(b []byte) (int, error) {
	if len(w.have) <= len(w.line) { // the line is the first, what follows does not matter
		w.have = append(w.have, b...)
	}
	if bytes.HasPrefix(w.have, []byte(w.line)) {
		w.once.Do(func() { close(w.seen) })
	}
	return len(b), nil
}

// tail keeps the end of what is written through it to w, for an error message.
type tail struct {
	w    io.Writer
	mu   sync.Mutex
	last []byte
}

const tailSize = 1024

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	t.last = append(t.last, b...)
	t.last = t.last[max(0, len(t.last)-tailSize):]
	t.mu.Unlock()
	if t.w != nil {
		_, _ = t.w.Write(b) // a full log must not stop the SFU
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.last))
}
