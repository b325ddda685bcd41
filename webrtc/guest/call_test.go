package guest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"passerelle/bridge"
	"passerelle/bridge/links"
	"passerelle/configs"
	"passerelle/media"
)

// TestCall is a guest's way from the link to the end: sound both ways, pictures both ways, microphone and hand, and what the page is told.
func TestCall(t *testing.T) {
	t.Parallel()
	r := newRoom()
	h := open(t, nil, r.take)
	link, token := h.link(links.Wish{Title: "Revue", Uses: 1, Language: "en"})
	session, terms, _ := h.exchange(token)
	if terms.Title != "Revue" || !terms.AskName || terms.Video != "both" || !terms.Names || terms.Language != "en" {
		t.Errorf("terms %+v", terms)
	}
	p, w := h.hello(session)
	if w.State != StateNew || w.Version != Version || w.Maximum != 9 || w.Grace != 30 {
		t.Errorf("welcome %+v", w)
	}
	p.join(join{Name: "Ana", Muted: true}, true, 2)
	leg := wait(t, "leg", r.legs)
	audio := wait(t, "audio", r.audio)
	p.state(StateTalking)
	if c := leg.Caller(); c.Name != "Ana" || c.Link != link.ID || c.Room != "room" || c.Protocol != "webrtc" || c.Transport != "ws" || !c.Encrypted {
		t.Errorf("caller %+v", c)
	}
	if e := wait(t, "muted at first", r.events); e.Kind != bridge.Microphone || e.On {
		t.Errorf("event %+v", e)
	}

	t.Run("sound", func(t *testing.T) {
		e := ear{make(chan media.Frame, 100)}
		audio.SetSink(e)
		payload := random(80)
		up := make(chan struct{})
		go func() {
			defer close(up)
			for i := range 200 {
				_ = p.microphone.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(65530 + i), Timestamp: uint32(960 * i)}, Payload: payload})
				time.Sleep(2 * time.Millisecond)
			}
		}()
		f := wait(t, "frame", e.frames)
		if !bytes.Equal(f.Payload, payload) || f.Codec.Name != "opus" || f.Timestamp%960 != 0 {
			t.Errorf("frame %+v", f)
		}
		next := wait(t, "frame", e.frames)
		if next.Sequence != f.Sequence+1 || next.Timestamp != f.Timestamp+960 {
			t.Errorf("after %d at %d comes %d at %d", f.Sequence, f.Timestamp, next.Sequence, next.Timestamp)
		}
		<-up
		audio.SetSink(nil)
		mix := random(100)
		for i := range 3 {
			if err := audio.WriteFrame(mix, 960, i == 0); err != nil {
				t.Fatal(err)
			}
		}
		a, b := wait(t, "mix", p.heard), wait(t, "mix", p.heard)
		if !bytes.Equal(a.Payload, mix) || !a.Marker || b.Marker || b.SequenceNumber != a.SequenceNumber+1 || b.Timestamp != a.Timestamp+960 {
			t.Errorf("mix %v, then %v", a, b)
		}
		if s := audio.Stats(); s.PacketsReceived < 2 || s.PacketsSent != 3 || s.Encryption != "DTLS-SRTP" || !s.Remote.IsValid() {
			t.Errorf("stats %+v", s)
		}
	})

	place := newStage()
	t.Run("pictures of the page", func(t *testing.T) {
		leg.Attach(place)
		p.say("camera", picture{On: true, Width: 1280, Height: 720, Kbps: 1500})
		payload := append([]byte{0x10, 0}, random(900)...) // the VP8 payload descriptor: begins a picture
		n := uint16(0)
		until(t, "camera", func() bool {
			n++
			_ = p.camera.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: n, Timestamp: 3000 * uint32(n), Marker: true}, Payload: payload})
			return place.is(func() bool { return place.got[bridge.Camera] > 2 })()
		})
		place.mu.Lock()
		if l := place.started[bridge.Camera]; len(l) != 1 || l[0].Height != 720 || place.codec.Kind != bridge.VP8 {
			t.Errorf("started %+v %+v", l, place.codec)
		}
		if !bytes.Equal(place.last.Payload, payload) || !place.last.Marker || place.last.Timestamp != 3000*uint32(place.last.Sequence) {
			t.Errorf("packet %+v", place.last)
		}
		place.mu.Unlock()
		for len(p.asked) > 0 {
			<-p.asked
		}
		leg.WantKeyframe(bridge.Camera, 0)
		for asked := false; !asked; {
			_, asked = wait(t, "PLI", p.asked).(*rtcp.PictureLossIndication)
		}
		p.say("camera", picture{})
		until(t, "camera off", place.is(func() bool { return len(place.started) == 0 }))
	})

	t.Run("pictures of the room", func(t *testing.T) {
		first, second := p.tracks[2].Mid, p.tracks[3].Mid
		p.say("layout", layout{Tiles: []tileWish{{Mid: second, Seat: 7, Source: sourceScreen, Height: 360}}})
		until(t, "view", func() bool {
			v := place.view().Tiles
			return len(v) == 2 && v[0] == (bridge.Tile{}) && v[1] == bridge.Tile{Seat: 7, Source: bridge.Content, Height: 360}
		})
		if k := place.view().Kbps; k < startKbps {
			t.Errorf("%d kbit/s at first", k)
		}
		codecs := leg.Codecs()
		if len(codecs) < 3 || codecs[0].Kind != bridge.VP8 {
			t.Fatalf("codecs %v", codecs)
		}
		h264 := bridge.VideoCodec{Kind: bridge.H264, Fmtp: "packetization-mode=1;profile-level-id=42e01f"}
		vp8, payload := codecs[0], random(1000)
		for i := range uint16(20) {
			leg.WriteVideo(1, &bridge.VideoPacket{Codec: &vp8, Sequence: i, Timestamp: 1, Payload: payload})
			leg.WriteVideo(1, &bridge.VideoPacket{Codec: &h264, Sequence: 100 + i, Timestamp: 2, Payload: payload, Marker: true})
		}
		a, b := wait(t, "tile", p.seen[second]), wait(t, "tile", p.seen[second])
		if !bytes.Equal(a.Payload, payload) || a.PayloadType == b.PayloadType || a.SSRC != b.SSRC || a.Marker == b.Marker {
			t.Errorf("tile %v, then %v", a.Header, b.Header)
		}
		if len(p.seen[first]) != 0 {
			t.Error("something came on the other tile")
		}
		_ = p.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: a.SSRC}})
		until(t, "keyframe wanted", place.is(func() bool { return place.wanted[1] > 0 }))
		leg.WriteVideo(9, &bridge.VideoPacket{Codec: &vp8}) // of a view that is over
	})

	t.Run("what the page is told", func(t *testing.T) {
		s := bridge.Standing{State: "talking", Muted: true, ByHost: true, MayUnmute: true, Hand: true, Alone: true, Recorded: true, Banner: "Foreign line <b>"}
		p.say("hand", hand{Up: true})
		wait(t, "hand", r.events)
		leg.Tell(s)
		var m microphoneState
		p.hear("microphone", &m, func() bool { return m == microphoneState{On: false, By: "host", Free: true} })
		var up handState
		p.hear("hand", &up, func() bool { return up == handState{Up: true, By: "self"} })
		var text banner
		p.hear("banner", &text, func() bool { return text.Text == "Foreign line <b>" })
		var n notice
		p.hear("notice", &n, func() bool { return n.Name == "alone" })
		p.hear("notice", &n, func() bool { return n.Name == "recording" })
		s.Hand, s.Away, s.Alone = false, true, false
		leg.Tell(s)
		p.state(StateInterrupted)
		p.hear("hand", &up, func() bool { return up == handState{Up: false, By: "host"} })
		p.hear("notice", &n, func() bool { return n.Name == "company" })
		leg.Show(&bridge.Scene{
			People: 3, Edition: 1, Seats: []bridge.Seat{{ID: 7, Name: "Bo", Camera: true, Phone: true}}, Speakers: []bridge.SeatID{7},
			Tiles:  []bridge.Shown{{}, {Seat: 7, Source: bridge.Content, Width: 640, Waiting: true}},
			Camera: bridge.Sending{Allowed: true, Live: true, Wanted: [3]bool{true}, Rate: 15},
		})
		var who people
		p.hear("people", &who, func() bool {
			return who.Count == 3 && len(who.People) == 1 && who.People[0] == person{Seat: 7, Name: "Bo", Camera: true, Phone: true}
		})
		var speaking speakers
		p.hear("speakers", &speaking, func() bool { return len(speaking.Seats) == 1 && speaking.Seats[0] == 7 })
		var shown tiles
		p.hear("tiles", &shown, func() bool {
			return len(shown.Tiles) == 2 && shown.Tiles[1] == tile{Mid: p.tracks[3].Mid, Seat: 7, Source: sourceScreen, Width: 640, Waiting: true}
		})
		var what sending
		p.hear("sending", &what, func() bool { return what.Camera.Wanted[0] && what.Camera.Rate == 15 && !what.Screen.Allowed })
		leg.Tell(bridge.Standing{State: "talking", MayUnmute: true})
		p.state(StateTalking)
		p.hear("banner", &text, func() bool { return text.Text == "" })
		p.say("ping", ping{ID: 9})
		var back pong
		p.hear("pong", &back, func() bool { return back.ID == 9 })
	})

	if _, _, problem := h.exchange(token); problem.Code != "link_used_up" {
		t.Errorf("a second use: %+v", problem)
	}
	p.say("leave", leave{})
	p.ended("hung_up", closeLeft)
	if err := wait(t, "end", r.ended); !errors.Is(err, bridge.ErrHungUp) {
		t.Errorf("ended: %v", err)
	}
	leg.Attach(nil)
	if text := h.logged.String(); bytes.Contains([]byte(text), []byte(token)) || bytes.Contains([]byte(text), []byte(session)) {
		t.Error("a token is in the log")
	}
}

