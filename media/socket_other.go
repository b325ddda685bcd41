//go:build !linux

package media

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// socket is one UDP socket of a stream.
type socket struct {
	*net.UDPConn
	handle  handler
	reading sync.Mutex
	done    chan struct{}
}

// handler takes one datagram, the first n bytes of p, and gives back a packet to read the next into.
type handler func(p *packet, n int, from netip.AddrPort, now time.Time) *packet

func newSocket(c *net.UDPConn, handle handler) (*socket, error) {
	return &socket{UDPConn: c, handle: handle, done: make(chan struct{})}, nil
}

func (s *socket) send(b []byte, to netip.AddrPort) error {
	_, err := s.WriteToUDPAddrPort(b, to)
	return err
}

// reader reads each socket in a goroutine of its own.
type reader struct{}

func (*reader) add(list ...*socket) error {
	for _, s := range list {
		go s.run()
	}
	return nil
}

func (*reader) remove(list ...*socket) {
	for _, s := range list {
		s.Close()
		<-s.done
		s.reading.Lock() // nobody is at it any more
		s.reading.Unlock()
	}
}

func (s *socket) close() { s.Close() }

func (s *socket) run() {
	defer close(s.done)
	p := packets.Get().(*packet)
	defer func() { packets.Put(p) }()
	for {
		n, from, err := s.ReadFromUDPAddrPort(p.buf[:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		s.reading.Lock()
		p = s.handle(p, n, unmap(from), time.Now())
		s.reading.Unlock()
	}
}
