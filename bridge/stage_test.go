package bridge

import (
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge/policy"
)

// TestSwitch: a track is watched once for all, at the largest height; tiles begin with a keyframe, change what they show with a keyframe, and their
// receivers see one stream without a gap, over the wraps of all its numbers.
func TestSwitch(t *testing.T) {
	perform(t, func(th *theatre) {
		th.arrive("ann", cameraOf("ann"))
		th.arrive("bob", cameraOf("bob"))
		a, pa, _ := th.enter("x", seesAll)
		b, pb, _ := th.enter("y", seesAll)
		defer pa.leave()
		defer pb.leave()
		th.settle()
		ids := map[string]SeatID{}
		for _, s := range a.now().Seats {
			ids[s.Name] = s.ID
		}
		a.place.View(View{Tiles: []Tile{{Seat: ids["ann"], Height: 720}}})
		b.place.View(View{Tiles: []Tile{{Height: 1}, {Seat: ids["ann"], Height: 700}}})
		th.settle()
		if got := th.video.heights(); got["camera-ann"] != 720 {
			t.Fatalf("watched %v", got)
		}
		ann, bob := newFakeCamera(65530, ^uint32(0)-10000, 0x7ffc, 250), newFakeCamera(100, 5, 0x100, 3)
		th.video.send("camera-ann", ann.next(false)) // of a picture that nobody has begun
		for i := range 20 {
			th.video.send("camera-ann", ann.next(i == 0))
		}
		th.settle()
		if n := len(a.packets(0)); n != 20 || len(b.packets(1)) != 20 {
			t.Fatalf("%d packets, and %d", n, len(b.packets(1)))
		}

		// Ann goes on being seen until Bob's first keyframe.
		a.place.View(View{Tiles: []Tile{{Seat: ids["bob"], Height: 720}}})
		th.settle()
		if !a.now().Tiles[0].Waiting || th.seat(a, 0) != "bob" {
			t.Errorf("tile %+v", a.now().Tiles[0])
		}
		th.video.send("camera-bob", bob.next(false))
		th.video.send("camera-ann", ann.next(false))
		th.settle()
		for i := range 5 {
			th.video.send("camera-bob", bob.next(i == 0))
			th.settle()
			th.video.send("camera-ann", ann.next(true))
			th.settle()
		}
		if n := len(a.packets(0)); n != 26 || len(b.packets(1)) != 26 {
			t.Errorf("%d packets, and %d", n, len(b.packets(1)))
		}
		if a.now().Tiles[0].Waiting {
			t.Error("the tile still waits")
		}
		checkStream(t, a.packets(0))
		checkStream(t, b.packets(1))

		// What nobody looks at any more is given up after a while, at the height that the others want before.
		pa.View(View{})
		pb.View(View{Tiles: []Tile{{}, {Seat: ids["ann"], Height: 360}}})
		th.settle()
		if got := th.video.heights(); got["camera-ann"] != 360 || got["camera-bob"] != 720 {
			t.Errorf("watched %v", got)
		}
		time.Sleep(linger + time.Second)
		th.settle()
		if got := th.video.heights(); len(got) != 1 {
			t.Errorf("watched %v", got)
		}
	})
}

