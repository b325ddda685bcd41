package bridge

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge/policy"
	"passerelle/media"
)

var vp8 = VideoCodec{Kind: VP8}

// fakeCamera makes a VP8 stream of one packet per picture.
type fakeCamera struct {
	packet VideoPacket
	id     uint16
	tl0    uint8
}

func newFakeCamera(seq uint16, timestamp uint32, id uint16, tl0 uint8) *fakeCamera {
	return &fakeCamera{packet: VideoPacket{Codec: &vp8, Sequence: seq, Timestamp: timestamp, Marker: true, Payload: make([]byte, 1000)}, id: id, tl0: tl0}
}

// next is the next picture.
func (c *fakeCamera) next(key bool) *VideoPacket {
	p := &c.packet
	p.Sequence++
	p.Timestamp += VideoRate / 30
	p.Arrival = time.Now()
	c.id = (c.id + 1) & 0x7fff
	c.tl0++
	copy(p.Payload, []byte{0x90, 0xc0, 0x80 | byte(c.id>>8), byte(c.id), c.tl0, 1})
	if key {
		p.Payload[5] = 0
	}
	return p
}

// fakeVideo is a session that carries pictures.
type fakeVideo struct {
	keeps     atomic.Bool // what is written to its tracks
	hangs     atomic.Bool // publishing never ends
	mu        sync.Mutex
	watched   map[string]int // height, by track
	rates     map[string]int // pictures a second, by track
	sinks     map[string]VideoSink
	asked     map[string]int // keyframes
	published map[Source]*fakeVideoTrack
	refuse    error
	events    chan SessionEvent
	left      bool
}

func newFakeVideo() *fakeVideo {
	return &fakeVideo{
		watched: map[string]int{}, rates: map[string]int{}, sinks: map[string]VideoSink{}, asked: map[string]int{}, published: map[Source]*fakeVideoTrack{},
		events: make(chan SessionEvent),
	}
}

func (f *fakeVideo) Watch(sid string, height, rate int, sink VideoSink) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if sink == nil {
		delete(f.watched, sid)
		delete(f.sinks, sid)
		return nil
	}
	f.watched[sid], f.rates[sid], f.sinks[sid] = height, rate, sink
	return nil
}

func (f *fakeVideo) WantKeyframe(sid string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[sid]++
}

func (f *fakeVideo) PublishVideo(ctx context.Context, p Publication) (VideoTrack, error) {
	if f.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return nil, f.refuse
	}
	if f.published[p.Source] != nil {
		return nil, errors.New("there is one already")
	}
	t := &fakeVideoTrack{session: f, wish: p}
	f.published[p.Source] = t
	return t, nil
}

// The rest of Session, for the second listener.
func (f *fakeVideo) Events() <-chan SessionEvent                          { return f.events }
func (*fakeVideo) Subscribe(string, media.Sink) error                     { return nil }
func (*fakeVideo) Publish(context.Context, string) (Track, error)         { return nil, ErrForbidden }
func (*fakeVideo) SetAttributes(context.Context, map[string]string) error { return nil }
func (f *fakeVideo) Leave()                                               { f.mu.Lock(); f.left = true; f.mu.Unlock() }

func (f *fakeVideo) heights() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.watched)
}

func (f *fakeVideo) keyframes(sid string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[sid]
}

// send gives a packet to whoever watches the track.
func (f *fakeVideo) send(sid string, p *VideoPacket) {
	f.mu.Lock()
	sink := f.sinks[sid]
	f.mu.Unlock()
	if sink != nil {
		sink.WriteVideo(p)
	}
}

func (f *fakeVideo) setRefuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = err
}

func (f *fakeVideo) track(s Source) *fakeVideoTrack {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.published[s]
}

type fakeVideoTrack struct {
	session *fakeVideo
	wish    Publication
	mu      sync.Mutex
	muted   bool
	written int
	got     [MaxLayers][]VideoPacket
}

func (t *fakeVideoTrack) WriteVideo(layer int, p *VideoPacket) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.written++
	if t.session.keeps.Load() {
		kept := *p
		kept.Payload = slices.Clone(p.Payload)
		t.got[layer] = append(t.got[layer], kept)
	}
	return nil
}

func (t *fakeVideoTrack) packets(layer int) []VideoPacket {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.got[layer])
}

func (t *fakeVideoTrack) SetMuted(_ context.Context, muted bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.muted = muted
	return nil
}

func (t *fakeVideoTrack) Unpublish() {
	t.session.mu.Lock()
	defer t.session.mu.Unlock()
	delete(t.session.published, t.wish.Source)
}

func (t *fakeVideoTrack) state() (muted bool, written int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.muted, t.written
}

func (t *fakeVideoTrack) isMuted() bool { m, _ := t.state(); return m }

func (t *fakeVideoTrack) count() int { _, n := t.state(); return n }

