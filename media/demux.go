package media

// class is what a datagram on a media port is.
type class uint8

const (
	classOther class = iota // STUN, TURN channels, ZRTP and garbage
	classDTLS
	classRTP
	classRTCP
)

// classify looks at the first bytes only (RFC 7983, section 7; RFC 5761, section 4). RTCP is told from RTP by its packet types, 192 to 223.
func classify(b []byte) class {
	switch {
	case len(b) < 8:
		return classOther
	case b[0] >= 20 && b[0] <= 63:
		return classDTLS
	case b[0] < 128 || b[0] > 191:
		return classOther
	case b[1] >= 192 && b[1] <= 223:
		return classRTCP
	case len(b) < 12:
		return classOther
	}
	return classRTP
}