// TestKeyframes: wishes of many become one, and are asked for again until they are fulfilled.
func TestKeyframes(t *testing.T) {
	perform(t, func(th *theatre) {
		th.arrive("ann", cameraOf("ann"))
		var screens []*fakeScreen
		for _, id := range []string{"x", "y", "z"} {
			s, pl, _ := th.enter(id, seesAll)
			defer pl.leave()
			pl.View(View{Tiles: []Tile{{Height: 360}}})
			screens = append(screens, s)
		}
		time.Sleep(2 * scenePause)
		synctest.Wait()
		if n := th.video.keyframes("camera-ann"); n != 1 {
			t.Errorf("asked %d times at first", n)
		}
		const while = 4 * time.Second
		time.Sleep(while)
		if n := th.video.keyframes("camera-ann"); n < int(while/keyframeRetry) || n > 1+int(while/keyframePause) {
			t.Errorf("asked %d times while there was none", n)
		}
		cam := newFakeCamera(0, 0, 0, 0)
		th.video.send("camera-ann", cam.next(true))
		th.settle()
		before := th.video.keyframes("camera-ann")
		for _, s := range screens {
			for range 10 {
				s.place.WantKeyframe(0)
			}
		}
		screens[0].place.WantKeyframe(-1)
		screens[0].place.WantKeyframe(MaxTiles)
		screens[0].place.WantKeyframe(7)
		th.settle()
		time.Sleep(2 * keyframePause)
		th.settle()
		if n := th.video.keyframes("camera-ann") - before; n < 1 || n > 3 {
			t.Errorf("asked %d times for 30 wishes", n)
		}
		time.Sleep(time.Minute)
		th.settle()
		if n := th.video.keyframes("camera-ann") - before; n > 2+maxRetries {
			t.Errorf("asked %d times in a minute without a wish", n)
		}
		th.video.send("camera-ann", cam.next(true))
		before = th.video.keyframes("camera-ann")
		for range 100 { // one who never has enough
			screens[0].place.WantKeyframe(0)
			time.Sleep(100 * time.Millisecond)
			th.video.send("camera-ann", cam.next(true))
		}
		th.settle()
		if n := th.video.keyframes("camera-ann") - before; n > 12 {
			t.Errorf("one far end caused %d keyframes in ten seconds", n)
		}
	})
}

// TestSlow: a place that does not take its packets loses pictures up to a keyframe, asks for one, and harms nobody else.
func TestSlow(t *testing.T) {
	perform(t, func(th *theatre) {
		th.arrive("ann", cameraOf("ann"))
		slow, ps, _ := th.enter("slow", seesAll)
		quick, pq, _ := th.enter("quick", seesAll)
		slow.block = make(chan struct{})
		ps.View(View{Tiles: []Tile{{Height: 360}}})
		pq.View(View{Tiles: []Tile{{Height: 360}}})
		th.settle()
		cam := newFakeCamera(65000, 0, 0, 0)
		th.video.send("camera-ann", cam.next(true))
		const sent = 2 * queueLength
		for i := range sent {
			th.video.send("camera-ann", cam.next(false))
			if i%100 == 0 {
				time.Sleep(time.Millisecond) // the quick one keeps up
			}
		}
		asked := th.video.keyframes("camera-ann")
		close(slow.block)
		th.settle()
		if n := len(quick.packets(0)); n != sent+1 {
			t.Errorf("the quick one has %d packets", n)
		}
		if n := len(slow.packets(0)); n > queueLength+2 || n < queueLength {
			t.Errorf("the slow one has %d packets", n)
		}
		time.Sleep(slowPatience)
		th.settle()
		if n := th.video.keyframes("camera-ann") - asked; n < 1 || n > 2 {
			t.Errorf("asked %d times", n)
		}
		th.video.send("camera-ann", cam.next(false))
		th.settle()
		n := len(slow.packets(0))
		for i := range 10 {
			th.video.send("camera-ann", cam.next(i == 0))
		}
		th.settle()
		if got := slow.packets(0); len(got) != n+10 || got[n].Payload[5] != 0 {
			t.Errorf("%d packets after the keyframe", len(got)-n)
		}
		checkStream(t, slow.packets(0))
		checkStream(t, quick.packets(0))
		ps.leave()
		pq.leave()
	})
}

// TestJump: a stream that begins anew, as after an outage, is shown from its next keyframe on.
func TestJump(t *testing.T) {
	perform(t, func(th *theatre) {
		th.arrive("ann", cameraOf("ann"))
		s, pl, _ := th.enter("x", seesAll)
		defer pl.leave()
		pl.View(View{Tiles: []Tile{{Height: 360}}})
		th.settle()
		cam := newFakeCamera(65000, 0, 0, 0)
		for i := range 10 {
			th.video.send("camera-ann", cam.next(i == 0))
		}
		cam.packet.Sequence += 30000
		cam.packet.Timestamp += 5000
		for i := range 10 {
			th.video.send("camera-ann", cam.next(i == 5))
		}
		th.settle()
		got := s.packets(0)
		if len(got) != 15 {
			t.Fatalf("%d packets", len(got))
		}
		checkStream(t, got)
	})
}

