package guest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"passerelle/bridge"
)

// pictures is the part of a leg that shows and sends pictures.
type pictures struct {
	tiles  atomic.Pointer[[]*outlet]
	scene  atomic.Pointer[bridge.Scene] // the latest
	showed atomic.Bool                  // run has been told of it and has not looked yet

	mu    sync.RWMutex // guards place, live and feeds; place is used while it is held
	place bridge.Place // nil: not in a room
	live  [2]bool      // by sourceIndex: was started at place
	feeds [2][bridge.MaxLayers]*feed

	// owned by run
	flows [2]flow
	view  bridge.View
}

// feed is one layer of what the page sends.
type feed struct {
	peer        *peer
	source      bridge.Source
	layer       int
	ssrc        uint32
	dependency  uint8 // id of the header extension; 0: none
	payloadType uint8
	codec       *bridge.VideoCodec
	packet      bridge.VideoPacket
}

// flow is what the page says of its camera, or of a shared screen.
type flow struct {
	picture
	codec *bridge.VideoCodec // of what comes; nil: nothing came yet
}

func sourceIndex(s bridge.Source) int {
	if s == bridge.Content {
		return 1
	}
	return 0
}

// Codecs implements bridge.Screen.
func (l *Leg) Codecs() []bridge.VideoCodec {
	if tiles := l.tiles.Load(); tiles != nil && len(*tiles) > 0 {
		if b := (*tiles)[0].bound.Load(); b != nil {
			return b.formats()
		}
	}
	return nil
}

// Attach implements bridge.Screen.
func (l *Leg) Attach(p bridge.Place) {
	l.mu.Lock()
	l.place, l.live = p, [2]bool{}
	l.mu.Unlock()
	if p != nil {
		l.later(func() {
			l.start(bridge.Camera)
			l.start(bridge.Content)
			l.look()
		})
	}
}

// at calls f with the place in the room, where there is one. f must not block.
func (l *Leg) at(f func(p bridge.Place)) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.place != nil {
		f(l.place)
	}
}

// WriteVideo implements bridge.Screen.
func (l *Leg) WriteVideo(tile int, p *bridge.VideoPacket) {
	if tiles := l.tiles.Load(); tiles != nil && tile < len(*tiles) {
		_ = (*tiles)[tile].video(p) // a line that is gone shows in the state of its connection
	}
}

// WantKeyframe implements bridge.Screen.
func (l *Leg) WantKeyframe(source bridge.Source, layer int) {
	if layer < 0 || layer >= bridge.MaxLayers {
		return
	}
	l.mu.RLock()
	f := l.feeds[sourceIndex(source)][layer]
	l.mu.RUnlock()
	if f != nil {
		_ = f.peer.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: f.ssrc}})
	}
}

// forward hands a packet of the page to the room. It is called on the goroutine that reads the feed.
func (l *Leg) forward(f *feed, p *rtp.Packet, now time.Time) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := sourceIndex(f.source)
	if l.place == nil || !l.live[i] || l.feeds[i][f.layer] != f {
		return
	}
	f.packet = bridge.VideoPacket{
		Codec: f.codec, Sequence: p.SequenceNumber, Timestamp: p.Timestamp, Marker: p.Marker, Payload: p.Payload, Arrival: now,
	}
	if f.dependency != 0 {
		f.packet.Dependency = p.GetExtension(f.dependency)
	}
	l.place.WriteVideo(f.source, f.layer, &f.packet)
}

// appear notes a feed that has begun, or changed its format.
func (l *Leg) appear(f *feed) {
	codec := f.codec
	l.mu.Lock()
	l.feeds[sourceIndex(f.source)][f.layer] = f
	l.mu.Unlock()
	l.later(func() {
		flow := &l.flows[sourceIndex(f.source)]
		if f.peer != l.peer || flow.codec != nil && *flow.codec == *codec {
			return
		}
		flow.codec = codec
		l.start(f.source)
	})
}

// vanish forgets a feed that has ended.
func (l *Leg) vanish(f *feed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := &l.feeds[sourceIndex(f.source)][f.layer]; *at == f {
		*at = nil
	}
}

// set takes what the page says of its camera, or of a shared screen.
func (l *Leg) set(source bridge.Source, p picture) {
	flow := &l.flows[sourceIndex(source)]
	if flow.picture == p {
		return
	}
	flow.picture = p
	if p.On {
		l.start(source)
		return
	}
	l.stop(source)
}

// start has the room take what the page sends, where it says that it does, the format is known, and there is a room.
func (l *Leg) start(source bridge.Source) {
	i := sourceIndex(source)
	flow := &l.flows[i]
	if !flow.On || flow.codec == nil || l.peer == nil {
		return
	}
	use := UseCamera
	if source == bridge.Content {
		use = UseScreen
	}
	layers := []bridge.Layer{{Width: flow.Width, Height: flow.Height, Kbps: flow.Kbps}}
	for _, s := range l.peer.sections {
		if s.use == use {
			layers = s.layers(flow.picture)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.place == nil {
		return
	}
	err := l.place.Start(source, *flow.codec, layers)
	if l.live[i] = err == nil; err != nil {
		l.log.Info("guest: the room does not take a picture", "source", source, "codec", flow.codec.Kind, "error", err)
	}
}

// stop has the room take no more of it.
func (l *Leg) stop(source bridge.Source) {
	i := sourceIndex(source)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.place != nil && l.live[i] {
		l.place.Stop(source)
	}
	l.live[i] = false
}

// cut forgets what a peer connection sent that is going to be replaced: the page says anew what it sends.
func (l *Leg) cut() {
	for _, source := range []bridge.Source{bridge.Camera, bridge.Content} {
		l.stop(source)
		l.flows[sourceIndex(source)] = flow{}
	}
	l.view.Tiles = nil
	l.told.tiles, l.told.sending = nil, nil
}

// look tells the room's stage what the page wants to see, and where it is shown.
func (l *Leg) look() {
	if l.peer == nil {
		return
	}
	tiles := l.peer.tiles
	for len(l.view.Tiles) < len(tiles) {
		height := 0
		if l.listener {
			height = listenerHeight
		}
		l.view.Tiles = append(l.view.Tiles, bridge.Tile{Height: height})
	}
	l.view.Tiles = l.view.Tiles[:len(tiles):len(tiles)]
	l.view.Kbps = l.peer.down.kbps()
	l.tiles.Store(&tiles)
	v := l.view
	v.Tiles = append([]bridge.Tile(nil), v.Tiles...) // ours changes with the next layout
	l.at(func(p bridge.Place) { p.View(v) })
}

// listenerHeight is the height of the one picture of a far end that says no layout.
const listenerHeight = 720

// adapt tells the stage when the line takes noticeably more or less than it was told.
func (l *Leg) adapt() {
	if l.peer == nil || len(l.view.Tiles) == 0 {
		return
	}
	if now, was := l.peer.down.kbps(), l.view.Kbps; now*20 > was*21 || now*20 < was*19 {
		l.look()
	}
}

// lost asks for a keyframe of what a tile shows.
func (l *Leg) lost(p *peer, tile int) {
	if tiles := l.tiles.Load(); tiles == nil || tile >= len(*tiles) || (*tiles)[tile] != p.tiles[tile] {
		return // of a peer connection that has been replaced
	}
	l.at(func(place bridge.Place) { place.WantKeyframe(tile) })
}
