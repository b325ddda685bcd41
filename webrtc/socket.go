package webrtc

import (
	"maps"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"passerelle/internal/egress"
)

// socket is a UDP socket that sends nothing to where it is not permitted, whatever ICE has learnt from the far end's packets: to the national networks,
// and to the addresses that are open for a peer connection with a pass of its own. pion/ice recognises its AddrPort methods and then allocates no
// address per packet.
type socket struct {
	*net.UDPConn
	pass *egress.Pass
	rtcp *reports                           // nil: it is not bounded
	open atomic.Pointer[map[netip.Addr]int] // how many peer connections an address is open for; changed by replacing it
}

func newSocket(c *net.UDPConn, pass *egress.Pass, rtcp *reports) *socket {
	s := &socket{UDPConn: c, pass: pass, rtcp: rtcp}
	s.open.Store(&map[netip.Addr]int{})
	return s
}

// change opens an address for one more peer connection (1), or for one less (-1). One goroutine calls it at a time.
func (s *socket) change(a netip.Addr, by int) {
	open := maps.Clone(*s.open.Load())
	if open[a] += by; open[a] <= 0 {
		delete(open, a)
	}
	s.open.Store(&open)
}

// permits tells whether a packet may be sent to the address. It neither allocates nor locks, unless it refuses.
func (s *socket) permits(a netip.Addr) bool {
	return s.pass.Includes(a) || (*s.open.Load())[a.Unmap()] > 0 || s.pass.Permits(a, egress.ICE)
}

// ReadFromAddrPort implements ice.AddrPortReaderWriter.
func (s *socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := s.ReadFromUDPAddrPort(b)
		if err != nil || s.rtcp.take(b[:n], from, time.Now()) {
			return n, from, err
		}
	}
}

// WriteToAddrPort implements ice.AddrPortReaderWriter.
func (s *socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if !s.permits(to.Addr()) {
		return 0, egress.ErrDenied
	}
	return s.WriteToUDPAddrPort(b, to)
}

// WriteTo implements net.PacketConn.
func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, net.InvalidAddrError("not a UDP address")
	}
	return s.WriteToAddrPort(b, a.AddrPort())
}