// TestLate: a loss stays a loss that can be asked for, and what comes late gets the number that was left for it, but not from before a switch.
func TestLate(t *testing.T) {
	perform(t, func(th *theatre) {
		th.arrive("ann", cameraOf("ann"))
		s, pl, _ := th.enter("x", seesAll)
		defer pl.leave()
		pl.View(View{Tiles: []Tile{{Height: 360}}})
		th.settle()
		cam := newFakeCamera(65534, 0, 0, 0)
		early := *cam.next(false)
		th.video.send("camera-ann", cam.next(true))
		late := *cam.next(false)
		late.Payload = append([]byte(nil), late.Payload...)
		th.video.send("camera-ann", cam.next(false))
		th.video.send("camera-ann", &late)
		th.video.send("camera-ann", &early)
		th.video.send("camera-ann", &VideoPacket{Codec: &vp8, Sequence: cam.packet.Sequence + 1, Timestamp: cam.packet.Timestamp}) // padding
		cam.packet.Sequence++
		th.video.send("camera-ann", cam.next(false))
		th.settle()
		var numbers []uint16
		for _, p := range s.packets(0) {
			numbers = append(numbers, p.Sequence-s.packets(0)[0].Sequence)
		}
		want := []uint16{0, 2, 1, 3, 4}
		if len(numbers) != len(want) {
			t.Fatalf("numbers %v", numbers)
		}
		for i := range want {
			if numbers[i] != want[i] {
				t.Fatalf("numbers %v, want %v", numbers, want)
			}
		}
	})
}

// TestLayers: who wants a smaller picture than others gets it by a second listener; without anybody like that there is none.
func TestStageLayers(t *testing.T) {
	perform(t, func(th *theatre) {
		th.arrive("ann", cameraOf("ann"))
		large, pl, _ := th.enter("x", seesAll)
		small, ps, _ := th.enter("y", seesAll)
		defer pl.leave()
		pl.View(View{Tiles: []Tile{{Height: 720}}})
		ps.View(View{Tiles: []Tile{{Height: 650}}})
		th.settle()
		if len(th.small.heights()) != 0 || th.video.heights()["camera-ann"] != 720 {
			t.Fatalf("watched %v and %v", th.video.heights(), th.small.heights())
		}
		ps.View(View{Tiles: []Tile{{Height: 160}}})
		th.settle()
		th.settle()
		if th.small.heights()["camera-ann"] != 160 || th.video.heights()["camera-ann"] != 720 {
			t.Fatalf("watched %v and %v", th.video.heights(), th.small.heights())
		}
		a, b := newFakeCamera(0, 0, 0, 0), newFakeCamera(500, 500, 500, 50)
		for i := range 10 {
			th.video.send("camera-ann", a.next(i == 0))
			th.small.send("camera-ann", b.next(i == 2))
		}
		th.settle()
		// The small one has seen the large picture, which was there first, until its own came.
		if l, s := len(large.packets(0)), len(small.packets(0)); l != 10 || s != 3+8 && s != 8 {
			t.Errorf("%d and %d packets", l, s)
		}
		checkStream(t, small.packets(0))

		// The second listener is thrown out: the large picture serves all.
		close(th.small.events)
		th.settle()
		n := len(small.packets(0))
		for i := range 10 {
			th.video.send("camera-ann", a.next(i == 0))
		}
		th.settle()
		if got := len(small.packets(0)) - n; got != 10 {
			t.Errorf("%d packets after the second listener was gone", got)
		}
		checkStream(t, small.packets(0))
		ps.leave()
	})
}

