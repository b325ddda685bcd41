package federation

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"passerelle/bridge"
)

// watched is a track that a fakeSession watches.
type watched struct {
	height int
	sink   bridge.VideoSink
	asked  int // for keyframes
}

func (s *fakeSession) Watch(sid string, height, _ int, sink bridge.VideoSink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sink == nil {
		delete(s.watched, sid)
	} else {
		s.watched[sid] = watched{height, sink, s.watched[sid].asked}
	}
	return nil
}

func (s *fakeSession) WantKeyframe(sid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, ok := s.watched[sid]; ok {
		w.asked++
		s.watched[sid] = w
	}
}

func (s *fakeSession) PublishVideo(_ context.Context, p bridge.Publication) (bridge.VideoTrack, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown[p.Source] != nil {
		return nil, errors.New("there is one already")
	}
	t := &fakePicture{session: s, wish: p}
	s.shown[p.Source] = t
	return t, nil
}

func (s *fakeSession) VideoCodecs() []bridge.VideoCodec { return s.takes }

// heights are what is watched.
func (s *fakeSession) heights() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := map[string]int{}
	for sid, w := range s.watched {
		list[sid] = w.height
	}
	return list
}

func (s *fakeSession) keyframes(sid string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watched[sid].asked
}

// sends has a track of the room bring packets, the first with a keyframe.
func (s *fakeSession) sends(sid string, c *camera, n int) {
	s.mu.Lock()
	w := maps.Clone(s.watched)[sid]
	s.mu.Unlock()
	for i := range n {
		if p := c.next(i == 0); w.sink != nil {
			w.sink.WriteVideo(p)
		}
	}
}

func (s *fakeSession) picture(source bridge.Source) *fakePicture {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown[source]
}

// fakePicture is a published picture.
type fakePicture struct {
	session *fakeSession
	wish    bridge.Publication

	mu    sync.Mutex
	muted bool
	got   []bridge.VideoPacket
}

func (p *fakePicture) WriteVideo(_ int, v *bridge.VideoPacket) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := *v
	kept.Payload = slices.Clone(v.Payload)
	p.got = append(p.got, kept)
	return nil
}

func (p *fakePicture) SetMuted(_ context.Context, muted bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.muted = muted
	return nil
}

func (p *fakePicture) Unpublish() {
	p.session.mu.Lock()
	defer p.session.mu.Unlock()
	if p.session.shown[p.wish.Source] == p {
		delete(p.session.shown, p.wish.Source)
	}
}

func (p *fakePicture) packets() []bridge.VideoPacket {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

func (p *fakePicture) isMuted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.muted
}

// camera makes a VP8 stream of one packet per picture (RFC 7741, section 4.2).
type camera struct {
	packet bridge.VideoPacket
	name   byte // in each payload
}

func newCamera(name byte) *camera {
	return &camera{packet: bridge.VideoPacket{Codec: &bridge.VideoCodec{Kind: bridge.VP8}, Marker: true, Payload: make([]byte, 100)}, name: name}
}

func (c *camera) next(key bool) *bridge.VideoPacket {
	p := &c.packet
	p.Sequence++
	p.Timestamp += bridge.VideoRate / 30
	p.Arrival = time.Now()
	copy(p.Payload, []byte{0x10, 1, c.name})
	if key {
		p.Payload[1] = 0
	}
	return p
}

// fakePlace is in front of a stage that does nothing by itself.
type fakePlace struct {
	refuse  error
	views   []bridge.View
	started []begun
	stopped []bridge.Source
	written map[bridge.Source]int
	asked   []int
}

type begun struct {
	source bridge.Source
	codec  bridge.VideoCodec
	layer  bridge.Layer
}

func (p *fakePlace) Start(source bridge.Source, codec bridge.VideoCodec, layers []bridge.Layer) error {
	if p.refuse == nil {
		p.started = append(p.started, begun{source, codec, layers[0]})
	}
	return p.refuse
}

func (p *fakePlace) WriteVideo(source bridge.Source, _ int, _ *bridge.VideoPacket) {
	if p.written == nil {
		p.written = map[bridge.Source]int{}
	}
	p.written[source]++
}

func (p *fakePlace) Stop(source bridge.Source) { p.stopped = append(p.stopped, source) }
func (p *fakePlace) View(v bridge.View)        { p.views = append(p.views, v) }
func (p *fakePlace) WantKeyframe(tile int)     { p.asked = append(p.asked, tile) }

func (p *fakePlace) view() bridge.View { return p.views[len(p.views)-1] }
