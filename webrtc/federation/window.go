package federation

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"passerelle/bridge"
)

// sources are what crosses of pictures, each in a tile of its own: one shared screen, and the camera of who speaks.
var sources = [...]bridge.Source{bridge.Content, bridge.Camera}

// window stands in front of one room's stage, with its back to another window in front of the other room's: what it is shown, the other shows there. Both stages
// choose, bound and renumber as they do for every leg. It implements bridge.Screen.
//
//	room → its stage → window → way → place of the other window → track in the other room
//
// Packets pass in the call that brings them. For all else wake is told that settle is to be called.
type window struct {
	log    *slog.Logger
	wake   chan<- struct{}
	other  *window
	codecs []bridge.VideoCodec // that the other room takes
	ways   [len(sources)]way   // by tile
	scene  atomic.Pointer[bridge.Scene]

	mu    sync.RWMutex // held while place is used
	place bridge.Place // nil: not in a room

	// Of settle.
	viewer bridge.Place // that view was told to
	view   bridge.View
}

// newWindows makes two, back to back. wake is a channel with a place.
func newWindows(wake chan<- struct{}, log *slog.Logger) (ours, theirs *window) {
	ours, theirs = &window{log: log, wake: wake, codecs: bridge.VideoCodecs()}, &window{log: log, wake: wake, codecs: bridge.VideoCodecs()}
	ours.other, theirs.other = theirs, ours
	for i, source := range sources {
		ours.ways[i] = newWay(source)
		theirs.ways[i] = newWay(source)
	}
	return ours, theirs
}

// Codecs implements bridge.Screen: what one room shows, the other shows as it is.
func (w *window) Codecs() []bridge.VideoCodec { return w.codecs }

// Attach implements bridge.Screen.
func (w *window) Attach(p bridge.Place) {
	w.mu.Lock()
	w.place = p
	w.scene.Store(nil)
	w.mu.Unlock()
	w.poke()
}

// Show implements bridge.Screen.
func (w *window) Show(s *bridge.Scene) {
	w.scene.Store(s)
	w.poke()
}

// WantKeyframe implements bridge.Screen: what is shown in this room comes through the other window. A stage that is busy may call it, so it leaves a note.
func (w *window) WantKeyframe(source bridge.Source, _ int) {
	if i := slices.Index(sources[:], source); i >= 0 {
		w.other.ways[i].keyframe.Store(true)
		w.poke()
	}
}

// WriteVideo implements bridge.Screen.
func (w *window) WriteVideo(tile int, p *bridge.VideoPacket) {
	if tile < 0 || tile >= len(sources) {
		return
	}
	pass, news := w.ways[tile].takes(p.Codec)
	if news {
		w.poke()
	}
	if !pass {
		return
	}
	w.other.mu.RLock()
	defer w.other.mu.RUnlock()
	if w.other.place != nil {
		w.other.place.WriteVideo(sources[tile], 0, p)
	}
}

func (w *window) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// settle brings what passes both windows in line with what both rooms tell, as far as it may now. It is for one goroutine.
func (w *window) settle() {
	for _, w := range [...]*window{w, w.other} {
		w.mu.RLock()
		defer w.mu.RUnlock()
	}
	for _, w := range [...]*window{w, w.other} {
		w.carry()
		w.look()
	}
}

// told is what this room tells of a tile, and of what may be sent into it. Both locks are held.
func (w *window) told(tile int) (shown bridge.Shown, sending bridge.Sending) {
	scene := w.scene.Load()
	if scene == nil || w.place == nil {
		return bridge.Shown{}, bridge.Sending{}
	}
	if tile < len(scene.Tiles) {
		shown = scene.Tiles[tile]
	}
	if sending = scene.Camera; sources[tile] == bridge.Content {
		sending = scene.Content
	}
	return shown, sending
}

// carry begins and ends what goes through this window into the other room. Both locks are held.
func (w *window) carry() {
	for i := range w.ways {
		shown, _ := w.told(i)
		_, to := w.other.told(i)
		if err := w.ways[i].settle(w.other.place, shown, to); err != nil {
			w.log.Info("a picture does not cross", "source", sources[i], "error", err)
		}
	}
}

// look says what is to be seen through this window: what the other room may be sent, as large as it may be, while anybody there looks. Both locks are held.
func (w *window) look() {
	if w.place == nil {
		w.viewer = nil
		return
	}
	v := bridge.View{Tiles: make([]bridge.Tile, len(sources))}
	for i, source := range sources {
		if _, to := w.other.told(i); to.Allowed {
			v.Tiles[i] = bridge.Tile{Source: source, Height: height(source, to), Rest: to.Live && !to.Wanted[0]}
			v.Kbps, v.Rate = to.Kbps, to.Rate
		}
		if w.ways[i].keyframe.Swap(false) {
			w.place.WantKeyframe(i)
		}
	}
	if w.viewer != w.place || v.Kbps != w.view.Kbps || v.Rate != w.view.Rate || !slices.Equal(v.Tiles, w.view.Tiles) {
		w.viewer, w.view = w.place, v
		w.place.View(v)
	}
}