// TestBudget: with too little bandwidth the last tiles become small, and then are paused; with more they come back.
func TestBudget(t *testing.T) {
	perform(t, func(th *theatre) {
		for _, id := range []string{"ann", "bob", "eve"} {
			th.arrive(id, cameraOf(id))
		}
		s, pl, _ := th.enter("x", seesAll)
		defer pl.leave()
		// With the usual costs: 1700 + 500 + 500 kbit/s.
		tiles := []Tile{{Height: 720}, {Height: 360}, {Height: 360}}
		for _, step := range []struct{ kbps, heights, waiting int }{
			{0, 720 + 360 + 360, 3},
			{2700, 720 + 360 + 360, 3},
			{2500, 720 + 360 + 180, 3},
			{2550, 720 + 360 + 180, 3},
			{450, 180 + 180 + 180, 3},
			{320, 180 + 180, 3},
			{100, 0, 3},
			{10_000, 720 + 360 + 360, 3},
		} {
			pl.View(View{Tiles: tiles, Kbps: step.kbps})
			th.settle()
			time.Sleep(2 * linger) // what is not watched any more is forgotten
			th.settle()
			sum := 0
			for _, h := range th.video.heights() {
				sum += h
			}
			waiting := 0
			for _, tile := range s.now().Tiles {
				if tile.Source == Camera && tile.Waiting {
					waiting++
				}
			}
			if sum != step.heights || waiting != step.waiting {
				t.Errorf("with %d kbit/s: watched %v, %d tiles wait", step.kbps, th.video.heights(), waiting)
			}
		}
		th.stage.mu.Lock()
		th.stage.sources[sourceKey{"camera-ann", false}].kbps = 60
		got := th.stage.cost(pl.tiles[0].pick, 720)
		th.stage.mu.Unlock()
		if first := th.seat(s, 0); first == "ann" && got != 60 {
			t.Errorf("a picture that takes 60 kbit/s is counted as %d", got)
		}
	})
}

// TestGrant: what a far end sees and learns is what its grant says, at once when it changes.
func TestGrant(t *testing.T) {
	perform(t, func(th *theatre) {
		th.arrive("ann", cameraOf("ann"), screenOf("ann"), TrackInfo{SID: "m", Audio: true})
		th.stage.arrive(Participant{Identity: "ghost", Hidden: true, Tracks: []TrackInfo{cameraOf("ghost")}})
		th.stage.arrive(Participant{Identity: "x", Tracks: []TrackInfo{cameraOf("x")}})
		th.stage.speak([]Speaker{{SID: "PA_ann"}})
		g := policy.Grant{Video: policy.Receive, Content: policy.Neither, Learn: policy.LearnNothing, Picture: policy.Picture{Height: 360}}
		s, pl, own := th.enter("x", g)
		defer pl.leave()
		pl.View(View{Tiles: []Tile{{Height: 720}, {Height: 720}}})
		th.settle()
		sc := s.now()
		if sc.People != 0 || sc.Seats != nil || sc.Speakers != nil || sc.Tiles[0].Seat != 0 || sc.Tiles[0].Source != Camera || sc.Tiles[1].Source != "" || sc.Camera.Allowed {
			t.Errorf("nothing may be known: %+v", sc)
		}
		if !sc.Tiles[0].Speaking {
			t.Error("who is seen speaks, and is not shown to")
		}
		if got := th.video.heights(); len(got) != 1 || got["camera-ann"] != 360 {
			t.Errorf("watched %v", got)
		}
		if err := s.place.Start(Camera, vp8, []Layer{{Height: 180}}); err == nil {
			t.Error("a camera was let in")
		}

		g.Learn, g.Content, g.Video = policy.LearnCount, policy.Both, policy.Both
		pl.setGrant(g)
		th.settle()
		sc = s.now()
		if sc.People != 2 || sc.Seats != nil || sc.Tiles[0].Source != Content || !sc.Camera.Allowed || !sc.Content.Allowed {
			t.Errorf("the count may be known: %+v", sc)
		}
		if err := s.place.Start(Camera, vp8, []Layer{{Height: 720}}); err == nil {
			t.Error("a picture larger than granted was let in")
		}
		if err := s.place.Start(Camera, vp8, []Layer{{Height: 180}, {Height: 720}}); err != nil {
			t.Error(err)
		}
		th.settle()
		if tr := own.track(Camera); tr == nil || len(tr.wish.Layers) != 1 {
			t.Errorf("published %+v", tr)
		}

		g.Learn = policy.LearnNames
		pl.setGrant(g)
		th.settle()
		sc = s.now()
		if len(sc.Seats) != 1 || sc.Seats[0].Name != "ann" || sc.Seats[0].Muted || !sc.Seats[0].Camera || !sc.Seats[0].Content || len(sc.Speakers) != 1 {
			t.Errorf("names may be known: %+v", sc)
		}

		g.Video, g.Content = policy.Neither, policy.Neither
		pl.setGrant(g)
		th.settle()
		if sc = s.now(); sc.Tiles[0].Source != "" || sc.Camera.Allowed || sc.Seats[0].Camera || own.track(Camera) != nil {
			t.Errorf("nothing may be seen: %+v", sc)
		}
		cam := newFakeCamera(0, 0, 0, 0)
		th.video.send("camera-ann", cam.next(true))
		th.settle()
		if n := len(s.packets(0)); n != 0 {
			t.Errorf("%d packets", n)
		}
	})
}

