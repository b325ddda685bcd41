package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
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
	Number     string // in full: mask it where people read it who need not know
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

// The errors of orders, and of calls that are to be made.
var (
	ErrNoCall  = errors.New("there is no such call")
	ErrNotNow  = errors.New("the call is in a state in which this cannot be done")
	ErrNoOrder = errors.New("there is no such order")
	// ErrNoTarget is of an address that nothing can be called at, ErrJoined of rooms that are joined already.
	ErrNoTarget = errors.New("there is no such place to call")
	ErrJoined   = errors.New("these rooms are joined already")
)

// orderTime is how long a call may take to do what it is told.
const orderTime = 5 * time.Second

// order is an Order on its way to the call's goroutine.
type order struct {
	Order
	done chan error // takes one answer without waiting
}

// Calls lists the calls of this node, the oldest first.
func (n *Node) Calls() []CallInfo {
	var list []CallInfo
	for _, c := range n.all() {
		list = append(list, c.view.Load().info())
	}
	slices.SortFunc(list, func(a, b CallInfo) int { return a.Began.Compare(b.Began) })
	return list
}

// Call answers one call of this node.
func (n *Node) Call(id string) (CallInfo, bool) {
	c := n.find(id)
	if c == nil {
		return CallInfo{}, false
	}
	return c.view.Load().info(), true
}

// Rooms lists the rooms in which calls of this node are, by name.
func (n *Node) Rooms() []RoomInfo {
	n.rooms.mu.Lock()
	defer n.rooms.mu.Unlock()
	var list []RoomInfo
	for _, r := range n.rooms.all {
		list = append(list, r.info())
	}
	slices.SortFunc(list, func(a, b RoomInfo) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Do has a call do something, and returns when it has. Errors: ErrNoCall, ErrNotNow, ErrNoOrder, and what the SFU says.
func (n *Node) Do(ctx context.Context, id string, o Order) error {
	c := n.find(id)
	switch {
	case c == nil:
		return fmt.Errorf("%w: %s", ErrNoCall, id)
	case o.Verb == End:
		c.stop(fmt.Errorf("%w: %s", ErrEnded, o.By))
		return nil
	case !slices.Contains([]Verb{Mute, Unmute, Move, Admit, Refuse}, o.Verb), o.Verb == Move && strings.TrimSpace(o.Room) == "":
		return fmt.Errorf("%w: %s", ErrNoOrder, o.Verb)
	}
	ctx, stop := context.WithTimeout(ctx, orderTime)
	defer stop()
	out := order{o, make(chan error, 1)}
	select {
	case c.orders <- out:
	case <-c.gone:
		return fmt.Errorf("%w any more: %s", ErrNoCall, id)
	case <-ctx.Done():
		return ErrNotNow
	}
	select {
	case err := <-out.done:
		return err
	case <-c.gone:
		return fmt.Errorf("%w any more: %s", ErrNoCall, id)
	}
}

// Watch tells of every change until stop is called. A reader that is slow loses the oldest ones.
func (n *Node) Watch() (changes <-chan Change, stop func()) { return n.changes.watch() }

// all are the calls that were let in and have not ended.
func (n *Node) all() []*call {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]*call, 0, len(n.calls))
	for c := range n.calls {
		list = append(list, c)
	}
	return list
}

// find answers a call by its id, or nil.
func (n *Node) find(id string) *call {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.calls {
		if c.who.CallID == id {
			return c
		}
	}
	return nil
}
