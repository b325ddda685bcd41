package admin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"passerelle/bridge"
	"passerelle/bridge/journal"
	"passerelle/bridge/policy"
	"passerelle/media"
)

// fakeNode is a node whose calls stand where a test puts them.
type fakeNode struct {
	mu       sync.Mutex
	calls    []bridge.CallInfo
	rooms    []bridge.RoomInfo
	orders   []told
	answer   func(ctx context.Context, id string, o bridge.Order) error
	changes  chan bridge.Change
	watching bool
}

// told is an order that was given.
type told struct {
	id string
	bridge.Order
}

func newFakeNode() *fakeNode {
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	call := func(id, state, room string, minutes int) bridge.CallInfo {
		return bridge.CallInfo{
			ID: id, Protocol: "sip", Transport: "tls", Trunk: "carrier", Source: netip.MustParseAddr("192.0.2.77"), State: state,
			Name: "Camille +33612345678", Number: "+33612345678", Called: "+33145678900", Room: room, Rule: "carrier", Began: at.Add(time.Duration(minutes) * time.Minute),
			Codec: "PCMA", Encryption: "AES_CM_128_HMAC_SHA1_80", Chain: "PCMA → mix → Opus",
			Stats: media.Stats{PacketsReceived: 100, PacketsSent: 90, Lost: 1, Jitter: 1234567, RoundTrip: 20 * time.Millisecond},
		}
	}
	n := &fakeNode{
		calls:   []bridge.CallInfo{call("c1", "talking", "council", 0), call("c2", "waiting", "council", 1), call("c3", "talking", "other/room", 2), call("c4", "asking", "", 2)},
		rooms:   []bridge.RoomInfo{{Name: "council", People: 3, Calls: 2, Waiting: 1, Hosts: 1}, {Name: "other/room", People: 1, Calls: 1, Away: true}},
		changes: make(chan bridge.Change),
	}
	n.calls[2].Foreign, n.calls[2].Protocol, n.calls[2].Source = true, "webrtc", netip.MustParseAddr("2001:db8:1:2::3")
	return n
}

func (n *fakeNode) Calls() []bridge.CallInfo {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.calls)
}

func (n *fakeNode) Call(id string) (bridge.CallInfo, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.calls {
		if c.ID == id {
			return c, true
		}
	}
	return bridge.CallInfo{}, false
}

func (n *fakeNode) Rooms() []bridge.RoomInfo {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.rooms)
}

func (n *fakeNode) Do(ctx context.Context, id string, o bridge.Order) error {
	if _, ok := n.Call(id); !ok {
		return bridge.ErrNoCall
	}
	n.mu.Lock()
	n.orders = append(n.orders, told{id, o})
	answer := n.answer
	n.mu.Unlock()
	if answer != nil {
		return answer(ctx, id, o)
	}
	return nil
}

func (n *fakeNode) Watch() (<-chan bridge.Change, func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watching = true
	return n.changes, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.watching = false
	}
}

// respond says what orders come to from now on.
func (n *fakeNode) respond(f func(ctx context.Context, id string, o bridge.Order) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answer = f
}

// taken are the orders so far.
func (n *fakeNode) taken() []told {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.orders)
}

// fakeJournal keeps entries in memory, and finds all of them.
type fakeJournal struct {
	mu      sync.Mutex
	entries []journal.Entry
	broken  error
	asked   []journal.Query
}

func (j *fakeJournal) Ready() error { return nil }

func (j *fakeJournal) Write(e journal.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
}

// Search pages through what was written, with the place as the cursor.
func (j *fakeJournal) Search(_ context.Context, q journal.Query) (page []journal.Record, next string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked = append(j.asked, q)
	if j.broken != nil {
		return nil, "", j.broken
	}
	from := len(j.entries)
	if q.Cursor != "" {
		if from, err = strconv.Atoi(q.Cursor); err != nil || from > len(j.entries) {
			return nil, "", errors.Join(journal.ErrQuery, err)
		}
	}
	for i := from - 1; i >= 0; i-- {
		if len(page) == q.Limit {
			return page, strconv.Itoa(i + 1), nil
		}
		page = append(page, journal.Record{Entry: j.entries[i], Node: "n1", Seq: uint64(i + 1)})
	}
	return page, "", nil
}

// of lists the entries of a kind.
func (j *fakeJournal) of(k journal.Kind) []journal.Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []journal.Entry
	for _, e := range j.entries {
		if e.Kind == k {
			list = append(list, e)
		}
	}
	return list
}

// last is the latest entry of the admin API.
func (j *fakeJournal) last() journal.Entry {
	list := j.of(journal.Admin)
	if len(list) == 0 {
		return journal.Entry{}
	}
	return list[len(list)-1]
}

// fakeRules are rules of which a test says what a reload brings.
type fakeRules struct {
	mu       sync.Mutex
	set      *policy.Set
	reloaded int
	next     string // source of what a reload finds
}

const someRules = `version: 1
rules:
  - name: carrier
    when: {trunk: carrier}
    grant: {audio: both, codecs: [opus], networks: [192.0.2.0/24], duration: 1h30m, keys: all}
  - name: rest
    refuse: {text: Not from here}
`

func newFakeRules() *fakeRules {
	f := &fakeRules{next: someRules}
	if err := f.Reload(); err != nil {
		panic(err)
	}
	f.reloaded = 0
	return f
}

func (f *fakeRules) Set() *policy.Set {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.set
}

func (f *fakeRules) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reloaded++
	set, err := policy.Parse("rules.yaml", []byte(f.next))
	if err != nil {
		return fmt.Errorf("the rules cannot be used:\n%w", err)
	}
	f.set = set
	return nil
}

// write says what the next reload finds.
func (f *fakeRules) write(source string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = source
}

func (f *fakeRules) reloads() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reloaded
}
