package bridge

import (
	"context"
	"sync"
	"time"
)

// smallListener is a second hidden listener of the room. An SFU sends one layer of a track to one participant; with two of them, who watches on a
// telephone does not get what is on somebody's wall. It joins when it is first needed.
type smallListener struct {
	stage *stage
	join  func(context.Context) (Session, error)

	// Guarded by stage.mu.
	wanted  bool
	session VideoSession // nil: it is not there

	busy    bool // of the stage's goroutine: it is joining, or there
	next    time.Time
	ended   chan struct{}
	leave   context.CancelFunc
	running sync.WaitGroup
}

// begin joins, if it has not and may try. It does not wait. Of the stage's goroutine.
func (l *smallListener) begin(ctx context.Context) {
	if l.busy {
		select {
		case <-l.ended:
			l.busy = false
		default:
			return
		}
	}
	if l.join == nil || time.Now().Before(l.next) {
		return
	}
	l.busy, l.next, l.ended = true, time.Now().Add(retryAfter), make(chan struct{})
	ctx, l.leave = context.WithCancel(ctx)
	l.running.Go(func() {
		defer close(l.ended)
		l.run(ctx)
	})
}

// run is the listener's stay in the room.
func (l *smallListener) run(ctx context.Context) {
	s, err := l.join(ctx)
	if err != nil {
		if ctx.Err() == nil {
			l.stage.log.Warn("there is no second listener: all see the largest layer that anybody wants", "error", err)
		}
		return
	}
	defer s.Leave()
	video, ok := s.(VideoSession)
	if !ok {
		return
	}
	l.set(video)
	defer l.set(nil)
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-s.Events(): // who comes and goes is told by the first listener
			if !ok {
				return
			}
		}
	}
}

// set says which session there is. Without one, what it watched is gone, and is taken from the first listener.
func (l *smallListener) set(s VideoSession) {
	st := l.stage
	st.mu.Lock()
	defer st.mu.Unlock()
	l.session = s
	for key, source := range st.sources {
		if key.small {
			delete(st.sources, key)
			source.show(nil)
			for pl := range st.places {
				for _, t := range pl.tiles {
					for _, v := range [...]*feed{t.current.Load(), t.want} {
						if v != nil && v.source == source {
							v.off.Store(true)
						}
					}
				}
			}
		}
	}
	st.poke()
}

// close takes the listener out of the room. Of the stage's goroutine.
func (l *smallListener) close() {
	if l.leave != nil {
		l.leave()
	}
	l.running.Wait()
}
