//go:build e2e

package journal

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a node and its database and can lose an answer.
type proxy struct {
	listener net.Listener
	server   string
	armed    atomic.Pointer[[]byte]
	lost     atomic.Int64
	all      sync.WaitGroup
	done     chan struct{} // closed at the end
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: server, done: make(chan struct{})}
	p.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		close(p.done)
		_ = l.Close()
		p.all.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// loseAnswerTo has the next request with this word reach the server and its answer get lost, with the connection.
func (p *proxy) loseAnswerTo(word string) {
	b := []byte(word)
	p.armed.Store(&b)
}

func (p *proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var losing atomic.Bool
	ended := make(chan struct{})
	p.all.Go(func() {
		select {
		case <-p.done:
		case <-ended:
		}
		_ = client.Close()
	})
	p.all.Go(func() {
		defer close(ended)
		b := make([]byte, 64<<10)
		for {
			n, err := server.Read(b)
			if err != nil || losing.Load() {
				return
			}
			if _, err := client.Write(b[:n]); err != nil {
				return
			}
		}
	})
	b := make([]byte, 64<<10)
	for {
		n, err := client.Read(b)
		if err != nil {
			break
		}
		if word := p.armed.Load(); word != nil && bytes.Contains(bytes.ToLower(b[:n]), *word) && p.armed.CompareAndSwap(word, nil) {
			losing.Store(true)
			p.lost.Add(1)
		}
		if _, err := server.Write(b[:n]); err != nil {
			break
		}
	}
	_ = server.Close()
	<-ended
}
