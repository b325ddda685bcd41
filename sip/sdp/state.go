package sdp

// State is what the next round of a dialog needs to know. The zero value is a dialog before its first round. It holds keys and is a value:
// keep the last one that a function returned.
type State struct {
	lines      []line // our m-lines, in order
	audio      int    // which of them is stream; meaningless while there are none
	stream     stream
	version    uint64 // of o=
	body       string // what was sent, without o=
	generation uint32 // of our SDES keys
	agreed     Agreed
	settled    bool // agreed is valid
}

// line is one m-line of ours.
type line struct {
	kind, proto string
	formats     []string
	refused     bool
}

// stream is all that is written about the audio line.
type stream struct {
	port      uint16
	formats   []format
	crypto    []crypto
	print     string // fingerprint
	setup     string
	direction Direction
	ptime     int
	mux       bool
	mid       string
	bundle    bool
}

// String hides the keys.
func (s State) String() string { return "sdp.State" }

// GoString hides the keys from %#v.
func (s State) GoString() string { return s.String() }

// before is the state to start from; a nil prev is a dialog before its first round.
func before(prev *State) *State {
	if prev == nil {
		return &State{}
	}
	return prev
}

// open tells whether the audio line was in use.
func (s *State) open() bool {
	return s.audio < len(s.lines) && !s.lines[s.audio].refused
}
