package bridge

import (
	"errors"
	"net/netip"
	"time"

	"passerelle/media"
)

// CallInfo is a call as an operator sees it.
type CallInfo struct {
	ID         string
	Protocol   string
	Transport  string
	Trunk      string
	Source     netip.Addr
	State      string // ringing, asking, waiting (in a lobby), joining, talking, ending
	Name       string // as the room sees it
	Number     string // masked
	Called     string
	Room       string
	Rule       string // that granted it
	Foreign    bool
	Began      time.Time
	Muted      bool
	Held       bool
	Hand       bool
	Codec      string
	Encryption string // of media: the profile; empty: none
	Chain      string // of codecs
	Stats      media.Stats
}

// RoomInfo is a room in which calls of this node are.
type RoomInfo struct {
	Name    string
	People  int  // in the room, hidden ones not counted
	Calls   int  // of this node
	Waiting int  // of them in the lobby
	Hosts   int  // of the people
	Away    bool // the SFU is not reached for now
}

// Order is what an operator or a host wants of a call.
type Order struct {
	Verb Verb
	Room string // Move
	By   string // who wants it, for the record: the name of a token, or the identity of a host
}

// Verb is what is wanted.
type Verb string

// What can be wanted of a call.
const (
	End    Verb = "end"
	Mute   Verb = "mute"
	Unmute Verb = "unmute"
	Move   Verb = "move"   // to another room
	Admit  Verb = "admit"  // from the lobby
	Refuse Verb = "refuse" // in the lobby
)

// Change tells that a call began, changed or ended.
type Change struct {
	Kind string // "began", "changed", "ended"
	Call CallInfo
	// Reason is the label of why it ended.
	Reason string
}

// The errors of orders.
var (
	ErrNoCall  = errors.New("there is no such call")
	ErrNotNow  = errors.New("the call is in a state in which this cannot be done")
	ErrNoOrder = errors.New("there is no such order")
)
