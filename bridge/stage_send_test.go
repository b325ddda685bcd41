package bridge

import (
	"errors"
	"slices"
	"testing"
	"time"

	"passerelle/bridge/policy"
)

// TestSending: what a leg shows is published as it is sent, a camera that is off stays in the room as muted, a screen does not, and what a host or the room
// forbids ends.
func TestSending(t *testing.T) {
	perform(t, func(th *theatre) {
		s, pl, own := th.enter("x", seesAll)
		layers := []Layer{{RID: "q", Height: 180}, {RID: "h", Height: 360}}
		for _, c := range []struct {
			source Source
			codec  VideoCodec
			layers []Layer
		}{
			{"window", vp8, layers},
			{Camera, VideoCodec{Kind: "H265"}, layers},
			{Camera, VideoCodec{Kind: VP9, Fmtp: "profile-id=2"}, layers},
			{Camera, vp8, nil},
			{Camera, vp8, make([]Layer, MaxLayers+1)},
		} {
			if err := pl.Start(c.source, c.codec, c.layers); err == nil {
				t.Errorf("started %+v", c)
			}
		}
		for _, source := range []Source{Camera, Content} {
			if err := pl.Start(source, vp8, layers); err != nil {
				t.Fatal(err)
			}
		}
		th.settle()
		camera, screen := own.track(Camera), own.track(Content)
		if camera == nil || screen == nil || !s.now().Camera.Live || !s.now().Content.Live {
			t.Fatalf("published %v, %v; told %+v", camera, screen, s.now())
		}
		cam := newFakeCamera(0, 0, 0, 0)
		for range 5 {
			pl.WriteVideo(Camera, 1, cam.next(true))
			pl.WriteVideo(Camera, 2, cam.next(true))
			pl.WriteVideo(Camera, -1, cam.next(true))
			pl.WriteVideo("window", 0, cam.next(true))
		}
		if camera.count() != 5 || screen.count() != 0 {
			t.Errorf("written %d, %d", camera.count(), screen.count())
		}

		// Which layers are watched, and wishes for keyframes, arrive; not too many.
		camera.wish.WantLayers([MaxLayers]bool{true, false})
		for range 10 {
			camera.wish.WantKeyframe(1)
		}
		camera.wish.WantKeyframe(MaxLayers)
		th.settle()
		time.Sleep(2 * keyframePause)
		th.settle()
		if got := s.now().Camera.Wanted; got != [MaxLayers]bool{true} {
			t.Errorf("wanted %v", got)
		}
		if got := s.wanted(); !slices.Equal(got, []int{1, 1}) {
			t.Errorf("keyframes wanted of %v", got)
		}

		pl.Stop(Camera)
		pl.Stop(Content)
		pl.Stop("window")
		pl.WriteVideo(Camera, 0, cam.next(true))
		th.settle()
		if own.track(Camera) != camera || !camera.isMuted() || own.track(Content) != nil || camera.count() != 5 || s.now().Camera.Live {
			t.Errorf("stopped: %+v", s.now())
		}
		_ = pl.Start(Camera, vp8, layers)
		th.settle()
		if own.track(Camera) != camera || camera.isMuted() || !s.now().Camera.Live {
			t.Error("the camera is not on again")
		}
		_ = pl.Start(Camera, vp8, layers[:1])
		th.settle()
		if now := own.track(Camera); now == camera || now == nil || len(now.wish.Layers) != 1 {
			t.Error("other layers are not published anew")
		}

		camera = own.track(Camera)
		pl.hostMuted(Camera, true)
		_ = camera.SetMuted(t.Context(), true)
		th.settle()
		if s.now().Camera.Live || !s.now().Camera.Allowed {
			t.Errorf("a host muted the camera: %+v", s.now().Camera)
		}
		_ = pl.Start(Camera, vp8, layers[:1])
		th.settle()
		if camera.isMuted() || !s.now().Camera.Live {
			t.Error("the camera is not on again")
		}

		pl.permit(Participant{CanShare: true})
		th.settle()
		if sc := s.now(); sc.Camera.Allowed || sc.Camera.Live || !sc.Content.Allowed || own.track(Camera) != nil {
			t.Errorf("the room forbids a camera: %+v", sc.Camera)
		}
		if err := pl.Start(Camera, vp8, layers); !errors.Is(err, ErrForbidden) {
			t.Error(err)
		}
		_ = pl.Start(Content, vp8, layers)
		th.settle()
		pl.leave()
		if own.track(Content) != nil {
			t.Error("a screen is left behind")
		}
	})
}

