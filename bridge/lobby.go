package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/bridge/policy"
)

// LobbyTopic is the topic of data messages between the lobby and the hosts of a room, both ways: see docs/lobby.md.
const LobbyTopic = "passerelle.lobby"

// lobbyMessage is one such message. To hosts: everybody who waits, whenever that changes. From a host: one verdict.
type lobbyMessage struct {
	Version int       `json:"version"`           // 1
	Type    string    `json:"type"`              // "waiting", "admit", "refuse"
	Waiting []visitor `json:"waiting,omitempty"` // to hosts
	Call    string    `json:"call,omitempty"`    // from a host: whom
}

// visitor is somebody who waits, as hosts see them.
type visitor struct {
	Call     string    `json:"call"`
	Name     string    `json:"name"` // as the room will see it
	Protocol string    `json:"protocol"`
	Foreign  bool      `json:"foreign"`
	Since    time.Time `json:"since"`
}

// lobby holds those who wait for a host of one room. The room's mutex guards it.
type lobby struct {
	waiting map[*call]*waiter
	hosts   map[string]bool // identities
	doubted map[string]bool // identities that claim to be hosts, and of whom the log says so
	changed chan struct{}   // hosts are to be told again
	stop    context.CancelFunc
}

func newLobby() lobby {
	return lobby{waiting: map[*call]*waiter{}, hosts: map[string]bool{}, doubted: map[string]bool{}}
}

// waiter is one call's place in a lobby.
type waiter struct {
	visitor
	woken   chan struct{} // something changed: hosts, or the room
	verdict chan verdict  // one place
}

// verdict is what a host decided.
type verdict struct {
	admitted bool
	by       string
}

const (
	remindTime   = 15 * time.Second // between two messages to hosts who have not decided
	maxLobbyData = 1 << 10          // bytes of a host's message
	lobbySend    = 3 * time.Second  // for the SFU to take a message
)

// door is how the caller comes into a room: as the rule says, and no more easily than Visio has it for its own visitors, or the caller's link has it.
func (c *call) door(ref RoomRef) policy.Lobby {
	if c.who.Lobby || ref.Access != "" && ref.Access != "public" {
		return policy.AskHost
	}
	return c.decision.Grant.Lobby
}

// wait keeps the caller in the lobby of the room until a host lets them in, or turns them away.
func (c *call) wait(ctx context.Context, ref RoomRef) error {
	door := c.door(ref)
	if door != policy.WithHost && door != policy.AskHost {
		return nil
	}
	var r *room
	err := c.during(ctx, func(ctx context.Context) (err error) {
		r, err = c.node.rooms.enter(ctx, ref.Name)
		return err
	})
	if err != nil {
		return err
	}
	defer c.node.rooms.leave(r)
	w := r.queue(c)
	defer r.unqueue(c)
	if door == policy.WithHost && r.hasHost() {
		return nil
	}
	c.enterState(waiting) // not before: whoever sees the state may decide at once
	c.recordAdmission("waits", "rules")
	c.say(ivr.LobbyWait)
	c.stand(func(s *Standing) { s.Until = time.Now().Add(c.node.Lobby.Timeout) })
	music := c.loop(ivr.WaitingMusic())
	v, err := c.verdict(ctx, r, w, ref)
	music.Stop()
	switch {
	case errors.Is(err, ErrLobbyTimeout):
		c.recordAdmission("timeout", "rules")
	case err != nil:
		c.recordAdmission("left", "")
	case !v.admitted:
		c.recordAdmission("refused", v.by)
		err = ErrNotAdmitted
	default:
		c.recordAdmission("admitted", v.by)
		c.say(ivr.LobbyAdmitted)
	}
	return err
}

// verdict waits for a host's decision, an operator's, or a host's coming where that is enough.
func (c *call) verdict(ctx context.Context, r *room, w *waiter, ref RoomRef) (verdict, error) {
	timeout := time.NewTimer(c.node.Lobby.Timeout)
	defer timeout.Stop()
	for {
		select {
		case <-ctx.Done():
			return verdict{}, context.Cause(ctx)
		case <-timeout.C:
			return verdict{}, ErrLobbyTimeout
		case v := <-w.verdict:
			return v, nil
		case <-w.woken:
			if _, err := r.state(""); err != nil {
				return verdict{}, err
			}
			if c.door(ref) == policy.WithHost && r.hasHost() {
				return verdict{admitted: true, by: "rules"}, nil
			}
		case o := <-c.orders:
			if o.Verb == Admit || o.Verb == Refuse {
				o.done <- nil
				return verdict{o.Verb == Admit, o.By}, nil
			}
			o.done <- ErrNotNow
		case <-c.changed:
			if err := c.rethink(ctx); err != nil {
				return verdict{}, err
			}
		case <-c.tones: // keys mean nothing here
		case e, ok := <-c.leg.Events():
			if !ok {
				return verdict{}, ErrHungUp
			}
			if _, err := c.heed(e); err != nil {
				return verdict{}, err
			}
		}
	}
}

