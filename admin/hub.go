package admin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"passerelle/bridge"
)

// Bounds of event streams.
const (
	maxStreams  = 128     // at the same time
	maxPerToken = 16      // of them
	maxUnread   = 1024    // events that a reader may be behind
	maxKept     = 1024    // events that a reader who comes back may have missed
	maxKnown    = 1 << 17 // calls of which the room is known: more than a node takes
)

// Why the node ends a stream: words for clients.
const (
	tooSlow   = "too_slow" // the reader is more than maxUnread events behind, or takes nothing
	tokenGone = "token"    // it was removed, changed or is over
	shutdown  = "shutdown" // the node ends
	left      = ""         // the reader ended it
)

// event is one change of a call.
type event struct {
	seq        uint64
	kind       string // "began", "changed", "ended"
	call       string
	room, from string           // where the call is, and where it was before
	data       [2]func() []byte // JSON, masked and full, made when somebody first wants it
}

// eventView is what a reader gets of an event.
type eventView struct {
	Time   time.Time `json:"time"`
	Kind   string    `json:"kind"`
	Call   callView  `json:"call"`
	Reason string    `json:"reason,omitempty"` // why a call ended
}

// filter says which events a reader wants; empty: all.
type filter struct{ room, call string }

func (f filter) wants(e *event) bool {
	return (f.call == "" || f.call == e.call) && (f.room == "" || f.room == e.room || f.room == e.from)
}

// reader is one event stream.
type reader struct {
	filter
	token  string
	events chan *event
	cut    chan struct{} // closed by the hub
	reason string        // why, good once cut is closed
}

// hub hands the changes of the node's calls to those who read them. Its methods may be called from any goroutine.
type hub struct {
	epoch   string // of ids: another one with each start of the node
	metrics *metrics
	log     *slog.Logger

	mu      sync.Mutex
	closed  bool
	seq     uint64
	kept    []*event          // the last ones, the oldest first
	rooms   map[string]string // in which room each call is
	readers map[*reader]struct{}
}

func newHub(m *metrics, log *slog.Logger) *hub {
	return &hub{epoch: strings.ToLower(rand.Text()[:8]), metrics: m, log: log, rooms: map[string]string{}, readers: map[*reader]struct{}{}}
}

// watch hands on what the node tells until ctx ends; then all streams end.
func (a *api) watch(ctx context.Context) {
	defer a.hub.close()
	if a.keeper == nil { // nobody can read
		<-ctx.Done()
		return
	}
	changes, stop := a.Node.Watch()
	defer stop()
	for {
		select {
		case c, ok := <-changes:
			if !ok { // there are no more calls
				changes = nil
				continue
			}
			a.hub.publish(c)
		case <-ctx.Done():
			return
		}
	}
}

// publish gives a change to everybody who wants it, and cuts those whose queue is full.
func (h *hub) publish(c bridge.Change) {
	at := time.Now().UTC()
	data := func(full bool) func() []byte {
		return sync.OnceValue(func() []byte {
			b, _ := json.Marshal(eventView{at, c.Kind, viewCall(c.Call, full), c.Reason}) // texts, numbers and times: cannot fail
			return b
		})
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	e := &event{seq: h.seq, kind: c.Kind, call: c.Call.ID, room: c.Call.Room, from: h.rooms[c.Call.ID], data: [2]func() []byte{data(false), data(true)}}
	switch {
	case c.Kind == "ended":
		delete(h.rooms, e.call)
	case len(h.rooms) < maxKnown: // the node may drop changes, and with them ends
		h.rooms[e.call] = e.room
	default:
		clear(h.rooms)
	}
	if len(h.kept) == maxKept {
		h.kept = append(h.kept[:0], h.kept[1:]...)
	}
	h.kept = append(h.kept, e)
	for r := range h.readers {
		if !r.wants(e) {
			continue
		}
		select {
		case r.events <- e:
		default:
			h.end(r, tooSlow)
		}
	}
}

// id is how readers know an event.
func (h *hub) id(seq uint64) string { return h.epoch + "-" + strconv.FormatUint(seq, 10) }

// enter makes a reader, with the events that it missed since the one with the id last. whole tells whether these are all: else the reader does
// not know what happened, and must look anew. seq is the last event before those that will come.
func (h *hub) enter(token string, f filter, last string) (r *reader, missed []*event, whole bool, seq uint64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	same := 0
	for o := range h.readers {
		if o.token == token {
			same++
		}
	}
	switch {
	case h.closed:
		return nil, nil, false, 0, refuse(http.StatusServiceUnavailable, "shutdown", "The node is shutting down. Ask another one.")
	case len(h.readers) >= maxStreams, same >= maxPerToken:
		p := refuse(http.StatusTooManyRequests, "too-many-streams", "There are as many event streams as there may be: %d of one token, %d of all. Close one first.", maxPerToken, maxStreams)
		p.wait = 10 * time.Second
		return nil, nil, false, 0, p
	}
	missed, whole = h.since(last)
	r = &reader{filter: f, token: token, events: make(chan *event, maxUnread), cut: make(chan struct{})}
	h.readers[r] = struct{}{}
	h.metrics.streams.Set(float64(len(h.readers)))
	return r, missed, whole, h.seq, nil
}

// since finds the events after the one with an id. An empty id wants none.
func (h *hub) since(last string) (missed []*event, whole bool) {
	if last == "" {
		return nil, true
	}
	epoch, digits, _ := strings.Cut(last, "-")
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || epoch != h.epoch || seq > h.seq || h.seq-seq > uint64(len(h.kept)) {
		return nil, false
	}
	return append(missed, h.kept[len(h.kept)-int(h.seq-seq):]...), true
}

// leave forgets a reader whose stream is over.
func (h *hub) leave(r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end(r, left)
}

// end cuts a reader, unless it is already. mu is held.
func (h *hub) end(r *reader, reason string) {
	if _, there := h.readers[r]; !there {
		return
	}
	delete(h.readers, r)
	r.reason = reason
	close(r.cut)
	h.metrics.streams.Set(float64(len(h.readers)))
	if reason != left {
		h.metrics.cuts.WithLabelValues(reason).Inc()
		h.log.Info("an event stream is ended", "actor", r.token, "reason", reason)
	}
}

// stop cuts one reader.
func (h *hub) stop(r *reader, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end(r, reason)
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for r := range h.readers {
		h.end(r, shutdown)
	}
}
