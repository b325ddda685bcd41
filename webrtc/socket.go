package webrtc

import (
	"net"
	"net/netip"

	"passerelle/internal/egress"
)

// socket is a UDP socket that sends nothing to where the guard does not permit, whatever ICE has learnt from the far end's packets. pion/ice
// recognises its AddrPort methods and then allocates no address per packet.
type socket struct {
	*net.UDPConn
	guard *egress.Guard
}

// ReadFromAddrPort implements ice.AddrPortReaderWriter.
func (s *socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	return s.ReadFromUDPAddrPort(b)
}

// WriteToAddrPort implements ice.AddrPortReaderWriter.
func (s *socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if err := s.guard.Permits(to.Addr()); err != nil {
		return 0, err
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
