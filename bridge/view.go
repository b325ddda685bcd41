package bridge

import (
	"sync"
	"time"
)

// view is what others may see of a call. Its goroutine publishes a new one with every change; nobody changes an old one.
type view struct {
	CallInfo
	state state
	audio Audio         // nil before the answer
	chain func() string // nil before the answer
}

// info is the view with what changes from packet to packet.
func (v *view) info() CallInfo {
	i := v.CallInfo
	i.State = v.state.String()
	if v.audio != nil {
		i.Stats = v.audio.Stats()
		i.Codec, i.Encryption, i.Chain = v.audio.Codec().Name, i.Stats.Encryption, v.chain()
	}
	return i
}

// show publishes a change of the call's view.
func (c *call) show(change func(v *view)) {
	v := *c.view.Load()
	change(&v)
	c.view.Store(&v)
	c.node.changes.tell("changed", &v, "")
	c.stand(func(s *Standing) {
		if s.State = v.state.String(); v.state != waiting {
			s.Until = time.Time{}
		}
	})
}

// stand tells a leg with a display how the call stands, where that has changed.
func (c *call) stand(change func(s *Standing)) {
	before := c.standing
	if change(&c.standing); c.display != nil && c.standing != before {
		c.display.Tell(c.standing)
	}
}

// changes tells those who watch the calls of a node. Its methods may be called from any goroutine.
type changes struct {
	mu       sync.Mutex
	watchers map[chan Change]struct{}
}

// maxUnread is how many changes a reader may be behind.
const maxUnread = 256

func (s *changes) watch() (<-chan Change, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := make(chan Change, maxUnread)
	s.watchers[ch] = struct{}{}
	return ch, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, there := s.watchers[ch]; there {
			delete(s.watchers, ch)
			close(ch)
		}
	}
}

func (s *changes) tell(kind string, v *view, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.watchers) == 0 {
		return
	}
	change := Change{Kind: kind, Call: v.info(), Reason: reason}
	for ch := range s.watchers {
		for sent := false; !sent; {
			select {
			case ch <- change:
				sent = true
			default: // full: the oldest makes room
				select {
				case <-ch:
				default:
				}
			}
		}
	}
}
