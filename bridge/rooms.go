package bridge

import (
	"context"
	"sync"
	"time"

	"passerelle/transcode/mix"
)

// rooms are the rooms of this node, each joined when its first call enters and left after its last one.
type rooms struct {
	node *Node
	mu   sync.Mutex
	all  map[string]*room
}

func newRooms(n *Node) *rooms { return &rooms{node: n, all: map[string]*room{}} }

// enter answers the room with its listener inside. Every enter is followed by one leave.
func (rs *rooms) enter(ctx context.Context, name string) (*room, error) {
	rs.mu.Lock()
	r, ok := rs.all[name]
	if !ok {
		r = &room{
			name: name, node: rs.node,
			mixer:   mix.New(mix.Options{}),
			chimes:  &chimes{},
			ready:   make(chan struct{}),
			people:  map[string]Participant{},
			own:     map[string]leg{},
			members: map[chan struct{}]bool{},
			lobby:   newLobby(),
		}
		if rs.node.IVR.EntrySound {
			r.mixer.AddSource(r.chimes)
		}
		rs.all[name] = r
		// The first caller's own context does not matter to those who follow: the last one to give up ends the attempt.
		var joining context.Context
		joining, r.giveUp = context.WithCancel(context.WithoutCancel(ctx))
		go r.join(joining)
	}
	r.refs++
	rs.mu.Unlock()

	select {
	case <-r.ready:
	case <-ctx.Done():
		rs.leave(r)
		return nil, context.Cause(ctx)
	}
	if _, err := r.state(""); err != nil {
		rs.leave(r)
		return nil, err
	}
	return r, nil
}

// leave counts a call out of its room. A room that failed takes nobody in any more: who comes next makes it anew.
func (rs *rooms) leave(r *room) {
	rs.mu.Lock()
	r.refs--
	last := r.refs == 0
	_, failed := r.state("")
	if rs.all[r.name] == r && (last || failed != nil) {
		delete(rs.all, r.name)
	}
	rs.mu.Unlock()
	if last {
		r.giveUp()
		<-r.ready
		r.leave()
	}
}

// playoutDelay is the mean delay of the buffers in front of all mixers.
func (rs *rooms) playoutDelay() time.Duration {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var sum time.Duration
	n := 0
	for _, r := range rs.all {
		r.mu.Lock()
		for d := range r.hearing.delays() {
			sum += d
			n++
		}
		r.mu.Unlock()
	}
	return sum / time.Duration(max(n, 1))
}

// count is the number of rooms.
func (rs *rooms) count() int {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return len(rs.all)
}