// TestScenes: comings, goings and changes are told, and only what changes.
func TestScenes(t *testing.T) {
	perform(t, func(th *theatre) {
		s, pl, _ := th.enter("x", seesAll)
		defer pl.leave()
		th.settle()
		if sc := s.now(); sc == nil || sc.People != 1 || len(sc.Seats) != 0 || sc.Seats == nil {
			t.Errorf("alone: %+v", sc)
		}
		ann := th.arrive("ann")
		th.arrive("bob")
		th.settle()
		first := s.now()
		if first.People != 3 || len(first.Seats) != 2 || !first.Seats[0].Muted || first.Seats[0].Hand {
			t.Errorf("two came: %+v", first)
		}
		before := s.shows()
		th.stage.arrive(ann)
		time.Sleep(time.Minute)
		th.settle()
		if s.shows() != before {
			t.Error("told although nothing changed")
		}
		ann.Attributes = map[string]string{handAttribute: "now"}
		th.stage.arrive(ann)
		th.settle()
		if sc := s.now(); !sc.Seats[0].Hand || sc.Edition == first.Edition || first.Seats[0].Hand {
			t.Errorf("a hand was raised: %+v", sc)
		}
		th.stage.depart("bob")
		th.stage.depart("nobody")
		th.settle()
		bob := th.arrive("bob")
		th.settle()
		if sc := s.now(); sc.Seats[1].ID != first.Seats[1].ID || sc.Seats[1].Name != bob.Name {
			t.Error("who comes back is somebody else")
		}
		th.stage.depart("bob")
		th.arrive("carl")
		th.settle()
		if sc := s.now(); sc.Seats[1].ID == first.Seats[1].ID || sc.Seats[1].Name != "carl" {
			t.Error("a seat's id was used for somebody else")
		}
	})
}

// TestUnfit: what a far end cannot show is not sent to it, and it is told.
func TestUnfit(t *testing.T) {
	perform(t, func(th *theatre) {
		av1 := cameraOf("ann")
		av1.Video.Kind = AV1
		th.arrive("ann", av1)
		s, pl, _ := th.enter("x", seesAll)
		defer pl.leave()
		th.settle()
		pl.View(View{Tiles: []Tile{{Seat: s.now().Seats[0].ID, Height: 360}, {Height: 360}}})
		th.settle()
		if sc := s.now(); !sc.Tiles[0].Unfit || sc.Tiles[0].Waiting || sc.Tiles[1].Source != "" {
			t.Errorf("%+v", sc.Tiles)
		}
		if n := len(th.video.heights()); n != 0 {
			t.Errorf("%d tracks are watched", n)
		}
	})
}