// TestUplinkGoesOn: a leg whose numbers begin anew, as those of a page that was loaded again, is one stream to the room, in each layer; a packet from before that
// comes late does not disturb it, and a loss stays one.
func TestUplinkGoesOn(t *testing.T) {
	perform(t, func(th *theatre) {
		_, pl, own := th.enter("x", seesAll)
		defer pl.leave()
		own.keeps.Store(true)
		layers := []Layer{{RID: "q", Height: 180}, {RID: "h", Height: 360}}
		for i, begin := range []struct {
			seq       uint16
			timestamp uint32
			id        uint16
			tl0       uint8
		}{{60000, 1 << 31, 0x7ffe, 200}, {100, 1 << 30, 5, 3}, {65533, 0xfffffff0, 0x7fff, 255}, {65000, 7, 0x7000, 250}, {30000, 1<<31 + 9, 0x3000, 9}} {
			if err := pl.Start(Camera, vp8, layers); err != nil {
				t.Fatal(err)
			}
			th.settle()
			for layer := range layers {
				cam := newFakeCamera(begin.seq+uint16(layer)*777, begin.timestamp, begin.id, begin.tl0)
				late := *cam.next(true)
				for n := range 10 {
					time.Sleep(time.Second / 30)
					pl.WriteVideo(Camera, layer, cam.next(n == 0))
				}
				late.Arrival = time.Now()
				before := own.track(Camera).count()
				pl.WriteVideo(Camera, layer, &late)
				if own.track(Camera).count() != before {
					t.Errorf("stream %d: a packet from before it began was passed", i)
				}
			}
			pl.Stop(Camera)
			th.settle()
		}
		for layer := range layers {
			got := own.track(Camera).packets(layer)
			if len(got) != 50 {
				t.Errorf("%d packets", len(got))
			}
			checkStream(t, got)
		}

		_ = pl.Start(Camera, vp8, layers)
		th.settle()
		cam := newFakeCamera(9, 9, 9, 9)
		pl.WriteVideo(Camera, 0, cam.next(true))
		cam.next(false)
		pl.WriteVideo(Camera, 0, cam.next(false))
		got := own.track(Camera).packets(0)
		if a, b := got[len(got)-2], got[len(got)-1]; b.Sequence != a.Sequence+2 || pictureID(b) != pictureID(a)+2 {
			t.Errorf("a loss is hidden: %d after %d", b.Sequence, a.Sequence)
		}
		huge := cam.next(false)
		huge.Payload = make([]byte, maxVideoPacket+1)
		if pl.WriteVideo(Camera, 0, huge); len(own.track(Camera).packets(0)) != len(got) {
			t.Error("a packet larger than any from a network was passed")
		}
	})
}

