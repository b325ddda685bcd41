package federation

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge"
)

// stages are two windows in front of stages that a test plays.
type stages struct {
	ours, theirs *window
	home, far    *fakePlace
	wake         chan struct{}
}

func newStages() *stages {
	s := &stages{home: &fakePlace{}, far: &fakePlace{}, wake: make(chan struct{}, 1)}
	s.ours, s.theirs = newWindows(s.wake, slog.New(slog.DiscardHandler))
	s.ours.Attach(s.home)
	s.theirs.Attach(s.far)
	return s
}

// settle does what is called for, if anything is.
func (s *stages) settle() (called bool) {
	select {
	case <-s.wake:
		s.ours.settle()
		return true
	default:
		return false
	}
}

// A tile for each source, in the order of sources.
var (
	someCamera = bridge.Shown{Source: bridge.Camera, Width: 1280, Height: 720}
	someScreen = bridge.Shown{Source: bridge.Content}
	open       = bridge.Sending{Allowed: true}
)

func packet(c *bridge.VideoCodec) *bridge.VideoPacket {
	return &bridge.VideoPacket{Codec: c, Payload: []byte{1}}
}

const (
	content = iota
	face
)

// What a room may be sent decides what is looked at in the other, and how large; what nobody looks at rests.
func TestLook(t *testing.T) {
	s := newStages()
	s.settle()
	nothing := []bridge.Tile{{}, {}}
	if v := s.home.view(); !slices.Equal(v.Tiles, nothing) || v.Kbps != 0 {
		t.Errorf("before anything is told: %+v", v)
	}
	s.theirs.Show(&bridge.Scene{Camera: open})
	s.settle()
	if v := s.home.view(); !slices.Equal(v.Tiles, []bridge.Tile{{}, {Source: bridge.Camera, Height: 720}}) {
		t.Errorf("a camera: %+v", v)
	}
	s.theirs.Show(&bridge.Scene{
		Camera:  bridge.Sending{Allowed: true, Live: true, Wanted: [bridge.MaxLayers]bool{true}, Height: 360, Rate: 15, Kbps: 900},
		Content: bridge.Sending{Allowed: true, Live: true, Height: 2000, Rate: 15, Kbps: 900},
	})
	s.settle()
	if v := s.home.view(); v.Kbps != 900 || v.Rate != 15 ||
		!slices.Equal(v.Tiles, []bridge.Tile{{Source: bridge.Content, Height: 1080, Rest: true}, {Source: bridge.Camera, Height: 360}}) {
		t.Errorf("with bounds: %+v", v)
	}
	n := len(s.home.views)
	s.theirs.Show(s.theirs.scene.Load())
	s.settle()
	if len(s.home.views) != n {
		t.Error("told again")
	}
	next := &fakePlace{}
	s.ours.Attach(next) // the call has moved to another room
	s.settle()
	if len(next.views) != 1 || next.view().Kbps != 900 {
		t.Errorf("the next room is told %+v", next.views)
	}
	s.theirs.Attach(nil)
	s.settle()
	if v := next.view(); !slices.Equal(v.Tiles, nothing) {
		t.Errorf("without the far room: %+v", v)
	}
}

