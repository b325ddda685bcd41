package admin

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"time"

	"passerelle/admin/tokens"
)

// pace is how often an event stream does what.
type pace struct {
	beat  time.Duration // a comment, so that neither side takes silence for the end
	look  time.Duration // whether the token still holds
	write time.Duration // for what is written to have gone
}

func usualPace() pace {
	return pace{beat: 15 * time.Second, look: time.Second, write: 10 * time.Second}
}

// eventRoutes are the stream of what changes.
func (a *api) eventRoutes() []route {
	return []route{{path: "/api/v1/events", role: tokens.Viewer, stream: true, handle: a.events}}
}

// events is a stream of server-sent events (WHATWG HTML, section 9.2). It ends when the reader goes or is too slow, when its token is not good
// any more, and when the node ends; the last event says why.
func (a *api) events(w http.ResponseWriter, r *http.Request, by *caller) (any, error) {
	q := newQuery(r.URL.RawQuery, "room", "call")
	if err := q.err(); err != nil {
		return nil, err
	}
	last := r.Header.Get("Last-Event-ID")
	if !isText(last) {
		last = "?" // of no event
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return written{}, nil
	}
	in, missed, whole, seq, err := a.hub.enter(by.token.Name, filter{room: q.text("room"), call: q.text("call")}, last)
	if err != nil {
		return nil, err
	}
	defer a.hub.leave(in)
	s := &stream{api: a, by: by, in: in, to: http.NewResponseController(w), w: w}
	s.start(missed, whole, seq)
	s.run(r)
	return written{}, nil
}

// stream writes events to one reader.
type stream struct {
	api *api
	by  *caller
	in  *reader
	to  *http.ResponseController
	w   http.ResponseWriter
	out bytes.Buffer
}

// start sends what the reader missed, and tells where the stream begins. One that missed more than is kept must look at everything anew.
func (s *stream) start(missed []*event, whole bool, seq uint64) {
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.Header().Set("X-Accel-Buffering", "no") // proxies hold events back otherwise
	s.out.WriteString("retry: 3000\n")
	for _, e := range missed {
		if s.in.wants(e) {
			s.event(e)
		}
	}
	kind := "open"
	if !whole {
		kind = "reset"
	}
	s.put(kind, s.api.hub.id(seq), []byte(`{}`))
}

// run writes until the stream is over.
func (s *stream) run(r *http.Request) {
	_ = s.to.SetReadDeadline(time.Time{}) // there is always a connection; that a reader has gone shows in r.Context
	beat, look := time.NewTicker(s.api.pace.beat), time.NewTicker(s.api.pace.look)
	defer beat.Stop()
	defer look.Stop()
	for s.flush() == nil {
		if s.ended() {
			return
		}
		select {
		case e := <-s.in.events:
			s.event(e)
			for range min(len(s.in.events), 64) { // what is there goes together
				s.event(<-s.in.events)
			}
		case <-s.in.cut:
		case <-beat.C:
			s.out.WriteString(": still here\n\n")
		case <-look.C:
			if s.by.token.Expired(s.api.now()) || !s.api.keeper.Has(s.by.token) {
				s.api.hub.stop(s.in, tokenGone)
			}
		case <-r.Context().Done():
			return
		}
	}
}

// ended tells whether the node ended the stream, and tells the reader why.
func (s *stream) ended() bool {
	select {
	case <-s.in.cut:
		s.put("end", "", fmt.Appendf(nil, `{"reason":%q}`, s.in.reason))
		_ = s.flush() // the reader may be gone
		return true
	default:
		return false
	}
}

// event puts one event among what is written next.
func (s *stream) event(e *event) {
	form := 0
	if s.by.full() {
		form = 1
	}
	s.put("call."+e.kind, s.api.hub.id(e.seq), e.data[form]())
}

// put writes one event; data is JSON, on one line.
func (s *stream) put(kind, id string, data []byte) {
	if id != "" {
		fmt.Fprintf(&s.out, "id: %s\n", id)
	}
	fmt.Fprintf(&s.out, "event: %s\ndata: %s\n\n", kind, data)
}

// flush sends what was put. A reader who takes nothing for too long is given up.
func (s *stream) flush() error {
	if s.out.Len() == 0 {
		return nil
	}
	err := s.to.SetWriteDeadline(time.Now().Add(s.api.pace.write))
	if err == nil {
		_, err = s.w.Write(s.out.Bytes())
	}
	s.out.Reset()
	if err = errors.Join(err, s.to.Flush()); err != nil {
		s.api.hub.stop(s.in, tooSlow)
	}
	return err
}
