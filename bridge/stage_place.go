package bridge

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"passerelle/bridge/policy"
)

// queueLength is how many packets wait for a place: a quarter of a second of a good picture, or a large keyframe.
const queueLength = 512

// place is one leg in front of the stage. It implements Place. Its goroutine (serve) sends what the leg sees; another (publish) keeps what the leg shows
// in the room.
type place struct {
	stage    *stage
	screen   Screen
	identity string // in the room, so that nobody sees themselves
	bridge   bool   // the leg is another room, and sees no others
	codecs   []VideoCodec
	log      *slog.Logger
	queue    chan item
	done     chan struct{}
	running  sync.WaitGroup
	asks     *rate.Limiter // keyframes that this leg may ask of others
	sends    map[Source]*sending
	session  VideoSession // the leg's own
	changed  chan struct{}
	tiles    [MaxTiles]*tile
	dropped  atomic.Int64 // times that the leg was too slow
	beyond   atomic.Int64 // packets of pictures that were more a second than the grant takes
	out      VideoPacket  // of serve
	scratch  scratch      // of serve

	// Guarded by stage.mu.
	grant    policy.Grant
	may      map[Source]bool // as the room lets it
	recorded bool            // the room is
	view     View
	squeeze  int // how many steps the view is below what was asked for, for want of bandwidth
	shown    *Scene
}

// tile is one picture of a place's view.
type tile struct {
	place   *place
	index   int
	current atomic.Pointer[feed] // what is seen
	number  renumber             // of serve

	// Guarded by stage.mu.
	want   *feed // what is to be seen
	pick   pick
	paused bool // for bandwidth, or because nobody looks
	small  bool // by the small listener
	height int  // that is asked for, after all bounds
}

// forward sends one packet, if it still belongs to what its tile shows.
func (pl *place) forward(i item) {
	defer pl.stage.packets.release(i.packet)
	t := i.feed.tile
	if i.feed.off.Load() {
		return
	}
	if old := t.current.Load(); i.first || old != i.feed {
		if !i.first {
			return // the rest of a picture whose beginning was not sent
		}
		t.number.restart(&i.packet.packet, old == i.feed)
		t.current.Store(i.feed)
		if old != nil && old != i.feed {
			old.off.Store(true)
		}
		pl.stage.poke() // what is shown has changed
	}
	if t.number.apply(&i.packet.packet, &pl.out, &pl.scratch) {
		pl.screen.WriteVideo(t.index, &pl.out)
	}
}

func (pl *place) serve() {
	for {
		select {
		case i := <-pl.queue:
			pl.forward(i)
		case <-pl.done:
			return
		}
	}
}

// View implements Place.
func (pl *place) View(v View) {
	v.Tiles = append([]Tile(nil), v.Tiles[:min(len(v.Tiles), MaxTiles)]...)
	pl.stage.mu.Lock()
	pl.view = v
	pl.stage.mu.Unlock()
	pl.stage.poke()
}

// WantKeyframe implements Place.
func (pl *place) WantKeyframe(index int) {
	if index < 0 || index >= MaxTiles || !pl.asks.Allow() {
		return
	}
	if v := pl.tiles[index].current.Load(); v != nil && !v.off.Load() {
		v.source.wantKeyframe(time.Now())
	}
}

// leave takes the leg away from the stage, and what it shows out of the room. It returns when nothing of the place is left.
func (pl *place) leave() {
	pl.screen.Attach(nil)
	st := pl.stage
	st.mu.Lock()
	delete(st.places, pl)
	for _, t := range pl.tiles {
		t.clear()
	}
	st.mu.Unlock()
	st.poke()
	close(pl.done)
	pl.running.Wait()
	if n := pl.dropped.Load(); n > 0 {
		pl.log.Info("the leg was too slow for pictures", "times", n)
	}
	if n := pl.beyond.Load(); n > 0 {
		pl.log.Info("the leg sent more pictures a second than its rule takes", "packets", n)
	}
}

// clear has the tile show nothing. stage.mu is held.
func (t *tile) clear() {
	for _, v := range [...]*feed{t.current.Load(), t.want} {
		if v != nil {
			v.off.Store(true)
		}
	}
	t.want = nil
}

// setGrant takes what the rules say now.
func (pl *place) setGrant(g policy.Grant) {
	pl.stage.mu.Lock()
	pl.grant, pl.shown = g, nil
	pl.shut()
	pl.stage.mu.Unlock()
	pl.stage.poke()
	pl.wake()
}

// setRecorded takes whether the room is recorded: who may not be shows nothing then.
func (pl *place) setRecorded(on bool) {
	pl.stage.mu.Lock()
	pl.recorded, pl.shown = on, nil
	pl.shut()
	pl.stage.mu.Unlock()
	pl.stage.poke()
	pl.wake()
}

// permit takes what the room lets the leg do now.
func (pl *place) permit(p Participant) {
	pl.stage.mu.Lock()
	pl.may = map[Source]bool{Camera: p.CanShow, Content: p.CanShare}
	pl.shut()
	pl.stage.mu.Unlock()
	pl.stage.poke()
	pl.wake()
}

// shut lets through nothing of what the leg may not show any more: at once, because publish may be waiting for the SFU. stage.mu is held.
func (pl *place) shut() {
	for source, s := range pl.sends {
		if !pl.allowed(source) {
			s.out.Store(nil)
		}
	}
}

// wake has publish look at what is wanted.
func (pl *place) wake() {
	select {
	case pl.changed <- struct{}{}:
	default:
	}
}