// What comes is begun in the other room when it comes and may, in its format and once; it ends there when nothing is shown any more.
func TestCarry(t *testing.T) {
	s := newStages()
	vp8, h264 := &bridge.VideoCodec{Kind: bridge.VP8}, &bridge.VideoCodec{Kind: bridge.H264, Fmtp: "profile-level-id=42e01f"}
	s.ours.WriteVideo(face, packet(vp8))
	s.settle()
	if len(s.far.started) != 0 {
		t.Error("begun before anything is told")
	}
	s.ours.Show(&bridge.Scene{Tiles: []bridge.Shown{{}, someCamera}})
	s.theirs.Show(&bridge.Scene{Content: open})
	s.ours.WriteVideo(face, packet(vp8))
	s.settle()
	if len(s.far.started) != 0 {
		t.Error("begun though the room may not be sent it")
	}
	s.theirs.Show(&bridge.Scene{Camera: open, Content: open})
	s.settle()
	s.ours.WriteVideo(face, packet(vp8))
	s.settle()
	if want := []begun{{bridge.Camera, *vp8, bridge.Layer{Width: 1280, Height: 720}}}; !slices.Equal(s.far.started, want) {
		t.Fatalf("begun: %+v", s.far.started)
	}
	if len(s.far.written) != 0 {
		t.Error("a packet passed before the picture was begun")
	}
	same := *vp8
	for range 3 {
		s.ours.WriteVideo(face, packet(vp8))
		s.ours.WriteVideo(face, packet(&same)) // of somebody else's camera: nothing of it is lost
		s.ours.WriteVideo(len(sources), packet(vp8))
		s.ours.WriteVideo(-1, packet(vp8))
	}
	if s.far.written[bridge.Camera] != 6 || s.settle() {
		t.Errorf("%v passed", s.far.written)
	}

	// Another format is another publication; in the same as before it is not, whatever its size.
	s.ours.WriteVideo(face, packet(h264))
	s.settle()
	s.ours.WriteVideo(face, packet(vp8))
	if s.far.written[bridge.Camera] != 6 || len(s.far.started) != 2 || s.far.started[1].codec != *h264 || !slices.Equal(s.far.stopped, []bridge.Source{bridge.Camera}) {
		t.Errorf("another format: %+v, stopped %v, %v passed", s.far.started, s.far.stopped, s.far.written)
	}
	s.ours.Show(&bridge.Scene{Tiles: []bridge.Shown{someScreen, {}}})
	s.settle()
	if len(s.far.stopped) != 2 {
		t.Errorf("nothing is shown, and stopped is %v", s.far.stopped)
	}
	s.ours.WriteVideo(face, packet(h264)) // one that was under way
	s.settle()
	s.ours.Show(&bridge.Scene{Tiles: []bridge.Shown{someScreen, {Source: bridge.Camera, Width: 640, Height: 360}}})
	s.ours.WriteVideo(face, packet(h264))
	s.ours.WriteVideo(content, packet(vp8))
	s.settle()
	want := []begun{{bridge.Content, *vp8, bridge.Layer{Width: 1920, Height: 1080}}, {bridge.Camera, *h264, bridge.Layer{Width: 1280, Height: 720}}}
	if !slices.Equal(s.far.started[2:], want) {
		t.Errorf("begun again: %+v", s.far.started[2:])
	}

	// Nothing passes into a room that is left, and all begins anew in the next.
	n := s.far.written[bridge.Content]
	s.theirs.Attach(nil)
	s.ours.WriteVideo(content, packet(vp8))
	s.settle()
	next := &fakePlace{}
	s.theirs.Attach(next)
	s.theirs.Show(&bridge.Scene{Camera: open, Content: bridge.Sending{Allowed: true, Height: 300}})
	s.ours.WriteVideo(content, packet(vp8))
	s.settle()
	s.ours.WriteVideo(content, packet(vp8))
	if s.far.written[bridge.Content] != n || next.written[bridge.Content] != 1 || len(next.started) != 1 || next.started[0].layer.Height != 300 {
		t.Errorf("the next room: %+v, %v passed", next.started, next.written)
	}
}

// A room that does not take a format is asked once.
func TestRefused(t *testing.T) {
	s := newStages()
	s.far.refuse = bridge.ErrNoCodec
	s.ours.Show(&bridge.Scene{Tiles: []bridge.Shown{someScreen, {}}})
	s.theirs.Show(&bridge.Scene{Content: open})
	codec := &bridge.VideoCodec{Kind: "H265"}
	for range 10 {
		s.ours.WriteVideo(content, packet(codec))
		s.settle()
	}
	s.far.refuse = nil
	s.ours.WriteVideo(content, packet(codec))
	s.ours.settle()
	if len(s.far.started) != 0 || len(s.far.written) != 0 {
		t.Errorf("begun %v", s.far.started)
	}
	s.ours.WriteVideo(content, packet(&bridge.VideoCodec{Kind: bridge.VP9})) // the next who shares
	s.settle()
	if len(s.far.started) != 1 {
		t.Errorf("begun %v", s.far.started)
	}
}

