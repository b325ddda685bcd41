package sdp

// Direction is who sends on a stream, seen from the side that writes it (RFC 8866, section 6.7).
type Direction uint8

// The directions. The zero value is the one that an absent attribute means.
const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
)

// String is the attribute's name.
func (d Direction) String() string {
	return [...]string{"sendrecv", "sendonly", "recvonly", "inactive"}[d&3]
}

func (d Direction) sends() bool    { return d == SendRecv || d == SendOnly }
func (d Direction) receives() bool { return d == SendRecv || d == RecvOnly }

func directionOf(sends, receives bool) Direction {
	switch {
	case sends && receives:
		return SendRecv
	case sends:
		return SendOnly
	case receives:
		return RecvOnly
	}
	return Inactive
}

// direction is what the far end says about a stream: the media level wins over the session level. An unspecified address (c=0.0.0.0, c=::) is the
// hold of RFC 2543 devices: they do not hear, whatever the attribute says.
func (d *description) direction(s *section) Direction {
	dir := SendRecv
	if v, ok := findDirection(s.attributes); ok {
		dir = v
	} else if v, ok := findDirection(d.attributes); ok {
		dir = v
	}
	if d.muted(s) {
		dir = directionOf(dir.sends(), false)
	}
	return dir
}

func findDirection(attributes []attribute) (Direction, bool) {
	for _, a := range attributes {
		for d := SendRecv; d <= Inactive; d++ {
			if a.name == d.String() {
				return d, true
			}
		}
	}
	return SendRecv, false
}