// TestUplinkAllocates: nothing, per packet.
func TestUplinkAllocates(t *testing.T) {
	var u uplinkLayer
	f, cam := new(flow), newFakeCamera(1, 1, 1, 1)
	u.pass(f, cam.next(true))
	u.pass(new(flow), newFakeCamera(500, 7, 9, 9).next(true))
	cam = newFakeCamera(501, 8, 10, 10)
	u.flow.rate.Store(10) // of which most pass, or do not, as the machine is quick
	u.pass(u.flow, cam.next(true))
	if n := testing.AllocsPerRun(1000, func() { u.pass(u.flow, cam.next(false)) }); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

// TestNotRecorded: who may not be recorded shows nothing while the room is, unless the rules change meanwhile, and begins anew after it.
func TestNotRecorded(t *testing.T) {
	perform(t, func(th *theatre) {
		s, pl, own := th.enter("x", seesAll)
		defer pl.leave()
		shows := func(what string, want bool) {
			t.Helper()
			for _, source := range []Source{Camera, Content} {
				err := pl.Start(source, vp8, []Layer{{}})
				th.settle()
				if (err == nil) != want || (own.track(source) != nil) != want || s.now().Camera.Allowed != want || s.now().Content.Allowed != want {
					t.Errorf("%s: %s %v, %v", what, source, own.track(source), err)
				}
			}
		}
		shows("before", true)
		pl.setRecorded(true)
		th.settle()
		if own.track(Camera) != nil || own.track(Content) != nil {
			t.Error("seen while the room is recorded")
		}
		shows("recorded", false)
		may := seesAll
		may.Recording = true
		pl.setGrant(may)
		shows("the rules permit it", true)
		pl.setGrant(seesAll)
		shows("and do not", false)
		pl.setRecorded(false)
		shows("after", true)
	})
}

// TestForbiddenWhileTheSFUIsAway: what may not be shown any more is not, at once, even while the SFU does not answer and nothing can be taken out of the room.
func TestForbiddenWhileTheSFUIsAway(t *testing.T) {
	hears := seesAll
	hears.Content, hears.Recording = policy.Receive, true
	for name, forbid := range map[string]func(*place){
		"rules":     func(pl *place) { pl.setGrant(hears) },
		"recording": func(pl *place) { pl.setRecorded(true) },
		"host":      func(pl *place) { pl.permit(Participant{CanShow: true}) },
	} {
		perform(t, func(th *theatre) {
			_, pl, own := th.enter("x", seesAll)
			defer pl.leave()
			_ = pl.Start(Content, vp8, []Layer{{}})
			th.settle()
			cam := newFakeCamera(0, 0, 0, 0)
			pl.WriteVideo(Content, 0, cam.next(true))
			own.hangs.Store(true)
			_ = pl.Start(Camera, vp8, []Layer{{}})
			th.settle()
			forbid(pl)
			pl.WriteVideo(Content, 0, cam.next(true))
			if n := own.track(Content).count(); n != 1 {
				t.Errorf("%s: %d kB were let through, want the one from before", name, n)
			}
		})
	}
}

// TestRefused: what the SFU refuses for good is not tried again; what fails is.
func TestRefused(t *testing.T) {
	perform(t, func(th *theatre) {
		s, pl, own := th.enter("x", seesAll)
		defer pl.leave()
		own.setRefuse(ErrForbidden)
		_ = pl.Start(Camera, vp8, []Layer{{}})
		th.settle()
		own.setRefuse(nil)
		time.Sleep(2 * retryAfter)
		th.settle()
		if own.track(Camera) != nil || s.now().Camera.Live {
			t.Error("tried again")
		}
		own.setRefuse(errors.New("away"))
		_ = pl.Start(Camera, vp8, []Layer{{}})
		th.settle()
		own.setRefuse(nil)
		time.Sleep(2 * retryAfter)
		th.settle()
		if own.track(Camera) == nil || !s.now().Camera.Live {
			t.Error("not tried again")
		}
	})
}

// TestFlood: a far end that sends more than its rule grants is cut down to it.
func TestFlood(t *testing.T) {
	perform(t, func(th *theatre) {
		g := seesAll
		g.Picture.Kbps = 800
		_, pl, own := th.enter("x", g)
		defer pl.leave()
		_ = pl.Start(Camera, vp8, []Layer{{}})
		th.settle()
		cam := newFakeCamera(0, 0, 0, 0)
		for range 10 { // seconds
			for range 1000 {
				pl.WriteVideo(Camera, 0, cam.next(true)) // 1000 bytes
			}
			time.Sleep(time.Second)
		}
		if n := own.track(Camera).count(); n < 900 || n > 1200 {
			t.Errorf("%d of 10000 kB were let through", n)
		}
	})
}
