package webrtc

import (
	"net/netip"
	"strconv"
	"strings"
)

// parseCandidate reads the address of an ICE candidate attribute (RFC 8839, section 5.1), with or without its "a=" and "candidate:". It refuses
// everything but UDP and literal addresses.
func parseCandidate(s string) (netip.AddrPort, bool) {
	s = strings.TrimPrefix(s, "a=")
	f := strings.Fields(strings.TrimPrefix(s, "candidate:")) // foundation component transport priority address port typ …
	if len(f) < 8 || f[6] != "typ" || !strings.EqualFold(f[2], "udp") {
		return netip.AddrPort{}, false
	}
	a, err := netip.ParseAddr(f[4])
	if err != nil || a.Zone() != "" {
		return netip.AddrPort{}, false
	}
	port, err := strconv.ParseUint(f[5], 10, 16)
	if err != nil || port == 0 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(port)), true
}

// filterCandidates removes the candidate lines that keep does not want from an SDP.
func filterCandidates(sdp string, keep func(netip.AddrPort) bool) string {
	if !strings.Contains(sdp, "a=candidate:") {
		return sdp
	}
	var out strings.Builder
	out.Grow(len(sdp))
	for line := range strings.SplitAfterSeq(sdp, "\n") {
		if strings.HasPrefix(line, "a=candidate:") {
			if a, ok := parseCandidate(line); !ok || !keep(a) {
				continue
			}
		}
		out.WriteString(line)
	}
	return out.String()
}