// TestLobby: what a page is told on its way into the room.
func TestLobby(t *testing.T) {
	t.Parallel()
	step := make(chan bridge.Standing)
	h := open(t, nil, func(ctx context.Context, l *Leg) {
		if err := l.Ring(ctx, bridge.Terms{}); err != nil {
			t.Error(err)
		}
		if _, err := l.Answer(ctx); err != nil {
			t.Error(err)
		}
		for s := range step {
			l.Tell(s)
		}
		l.End(bridge.ErrNotAdmitted)
	})
	_, token := h.link(links.Wish{Lobby: true})
	session, terms, _ := h.exchange(token)
	if !terms.Lobby {
		t.Error("the page does not know of the lobby")
	}
	p, _ := h.hello(session)
	p.join(join{}, false, 0)
	at := time.Now().Add(time.Minute).Truncate(time.Second)
	step <- bridge.Standing{State: "waiting", Until: at}
	if m := p.state(StateWaiting); !m.Until.Equal(at) {
		t.Errorf("until %v, want %v", m.Until, at)
	}
	close(step)
	p.ended("not_admitted", closeEnded)
}

// TestConsent: where media leaves, nobody joins who has not agreed to it.
func TestConsent(t *testing.T) {
	t.Parallel()
	r := newRoom()
	h := open(t, func(c *configs.Guests) { c.Consent, c.HostedIn = "Text.", "France" }, r.take)
	_, token := h.link(links.Wish{Name: "Ana"})
	session, terms, _ := h.exchange(token)
	if terms.Consent != "Text." || terms.Hosted != "France" || terms.Name != "Ana" || terms.AskName {
		t.Errorf("terms %+v", terms)
	}
	p, _ := h.hello(session)
	j := join{Name: "Eve", offer: offer{SDP: p.media(false, 0)}}
	j.Tracks = p.tracks
	p.say("join", j)
	var f failure
	p.hear("error", &f, nil)
	if f.Code != "consent" || f.To != "join" {
		t.Errorf("failure %+v", f)
	}
	j.Consent = true
	p.say("join", j)
	p.accept()
	if c := wait(t, "leg", r.legs).Caller(); c.Name != "Ana" {
		t.Errorf("a fixed name was changed to %q", c.Name)
	}
	<-r.audio
	h.end()
	if err := wait(t, "end", r.ended); !errors.Is(err, bridge.ErrDraining) {
		t.Errorf("ended: %v", err)
	}
	p.ended("draining", closeEnded)
}