// fakeScreen keeps what it is sent.
type fakeScreen struct {
	codecs []VideoCodec
	block  chan struct{} // nil: it never blocks

	mu     sync.Mutex
	place  Place
	scene  *Scene
	scenes int
	got    map[int][]VideoPacket
	asked  []int // layers of which a keyframe was wanted
}

func newFakeScreen() *fakeScreen {
	return &fakeScreen{codecs: []VideoCodec{vp8, {Kind: H264}}, got: map[int][]VideoPacket{}}
}

func (f *fakeScreen) Codecs() []VideoCodec { return f.codecs }

func (f *fakeScreen) Attach(p Place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.place = p
}

func (f *fakeScreen) Show(s *Scene) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scene = s
	f.scenes++
}

func (f *fakeScreen) WriteVideo(tile int, p *VideoPacket) {
	if f.block != nil {
		<-f.block
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	q := *p
	q.Payload = slices.Clone(p.Payload[:min(len(p.Payload), 6)])
	f.got[tile] = append(f.got[tile], q)
}

func (f *fakeScreen) WantKeyframe(_ Source, layer int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, layer)
}

func (f *fakeScreen) now() *Scene {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.scene
}

func (f *fakeScreen) shows() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.scenes
}

func (f *fakeScreen) packets(tile int) []VideoPacket {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.got[tile])
}

func (f *fakeScreen) wanted() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

// theatre is a stage with its listeners, under synctest.
type theatre struct {
	t     *testing.T
	stage *stage
	video *fakeVideo
	small *fakeVideo
}

var seesAll = policy.Grant{Video: policy.Both, Content: policy.Both, Learn: policy.LearnNames}

// perform runs f on a stage of its own. Places that f takes are to be left.
func perform(t *testing.T, f func(*theatre)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		th := &theatre{t: t, video: newFakeVideo(), small: newFakeVideo()}
		th.stage = newStage(slog.New(slog.DiscardHandler), th.video, func(context.Context) (Session, error) { return th.small, nil })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); th.stage.run(ctx) }()
		f(th)
		stop()
		<-done
	})
}

func (th *theatre) enter(identity string, g policy.Grant) (*fakeScreen, *place, *fakeVideo) {
	screen, own := newFakeScreen(), newFakeVideo()
	pl := th.stage.enter(th.t.Context(), screen, own, Participant{Identity: identity, CanShow: true, CanShare: true}, g, slog.New(slog.DiscardHandler))
	return screen, pl, own
}

// settle waits until everything has been looked at.
func (th *theatre) settle() {
	for range 3 {
		time.Sleep(scenePause)
		synctest.Wait()
	}
}

func (th *theatre) arrive(identity string, tracks ...TrackInfo) Participant {
	p := Participant{SID: "PA_" + identity, Identity: identity, Name: identity, Tracks: tracks}
	th.stage.arrive(p)
	return p
}

func cameraOf(identity string) TrackInfo {
	return TrackInfo{SID: "camera-" + identity, Video: VideoInfo{
		Source: Camera, Kind: VP8, Width: 1280, Height: 720, Layers: []Layer{{Height: 180}, {Height: 360}, {Height: 720}},
	}}
}

func screenOf(identity string) TrackInfo {
	return TrackInfo{SID: "screen-" + identity, Video: VideoInfo{Source: Content, Kind: VP8, Width: 1920, Height: 1080}}
}

// seat finds who a tile shows, by name.
func (th *theatre) seat(s *fakeScreen, tile int) string {
	sc := s.now()
	if sc == nil || tile >= len(sc.Tiles) || sc.Tiles[tile].Source == "" {
		return ""
	}
	for _, seat := range sc.Seats {
		if seat.ID == sc.Tiles[tile].Seat {
			return seat.Name
		}
	}
	return "?"
}

// pictureID is the picture id of a fakeCamera's packet.
func pictureID(p VideoPacket) uint16 { return binary.BigEndian.Uint16(p.Payload[2:]) & 0x7fff }

// checkStream makes sure that a receiver sees one stream: numbers and picture ids go on by one, timestamps go on, and it begins with a keyframe.
func checkStream(t *testing.T, packets []VideoPacket) {
	t.Helper()
	for i, p := range packets {
		if i == 0 {
			if p.Payload[5] != 0 {
				t.Error("the stream does not begin with a keyframe")
			}
			continue
		}
		b := packets[i-1]
		if p.Sequence != b.Sequence+1 || int32(p.Timestamp-b.Timestamp) <= 0 || (pictureID(p)-pictureID(b))&0x7fff != 1 || p.Payload[4]-b.Payload[4] != 1 {
			t.Fatalf("packet %d: number %d after %d, time %d after %d, picture %d after %d, TL0 %d after %d", i, p.Sequence, b.Sequence,
				p.Timestamp, b.Timestamp, pictureID(p), pictureID(b), p.Payload[4], b.Payload[4])
		}
	}
}