// Cameras in many formats do not use up what a room takes of one participant: only the last format goes on then, and others again after a while.
func TestManyFormats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStages()
		s.ours.Show(&bridge.Scene{Tiles: []bridge.Shown{{}, someCamera}})
		s.theirs.Show(&bridge.Scene{Camera: open})
		codecs := []*bridge.VideoCodec{{Kind: bridge.VP8}, {Kind: bridge.VP9}}
		begins := func() int { return len(s.far.started) }
		for i := range 100 {
			s.ours.WriteVideo(face, packet(codecs[i%2]))
			s.settle()
		}
		if begins() != beginBurst {
			t.Errorf("begun %d times at once", begins())
		}
		time.Sleep(time.Hour)
		s.far.started = nil
		changes := 0
		for i := range 10 * 60 {
			s.ours.WriteVideo(face, packet(codecs[i%2]))
			s.ours.settle()
			time.Sleep(beginEvery)
		}
		for i, b := range s.far.started {
			if i > 0 && b.codec != s.far.started[i-1].codec {
				changes++
			}
		}
		if most := changeBurst + int(10*time.Minute/changeEvery); changes > most || changes < most/2 || begins() < 60 {
			t.Errorf("begun %d times in ten minutes, %d times in another format", begins(), changes)
		}
	})
}

// A wish of one room for a keyframe is one for the tile of the other. A stage may make it while it is busy.
func TestKeyframes(t *testing.T) {
	s := newStages()
	s.settle()
	s.theirs.mu.Lock()
	s.ours.mu.Lock()
	s.theirs.WantKeyframe(bridge.Camera, 0)
	s.theirs.WantKeyframe(bridge.Camera, 0)
	s.theirs.WantKeyframe("hologram", 0)
	s.ours.WantKeyframe(bridge.Content, 0)
	s.ours.mu.Unlock()
	s.theirs.mu.Unlock()
	s.settle()
	if !slices.Equal(s.home.asked, []int{face}) || !slices.Equal(s.far.asked, []int{content}) {
		t.Errorf("asked %v and %v", s.home.asked, s.far.asked)
	}
}

