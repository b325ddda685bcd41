package bridge

import (
	"testing"
	"time"

	"passerelle/bridge/policy"
)

// paced is seesAll with a bound of pictures a second.
func paced(rate int) policy.Grant {
	g := seesAll
	g.Picture.Rate = rate
	return g
}

// film sends pictures for a time, one each period, the first of them a keyframe, and one more each time that one is wanted. It answers how many came through.
func film(th *theatre, pl *place, own *fakeVideo, s *fakeScreen, cam *fakeCamera, period, length time.Duration) (passed int) {
	before, wanted := own.track(Camera).count(), len(s.wanted())
	key := true
	for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(period) {
		pl.WriteVideo(Camera, 0, cam.next(key))
		n := len(s.wanted())
		key, wanted = n > wanted, n
	}
	th.settle()
	return own.track(Camera).count() - before
}

// TestRate: a leg that keeps to the rate of its rule is not touched, one that does not shows no more than that, whole pictures that can be decoded, and numbers
// without a gap; the rules may change it in a running call.
func TestRate(t *testing.T) {
	perform(t, func(th *theatre) {
		s, pl, own := th.enter("x", paced(15))
		defer pl.leave()
		own.keeps.Store(true)
		if err := pl.Start(Camera, vp8, []Layer{{Height: 360}}); err != nil {
			t.Fatal(err)
		}
		th.settle()
		if got := s.now().Camera.Rate; got != 15 {
			t.Errorf("the leg is told of %d pictures a second", got)
		}
		cam := newFakeCamera(65000, 1<<32-9000, 0x7ff0, 250)
		if got := film(th, pl, own, s, cam, time.Second/15, 10*time.Second); got < 149 {
			t.Errorf("%d of 150 pictures came through", got)
		}
		if got := film(th, pl, own, s, cam, time.Second/60, 10*time.Second); got > 10*18+15 || got < 20 {
			t.Errorf("%d pictures in 10 s", got)
		}
		if pl.beyond.Load() < 300 {
			t.Errorf("%d packets are counted as too many", pl.beyond.Load())
		}
		packets := own.track(Camera).packets(0)
		checkStream(t, packets)
		// After a picture that was left out comes a keyframe: all that was passed can be decoded.
		last := uint32(0)
		for i, p := range packets {
			if gap := p.Timestamp - last; i > 0 && gap != VideoRate/30 && !inspect(VP8, p.Payload, nil).key {
				t.Errorf("picture %d follows a gap of %d and is no keyframe", i, gap)
			}
			last = p.Timestamp
		}
		pl.setGrant(seesAll)
		th.settle()
		if got := film(th, pl, own, s, cam, time.Second/60, 5*time.Second); got < 299 {
			t.Errorf("without a bound %d of 300 pictures came through", got)
		}
		pl.setGrant(paced(5))
		th.settle()
		if got := film(th, pl, own, s, cam, time.Second/30, 5*time.Second); got > 5*7+5 {
			t.Errorf("with 5 a second %d pictures in 5 s", got)
		}
	})
}

// TestRateOfTheRoom: the SFU is asked for as many pictures as the most demanding place of a track may have.
func TestRateOfTheRoom(t *testing.T) {
	perform(t, func(th *theatre) {
		a := cameraOf("a")
		th.arrive("a", a)
		enter := func(identity string, g policy.Grant) *place {
			_, pl, _ := th.enter(identity, g)
			pl.View(View{Tiles: []Tile{{Height: 720}}})
			th.settle()
			return pl
		}
		rate := func(want int) {
			t.Helper()
			th.settle()
			th.video.mu.Lock()
			defer th.video.mu.Unlock()
			if got := th.video.rates[a.SID]; got != want {
				t.Errorf("asked for %d, want %d", got, want)
			}
		}
		slow := enter("slow", paced(10))
		rate(10)
		quick := enter("quick", paced(20))
		rate(20)
		free := enter("free", seesAll)
		rate(0)
		free.leave()
		quick.leave()
		rate(10)
		slow.setGrant(paced(5))
		rate(5)
		slow.leave()
	})
}

// TestPace: late packets, pictures of any length, and a bound that goes away.
func TestPace(t *testing.T) {
	var c pace
	at := time.Unix(0, 0)
	send := func(stamp uint32, key bool, most int) bool {
		ok, _ := c.admit(&packet{timestamp: stamp, marks: marks{key: key}, arrival: at}, most)
		return ok
	}
	for range 1000 { // one picture, however long
		if !send(7, true, 1) {
			t.Fatal("a packet of the first picture was dropped")
		}
	}
	for i := range uint32(4) {
		if !send(8+i, false, 1) {
			t.Fatalf("picture %d", i+2)
		}
		if !send(7+i, false, 1) {
			t.Fatal("a late packet of the picture before was dropped")
		}
	}
	if send(20, false, 1) || send(21, true, 1) || send(20, false, 1) {
		t.Error("one picture too many was passed")
	}
	at = at.Add(time.Second)
	if send(22, false, 1) {
		t.Error("a picture was passed that builds on one that was not")
	}
	if ok, gap := c.admit(&packet{timestamp: 23, marks: marks{key: true}, arrival: at}, 1); !ok || !gap {
		t.Error("the keyframe was not passed, or not as the end of a gap")
	}
	at = at.Add(time.Second)
	send(30, true, 1)
	for i := range uint32(10) {
		send(31+i, true, 1)
	}
	if send(50, false, 0) || !send(51, true, 0) || !send(52, false, 0) {
		t.Error("without a bound, all from the next keyframe on is passed")
	}
}
