package bridge

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge/policy"
)

// TestNoPictureGoesRound: a leg that is another room sees no other rooms, whenever they turn out to be such; other legs do.
func TestNoPictureGoesRound(t *testing.T) {
	perform(t, func(th *theatre) {
		mark := map[string]string{BridgeAttribute: "true"}
		room := Participant{SID: "PA_room", Identity: "room", Tracks: []TrackInfo{cameraOf("room"), screenOf("room")}, Attributes: mark}
		th.stage.arrive(room)
		th.stage.speak([]Speaker{{SID: "PA_room"}})
		screen, own := newFakeScreen(), newFakeVideo()
		self := joinedAs(Join{Identity: "x", Camera: true, Attributes: mark})
		pl := th.stage.enter(th.t.Context(), screen, own, self, seesAll, slog.New(slog.DiscardHandler))
		defer pl.leave()
		guest, pg, _ := th.enter("y", seesAll)
		defer pg.leave()
		tiles := []Tile{{Height: 720, Source: Camera}, {Height: 720, Source: Content}}
		pl.View(View{Tiles: tiles})
		pg.View(View{Tiles: tiles})
		th.settle()
		if sc := screen.now(); sc.Tiles[0].Source != "" || sc.Tiles[1].Source != "" || !sc.Camera.Allowed || sc.Content.Allowed {
			t.Errorf("another room is shown: %+v", sc)
		}
		if sc := guest.now(); sc.Tiles[0].Source != Camera || sc.Tiles[1].Source != Content {
			t.Errorf("a guest does not see another room: %+v", sc.Tiles)
		}
		ann := th.arrive("ann", cameraOf("ann"))
		th.settle()
		if got := th.seat(screen, 0); got != "ann" {
			t.Errorf("%q is shown", got)
		}
		ann.Attributes = mark
		th.stage.arrive(ann)
		th.settle()
		if got := th.seat(screen, 0); got != "" {
			t.Errorf("%q is shown, who is another room", got)
		}
	})
}

// TestRest: a tile that rests is chosen and told, and costs nothing; it goes on where it was.
func TestRest(t *testing.T) {
	perform(t, func(th *theatre) {
		th.arrive("ann", cameraOf("ann"))
		th.arrive("bob", cameraOf("bob"))
		s, pl, _ := th.enter("x", seesAll)
		defer pl.leave()
		// The two together are more than the bandwidth: the usual costs are 1700 kbit/s each.
		pl.View(View{Tiles: []Tile{{Height: 720, Rest: true}, {Height: 720}}, Kbps: 1800})
		th.settle()
		sc := s.now()
		if sc.Tiles[0].Source != Camera || !sc.Tiles[0].Waiting || sc.Tiles[1].Source != Camera {
			t.Errorf("%+v", sc.Tiles)
		}
		if got := th.video.heights(); len(got) != 1 || got["camera-"+th.seat(s, 1)] != 720 {
			t.Errorf("watched %v", got)
		}
		who := th.seat(s, 0)
		cam := newFakeCamera(65530, 0, 0x7ffc, 250)
		show := func() {
			th.settle()
			for i := range 10 {
				th.video.send("camera-"+who, cam.next(i == 0))
			}
			th.settle()
		}
		show()
		if n := len(s.packets(0)); n != 0 {
			t.Errorf("%d packets for a tile that rests", n)
		}
		pl.View(View{Tiles: []Tile{{Height: 720}}})
		show()
		pl.View(View{Tiles: []Tile{{Height: 720, Rest: true}}})
		time.Sleep(linger + time.Second)
		show()
		if got := th.video.heights(); len(got) != 0 {
			t.Errorf("watched %v", got)
		}
		pl.View(View{Tiles: []Tile{{Height: 720}}})
		show()
		if n := len(s.packets(0)); n != 20 {
			t.Errorf("%d packets", n)
		}
		checkStream(t, s.packets(0))
	})
}

// TestBoundsTold: who sends is told how large.
func TestBoundsTold(t *testing.T) {
	perform(t, func(th *theatre) {
		g := seesAll
		g.Picture = policy.Picture{Height: 360, Kbps: 700}
		s, pl, _ := th.enter("x", g)
		defer pl.leave()
		th.settle()
		if sc := s.now(); sc.Camera.Height != 360 || sc.Camera.Kbps != 700 || sc.Content.Height != 360 {
			t.Errorf("%+v %+v", sc.Camera, sc.Content)
		}
	})
}

// TestViewing: a screen in front of a room that is none of a node's sees and shows, as the room tells, and leaves nothing behind.
func TestViewing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		video, screen := newFakeVideo(), newFakeScreen()
		ann := Participant{SID: "PA_ann", Identity: "ann", Tracks: []TrackInfo{cameraOf("ann")}}
		bob := Participant{SID: "PA_bob", Identity: "bob", Tracks: []TrackInfo{cameraOf("bob"), screenOf("bob")}}
		v := NewViewing(video, Join{Identity: "x", Camera: true, Content: true}, []Participant{ann}, screen, slog.New(slog.DiscardHandler))
		settle := func() {
			time.Sleep(3 * scenePause)
			synctest.Wait()
		}
		settle()
		screen.place.View(View{Tiles: []Tile{{Height: 720, Source: Camera}, {Height: 720, Source: Content}}})
		if err := screen.place.Start(Camera, vp8, []Layer{{Height: 720}}); err != nil {
			t.Error(err)
		}
		settle()
		if got := video.heights(); len(got) != 1 || got["camera-ann"] != 720 || video.track(Camera) == nil {
			t.Errorf("watched %v, published %v", got, video.track(Camera))
		}
		if sc := screen.now(); sc.Seats != nil || sc.People != 0 || sc.Tiles[0].Seat != 0 || !sc.Camera.Live {
			t.Errorf("told %+v", sc)
		}
		screen.place.View(View{Tiles: []Tile{{Height: 720, Source: Camera}, {Height: 720, Source: Content}}, Rate: 15})
		settle()
		video.mu.Lock()
		if got := video.rates["camera-ann"]; got != 15 {
			t.Errorf("%d pictures a second are asked for", got)
		}
		video.mu.Unlock()
		v.Follow(SessionEvent{Kind: ParticipantChanged, Participant: bob})
		v.Follow(SessionEvent{Kind: SpeakersChanged, Speakers: []Speaker{{SID: "PA_bob"}}})
		settle()
		if got := video.heights(); got["camera-bob"] != 720 || got["screen-bob"] != 720 {
			t.Errorf("watched %v", got)
		}
		v.Follow(SessionEvent{Kind: MutedByHost, Source: Camera, Muted: true})
		v.Follow(SessionEvent{Kind: ParticipantLeft, Participant: bob})
		time.Sleep(2 * linger)
		settle()
		if got := video.heights(); len(got) != 1 || got["camera-ann"] != 720 || screen.now().Camera.Live {
			t.Errorf("watched %v, told %+v", got, screen.now())
		}
		v.Close()
		if screen.place != nil || video.track(Camera) != nil {
			t.Error("something is left")
		}
	})
	if v := NewViewing(nil, Join{}, nil, nil, nil); v != nil {
		t.Error("pictures of a session without any")
	} else {
		v.Follow(SessionEvent{})
		v.Close()
	}
}
