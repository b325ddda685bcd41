package sdp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// discard is the port that stands for "not known yet" with an unspecified address, in offers made for trickle ICE (RFC 8840, section 4.1.1).
const discard = 9

// address reads a c= value: network type, address type, address with an optional TTL (RFC 8866, section 5.7). A host name gives the zero Addr.
func address(connection string) netip.Addr {
	f := strings.Fields(connection)
	if len(f) == 0 {
		return netip.Addr{}
	}
	host, _, _ := strings.Cut(f[len(f)-1], "/")
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return addr.WithZone("").Unmap()
}

func (d *description) address(s *section) netip.Addr {
	if s.connection != "" {
		return address(s.connection)
	}
	return address(d.connection)
}

// muted tells whether the address says "send me nothing": 0.0.0.0 or ::.
func (d *description) muted(s *section) bool {
	addr := d.address(s)
	return addr.IsValid() && addr.IsUnspecified() && s.port != discard
}

// reachable tells whether the description says where packets go.
func (d *description) reachable(s *section) bool {
	addr := d.address(s)
	return addr.IsValid() && !addr.IsUnspecified() && s.port != 0
}

// remote finds where RTP and RTCP go. Either is zero where it cannot be told from the description.
func (d *description) remote(s *section, mux bool) (rtp, rtcp netip.AddrPort, err error) {
	addr := d.address(s)
	if addr.IsMulticast() {
		return rtp, rtcp, fmt.Errorf("%w: multicast address", ErrMalformed)
	}
	if !d.reachable(s) {
		return rtp, rtcp, nil
	}
	rtp = netip.AddrPortFrom(addr, s.port)
	switch v, ok := get(s.attributes, "rtcp"); {
	case mux:
		rtcp = rtp
	case ok:
		rtcp = rtcpAttribute(v, addr)
	case s.port < 65535:
		rtcp = netip.AddrPortFrom(addr, s.port+1)
	}
	return rtp, rtcp, nil
}

// rtcpAttribute reads a=rtcp: a port, and an address where it differs from RTP's (RFC 3605, section 2.1).
func rtcpAttribute(value string, addr netip.Addr) netip.AddrPort {
	port, rest, _ := strings.Cut(value, " ")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return netip.AddrPort{}
	}
	if rest != "" {
		addr = address(rest)
	}
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, uint16(n))
}

// ptimes reads a=ptime and a=maxptime: what the far end wants in a packet and what it takes at most, both in ms and in 10–60.
func (d *description) ptimes(s *section) (ptime, maxPTime int) {
	ptime, maxPTime = DefaultPTime, 60
	if v, ok := d.inherited(s, "maxptime"); ok {
		maxPTime = milliseconds(v, maxPTime)
	}
	if v, ok := d.inherited(s, "ptime"); ok {
		ptime = milliseconds(v, ptime)
	}
	return min(ptime, maxPTime), maxPTime
}

// milliseconds reads "20", and "20.5" and "20 ms" as 20, too.
func milliseconds(value string, otherwise int) int {
	digits := 0
	for digits < len(value) && digits < 4 && value[digits] >= '0' && value[digits] <= '9' {
		digits++
	}
	n, err := strconv.Atoi(value[:digits])
	if err != nil || n == 0 {
		return otherwise
	}
	return min(max(n, 10), 60)
}