func TestPacketAllocations(t *testing.T) {
	s := newStages()
	s.ours.Show(&bridge.Scene{Tiles: []bridge.Shown{{}, someCamera}})
	s.theirs.Show(&bridge.Scene{Camera: open})
	p, other := packet(&bridge.VideoCodec{Kind: bridge.VP8}), packet(&bridge.VideoCodec{Kind: bridge.VP8})
	s.ours.WriteVideo(face, p)
	s.settle()
	before := s.far.written[bridge.Camera]
	if n := testing.AllocsPerRun(100, func() { s.ours.WriteVideo(face, p); s.ours.WriteVideo(face, other) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
	if s.far.written[bridge.Camera]-before < 200 {
		t.Error("nothing passed")
	}
}

// shows is somebody with a camera, and perhaps a shared screen.
func shows(identity string, screen bool) bridge.Participant {
	p := person(identity)
	p.Tracks = append(p.Tracks, bridge.TrackInfo{SID: "camera-" + identity, Video: bridge.VideoInfo{
		Source: bridge.Camera, Kind: bridge.VP8, Width: 1280, Height: 720, Layers: []bridge.Layer{{Height: 180}, {Height: 360}, {Height: 720}},
	}})
	if screen {
		p.Tracks = append(p.Tracks, bridge.TrackInfo{SID: "screen-" + identity, Video: bridge.VideoInfo{Source: bridge.Content, Kind: bridge.VP8}})
	}
	return p
}

// Between two rooms: the camera of who speaks and a shared screen are seen in the other, those of other rooms are not, and nothing is left when they are parted.
func TestPictures(t *testing.T) { synctest.Test(t, testPictures) }

func testPictures(t *testing.T) {
	other := shows("other", true)
	other.Attributes = map[string]string{bridge.BridgeAttribute: "true"}
	site := &fakeSite{present: []bridge.Participant{shows("ana", false), other}}
	leg, _ := answered(t, site)
	far, home := site.now(), newSession()
	me := bridge.Join{Identity: "us", Camera: true, Content: true, Attributes: map[string]string{bridge.BridgeAttribute: "true"}}
	room := bridge.NewViewing(home, me, []bridge.Participant{shows("ben", true), other}, leg, slog.New(slog.DiscardHandler))
	crosses := func(from, to *fakeSession, track string, source bridge.Source, name byte) {
		t.Helper()
		cam := newCamera(name)
		eventually(t, track+" is seen in the other room", func() bool {
			from.sends(track, cam, 3)
			p := to.picture(source)
			if p == nil || p.isMuted() {
				return false
			}
			got := p.packets()
			return len(got) > 0 && got[len(got)-1].Payload[2] == name
		})
	}
	crosses(far, home, "camera-ana", bridge.Camera, 'a')
	crosses(home, far, "camera-ben", bridge.Camera, 'b')
	crosses(home, far, "screen-ben", bridge.Content, 's')
	if h := far.heights(); len(h) != 1 || h["camera-ana"] != 720 {
		t.Errorf("of the far room %v is watched", h)
	}
	if h := home.heights(); len(h) != 2 || h["camera-ben"] != 720 || h["screen-ben"] != 1080 {
		t.Errorf("of our room %v is watched", h)
	}

	// Another speaks in the far room: their camera follows without another publication, and as one stream.
	shown := home.picture(bridge.Camera)
	before := len(shown.packets())
	far.events <- bridge.SessionEvent{Kind: bridge.ParticipantChanged, Participant: shows("cleo", false)}
	far.events <- bridge.SessionEvent{Kind: bridge.SpeakersChanged, Speakers: []bridge.Speaker{{SID: "PA_cleo"}}}
	crosses(far, home, "camera-cleo", bridge.Camera, 'c')
	if home.picture(bridge.Camera) != shown {
		t.Error("published anew for another speaker")
	}
	got := shown.packets()
	for i, p := range got {
		if i > 0 && p.Sequence != got[i-1].Sequence+1 {
			t.Errorf("packet %d, %d being before the other speaker: number %d after %d", i, before, p.Sequence, got[i-1].Sequence)
		}
	}

	// A keyframe that our room wants is asked for in the far one.
	asked := far.keyframes("camera-cleo")
	eventually(t, "a keyframe is asked for", func() bool {
		shown.wish.WantKeyframe(0)
		return far.keyframes("camera-cleo") > asked
	})

	// Nobody looks at it: it is not watched. It comes back.
	shown.wish.WantLayers([bridge.MaxLayers]bool{})
	eventually(t, "what nobody looks at is not watched", func() bool { return len(far.heights()) == 0 })
	shown.wish.WantLayers([bridge.MaxLayers]bool{true})
	crosses(far, home, "camera-cleo", bridge.Camera, 'd')

	// Who shares stops.
	room.Follow(bridge.SessionEvent{Kind: bridge.ParticipantChanged, Participant: person("ben")})
	eventually(t, "the screen is gone, and the camera is off", func() bool {
		return far.picture(bridge.Content) == nil && far.picture(bridge.Camera).isMuted()
	})

	room.Close()
	eventually(t, "nothing of the far room is watched for nobody", func() bool { return len(far.heights()) == 0 })
	if home.picture(bridge.Camera) != nil {
		t.Error("the far room is still seen in ours")
	}
	leg.End(nil)
	<-leg.gone
	if far.picture(bridge.Camera) != nil || len(far.heights()) != 0 {
		t.Error("something is left in the far room")
	}
}

// TestUnfit: a camera in a format that the far room does not take is not fetched, and another one is seen there.
func TestUnfit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := &fakeSite{takes: []bridge.VideoCodec{{Kind: bridge.VP8}}}
		leg, _ := answered(t, site)
		home, modern := newSession(), shows("ana", false)
		modern.Tracks[1].Video.Kind = bridge.AV1
		room := bridge.NewViewing(home, bridge.Join{Identity: "us"}, []bridge.Participant{modern, shows("ben", false)}, leg, slog.New(slog.DiscardHandler))
		room.Follow(bridge.SessionEvent{Kind: bridge.SpeakersChanged, Speakers: []bridge.Speaker{{SID: "PA_ana"}}})
		cam := newCamera('b')
		eventually(t, "Ben is seen in the far room", func() bool {
			home.sends("camera-ben", cam, 3)
			p := site.now().picture(bridge.Camera)
			return p != nil && len(p.packets()) > 0
		})
		if h := home.heights(); len(h) != 1 {
			t.Errorf("watched %v", h)
		}
		room.Close()
	})
}

var (
	_ bridge.VideoSession = (*fakeSession)(nil)
	_ bridge.Taker        = (*fakeSession)(nil)
)