// queue gives a call its place. The hosts of the room are told.
func (r *room) queue(c *call) *waiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := &waiter{
		visitor: visitor{Call: c.who.CallID, Name: c.name(), Protocol: c.who.Protocol, Foreign: c.decision.Grant.Foreign, Since: time.Now()},
		woken:   make(chan struct{}, 1), verdict: make(chan verdict, 1),
	}
	r.lobby.waiting[c] = w
	r.members[w.woken] = true
	if len(r.lobby.waiting) == 1 {
		var ctx context.Context
		ctx, r.lobby.stop = context.WithCancel(context.Background())
		r.lobby.changed = make(chan struct{}, 1)
		go r.tellHosts(ctx, r.lobby.changed)
	}
	r.waitingChanged()
	return w
}

// unqueue takes a call's place away. The last to go ends what queue began.
func (r *room) unqueue(c *call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, r.lobby.waiting[c].woken)
	delete(r.lobby.waiting, c)
	r.waitingChanged()
	if len(r.lobby.waiting) == 0 {
		r.lobby.stop()
	}
}

// waitingChanged has the hosts told. r.mu is held.
func (r *room) waitingChanged() {
	select {
	case r.lobby.changed <- struct{}{}:
	default: // they will be, also where nobody waits and changed is nil
	}
}

// tellHosts sends the list of those who wait to the hosts, when it or they change, and again from time to time: a host's page may have been loaded
// anew. The last message, of an empty list, is sent when ctx has ended.
func (r *room) tellHosts(ctx context.Context, changed <-chan struct{}) {
	remind := time.NewTicker(remindTime)
	defer remind.Stop()
	for last := false; !last; {
		select {
		case <-ctx.Done():
			last = true
		case <-changed:
		case <-remind.C:
		}
		message, hosts := r.waitingList()
		if len(hosts) == 0 {
			continue
		}
		sending, stop := context.WithTimeout(context.WithoutCancel(ctx), lobbySend)
		if err := r.node.SFU.SendData(sending, r.name, LobbyTopic, message, hosts); err != nil {
			r.node.Log.Warn("the hosts of a room cannot be told who waits", "room", r.name, "error", err)
		}
		stop()
	}
}

// waitingList is the message for the hosts, and who they are.
func (r *room) waitingList() (message []byte, hosts []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := lobbyMessage{Version: 1, Type: "waiting", Waiting: []visitor{}}
	for _, w := range r.lobby.waiting {
		m.Waiting = append(m.Waiting, w.visitor)
	}
	slices.SortFunc(m.Waiting, func(a, b visitor) int { return a.Since.Compare(b.Since) })
	for h := range r.lobby.hosts {
		hosts = append(hosts, h)
	}
	message, _ = json.Marshal(m) // strings and times always can be
	return message, hosts
}

// hear takes a message of somebody in the room, whom the SFU names. Only a host's verdict on somebody who waits means anything.
func (r *room) hear(e SessionEvent) {
	var m lobbyMessage
	if e.Topic != LobbyTopic || len(e.Data) > maxLobbyData || json.Unmarshal(e.Data, &m) != nil || m.Version != 1 {
		return
	}
	if m.Type != "admit" && m.Type != "refuse" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.lobby.hosts[e.Participant.Identity] {
		r.node.Log.Warn("somebody who is no host decides on who waits: nothing happens", "room", r.name, "identity", limit(e.Participant.Identity, 60))
		return
	}
	for _, w := range r.lobby.waiting {
		if w.Call == m.Call {
			select {
			case w.verdict <- verdict{m.Type == "admit", "host " + limit(e.Participant.Identity, 60)}:
			default: // another host was faster
			}
		}
	}
}

// noteHost keeps who is a host. A role that a participant may write itself proves nothing. r.mu is held.
func (r *room) noteHost(p Participant) {
	l := r.node.Lobby
	role := p.Attributes[l.HostAttribute]
	host := l.HostAttribute != "" && role != "" && slices.ContainsFunc(l.HostValues, func(v string) bool { return strings.EqualFold(v, role) })
	if host && p.MayChangeSelf {
		if host = false; !r.lobby.doubted[p.Identity] {
			r.lobby.doubted[p.Identity] = true
			r.node.Log.Warn("a participant says to be a host, and may say of itself what it likes: not believed", "room", r.name, "identity", limit(p.Identity, 60))
		}
	}
	if host == r.lobby.hosts[p.Identity] {
		return
	}
	if host {
		r.lobby.hosts[p.Identity] = true
	} else {
		delete(r.lobby.hosts, p.Identity)
	}
	r.waitingChanged()
}

// hasHost tells whether a host is in the room.
func (r *room) hasHost() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.lobby.hosts) > 0
}

// info is the room as an operator sees it.
func (r *room) info() RoomInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return RoomInfo{
		Name: r.name, People: len(r.people), Calls: len(r.own), Waiting: len(r.lobby.waiting), Hosts: len(r.lobby.hosts), Away: r.away,
	}
}
