package livekit

import (
	"slices"
	"sync"

	"passerelle/bridge"
)

// maxData is how many data messages wait for a reader. The oldest is dropped.
const maxData = 64

// events is the queue between a session and whoever reads its events. It never blocks the session and loses no state: what a later event makes
// obsolete is replaced, so it holds at most a few events and two per participant.
type events struct {
	out  chan bridge.SessionEvent
	wake chan struct{}
	quit chan struct{} // closed by abandon: nobody has to read any more

	mu    sync.Mutex
	list  []bridge.SessionEvent
	data  int
	ended bool
	once  sync.Once
}

func newEvents() *events {
	return &events{out: make(chan bridge.SessionEvent, 16), wake: make(chan struct{}, 1), quit: make(chan struct{})}
}

// put adds an event. Nothing follows SessionEnded.
func (q *events) put(e bridge.SessionEvent) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	q.ended = e.Kind == bridge.SessionEnded
	if q.list = q.merge(e); q.data > maxData {
		q.drop(slices.IndexFunc(q.list, func(e bridge.SessionEvent) bool { return e.Kind == bridge.DataReceived }))
		q.data--
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// merge is the list with e in it.
func (q *events) merge(e bridge.SessionEvent) []bridge.SessionEvent {
	switch e.Kind {
	case bridge.DataReceived:
		q.data++
	case bridge.MutedByHost:
		q.drop(slices.IndexFunc(q.list, func(o bridge.SessionEvent) bool { return o.Kind == e.Kind && o.Source == e.Source }))
	case bridge.SelfChanged, bridge.SpeakersChanged, bridge.RecordingChanged:
		q.drop(slices.IndexFunc(q.list, func(o bridge.SessionEvent) bool { return o.Kind == e.Kind }))
	case bridge.ParticipantChanged, bridge.ParticipantLeft:
		q.drop(slices.IndexFunc(q.list, func(o bridge.SessionEvent) bool {
			return o.Kind == e.Kind && o.Participant.Identity == e.Participant.Identity
		}))
	case bridge.Interrupted: // again, before anybody saw that all was well between: it was not
		is := func(k bridge.SessionEventKind) func(bridge.SessionEvent) bool {
			return func(o bridge.SessionEvent) bool { return o.Kind == k }
		}
		if first := slices.IndexFunc(q.list, is(bridge.Interrupted)); first >= 0 {
			q.drop(first + slices.IndexFunc(q.list[first:], is(bridge.Restored)))
			return q.list
		}
	}
	return append(q.list, e)
}

func (q *events) drop(i int) {
	if i >= 0 {
		q.list = slices.Delete(q.list, i, i+1)
	}
}

// next takes the first event.
func (q *events) next() (bridge.SessionEvent, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		q.list = nil // a burst's memory is not kept
		return bridge.SessionEvent{}, false
	}
	e := q.list[0]
	q.drop(0)
	if e.Kind == bridge.DataReceived {
		q.data--
	}
	return e, true
}

// run hands events over until SessionEnded has been, and closes out.
func (q *events) run() {
	defer close(q.out)
	for {
		e, ok := q.next()
		if !ok {
			<-q.wake
			continue
		}
		select {
		case q.out <- e:
		case <-q.quit:
			q.force(e)
		}
		if e.Kind == bridge.SessionEnded {
			return
		}
	}
}

// force puts an event in front of a reader who may not come: the oldest makes room.
func (q *events) force(e bridge.SessionEvent) {
	for {
		select {
		case q.out <- e:
			return
		default:
		}
		select {
		case <-q.out:
		default:
		}
	}
}

// abandon says that the events may not be read any more.
func (q *events) abandon() { q.once.Do(func() { close(q.quit) }) }
