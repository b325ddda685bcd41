package bridge

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"passerelle/bridge/policy"
)

// stage is what the legs of one room on this node see of it. It watches each track that any of them shows once, and hands its packets to all.
//
//	SFU → source ─┬→ queue → place: renumber → Screen
//	              └→ queue → place: renumber → Screen
//
// Its goroutine (run) decides who is shown where and tells it; packets pass it by. A tile is given another source by a second feed, which takes over
// when its first keyframe comes.
type stage struct {
	log     *slog.Logger
	session VideoSession // the room's listener
	small   *smallListener
	packets sharedPackets
	wake    chan struct{}

	mu       sync.Mutex
	seats    map[string]*seat // by identity
	roster   []*seat          // in the order of coming
	edition  uint64           // of roster
	came     int
	ids      map[string]SeatID // by identity: who comes back is the same
	lastSeat SeatID
	shared   int
	loudest  []Speaker
	speaking []SeatID
	floor    floor
	places   map[*place]struct{}
	sources  map[sourceKey]*source
}

// newStage makes a stage. second joins a second hidden listener, for those who want a track smaller than others do.
func newStage(log *slog.Logger, session VideoSession, second func(context.Context) (Session, error)) *stage {
	st := &stage{
		log: log, session: session, wake: make(chan struct{}, 1),
		seats: map[string]*seat{}, ids: map[string]SeatID{}, places: map[*place]struct{}{}, sources: map[sourceKey]*source{},
	}
	st.small = &smallListener{stage: st, join: second}
	return st
}

// scenePause is the least time between two looks at everything, and between two scenes.
const scenePause = 200 * time.Millisecond

// run decides until ctx ends. There is no place any more then.
func (st *stage) run(ctx context.Context) {
	defer st.small.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-st.wake:
		}
		if next := st.update(ctx, time.Now()); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(scenePause):
		}
	}
}

// poke has run look again.
func (st *stage) poke() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

// update brings what is watched and shown in line with what is wanted, and says when to look again if nobody pokes.
func (st *stage) update(ctx context.Context, now time.Time) (next time.Time) {
	st.mu.Lock()
	next = st.listen(now)
	seats := st.ranked()
	for pl := range st.places {
		st.seatTiles(pl, seats)
	}
	st.measure(now)
	for pl := range st.places {
		st.fitBudget(pl)
	}
	changes, at := st.connect(now)
	next = sooner(next, at)
	type scene struct {
		screen Screen
		scene  *Scene
	}
	var scenes []scene
	for pl := range st.places {
		if sc := st.scene(pl); !sameScene(sc, pl.shown) {
			pl.shown = sc
			scenes = append(scenes, scene{pl.screen, sc})
		}
		for _, s := range pl.sends {
			next = sooner(next, s.due(now))
		}
	}
	wantSmall := st.small.wanted
	st.mu.Unlock()
	for _, change := range changes {
		change()
	}
	for _, s := range scenes {
		s.screen.Show(s.scene)
	}
	if wantSmall {
		st.small.begin(ctx)
	}
	return next
}

// listen takes who speaks. st.mu is held.
func (st *stage) listen(now time.Time) (next time.Time) {
	st.speaking = st.speaking[:0:0]
	for _, l := range st.loudest {
		for _, s := range st.roster {
			if s.p.SID == l.SID {
				st.speaking = append(st.speaking, s.id)
			}
		}
	}
	_, next = st.floor.heard(st.speaking, now)
	return next
}

// arrive takes in a participant who came or changed.
func (st *stage) arrive(p Participant) {
	if p.Hidden {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.seats[p.Identity]
	if s == nil {
		st.came++
		s = &seat{id: st.idOf(p.Identity), came: st.came}
		st.seats[p.Identity] = s
		st.roster = append(st.roster, s)
	} else if visible(s.p, p) {
		s.p = p
		return
	}
	_, before := s.picture(Content)
	s.p = p
	if _, now := s.picture(Content); now && !before {
		st.shared++
		s.shared = st.shared
	}
	st.edition++
	st.poke()
}

// maxIDs bounds how many identities are remembered.
const maxIDs = 10_000

// idOf is the id of an identity: its own, if it has been there before. st.mu is held.
func (st *stage) idOf(identity string) SeatID {
	id, ok := st.ids[identity]
	if !ok {
		st.lastSeat++
		id = st.lastSeat
		if len(st.ids) < maxIDs {
			st.ids[identity] = id
		}
	}
	return id
}

// depart lets a participant go.
func (st *stage) depart(identity string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.seats[identity]
	if s == nil {
		return
	}
	delete(st.seats, identity)
	st.roster = slices.DeleteFunc(st.roster, func(o *seat) bool { return o == s })
	st.floor.forget(s.id)
	st.edition++
	st.poke()
}

// speak takes who speaks now.
func (st *stage) speak(list []Speaker) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.loudest = list
	st.poke()
}

// byID finds a seat. st.mu is held.
func (st *stage) byID(id SeatID) *seat {
	if i := slices.IndexFunc(st.roster, func(s *seat) bool { return s.id == id }); i >= 0 {
		return st.roster[i]
	}
	return nil
}

// enter gives a leg its place. session is the leg's own, by which it shows what it shows; self is who it is in the room. ctx ends what the place does, as
// leave does; leave is called in any case.
func (st *stage) enter(ctx context.Context, screen Screen, session VideoSession, self Participant, g policy.Grant, log *slog.Logger) *place {
	pl := &place{
		stage: st, screen: screen, identity: self.Identity, bridge: self.Attributes[BridgeAttribute] != "", codecs: screen.Codecs(), log: log, session: session, grant: g,
		may:   map[Source]bool{Camera: self.CanShow, Content: self.CanShare},
		queue: make(chan item, queueLength), done: make(chan struct{}), changed: make(chan struct{}, 1),
		asks:  rate.NewLimiter(rate.Every(2*time.Second), 3),
		sends: map[Source]*sending{},
	}
	for i := range pl.tiles {
		pl.tiles[i] = &tile{place: pl, index: i}
	}
	for _, source := range [...]Source{Camera, Content} {
		pl.sends[source] = &sending{place: pl, source: source}
	}
	ctx, stop := context.WithCancel(ctx)
	pl.running.Go(pl.serve)
	pl.running.Go(func() { pl.publish(ctx) })
	pl.running.Go(func() { <-pl.done; stop() })
	st.mu.Lock()
	st.places[pl] = struct{}{}
	st.mu.Unlock()
	screen.Attach(pl)
	st.poke()
	return pl
}
