package guest

import (
	"bytes"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/bridge/links"
	"passerelle/media"
)

// wire is what an outlet writes to.
type wire struct {
	header  rtp.Header
	payload []byte
	count   int
}

func (w *wire) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	w.header, w.payload = *h, payload
	w.count++
	return len(payload), nil
}

func (w *wire) Write([]byte) (int, error) { return 0, nil }

// agreed makes an outlet that is bound to a wire, with VP8 and AV1.
func agreed(w *wire) *outlet {
	o := &outlet{link: newDownlink(1000, time.Now)}
	o.bound.Store(&binding{stream: w, ssrc: 7, twcc: 3, dependency: 5, codecs: []pion.RTPCodecParameters{
		{RTPCodecCapability: pion.RTPCodecCapability{MimeType: "video/VP8"}, PayloadType: 100},
		{RTPCodecCapability: pion.RTPCodecCapability{MimeType: "video/AV1"}, PayloadType: 101},
	}})
	return o
}

// TestOutlet: a packet goes out in its own format, with its number among all packets, and with AV1's dependency descriptor, however long that is.
func TestOutlet(t *testing.T) {
	w := &wire{}
	o := agreed(w)
	vp8, av1, h264 := bridge.VideoCodec{Kind: bridge.VP8}, bridge.VideoCodec{Kind: bridge.AV1}, bridge.VideoCodec{Kind: bridge.H264}
	for i, c := range []struct {
		codec      *bridge.VideoCodec
		dependency int
		pt         uint8
	}{{&vp8, 0, 100}, {&av1, 3, 101}, {&av1, 16, 101}, {&av1, 17, 101}, {&av1, 200, 101}, {&vp8, 0, 100}} {
		d := bytes.Repeat([]byte{9}, c.dependency)
		if err := o.video(&bridge.VideoPacket{Codec: c.codec, Sequence: uint16(i), Payload: []byte{1}, Dependency: d}); err != nil {
			t.Fatal(err)
		}
		if h := w.header; h.PayloadType != c.pt || h.SSRC != 7 || h.SequenceNumber != uint16(i) || !bytes.Equal(h.GetExtension(5), d) && c.dependency > 0 {
			t.Errorf("%d: %+v", i, h)
		}
		b, err := w.header.Marshal() // as it goes out
		if err != nil {
			t.Fatal(err)
		}
		var back rtp.Header
		if _, err := back.Unmarshal(b); err != nil || !bytes.Equal(back.GetExtension(3), []byte{0, byte(i)}) {
			t.Errorf("%d: transport-wide number %v %v", i, back.GetExtension(3), err)
		}
	}
	if before := w.count; o.video(&bridge.VideoPacket{Codec: &h264}) != nil || w.count != before {
		t.Error("a format went out that was not agreed")
	}
	_ = o.Unbind(nil)
	if before := w.count; o.video(&bridge.VideoPacket{Codec: &vp8}) != nil || o.voice(nil, 0, 0, false) != nil || w.count != before {
		t.Error("a packet went out after the end")
	}
}

// TestVoice: lost, late and repeated packets are counted and not passed on twice, numbers wrap, and timestamps follow the time that passes in silence.
func TestVoice(t *testing.T) {
	v := newVoice()
	e := ear{make(chan media.Frame, 100)}
	v.SetSink(e)
	at := time.Now()
	for _, n := range []uint16{65534, 65535, 0, 2, 1, 2, 3} {
		v.take(&rtp.Packet{Header: rtp.Header{SequenceNumber: n, Timestamp: 960 * uint32(n)}, Payload: []byte{1}}, at)
		at = at.Add(20 * time.Millisecond)
	}
	var got []uint16
	for len(e.frames) > 0 {
		got = append(got, (<-e.frames).Sequence)
	}
	if want := []uint16{65534, 65535, 0, 2, 3}; len(got) != len(want) || got[3] != 2 || got[4] != 3 {
		t.Errorf("passed on %v, want %v", got, want)
	}
	if s := v.Stats(); s.PacketsReceived != 7 || s.Late != 1 || s.Duplicate != 1 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
	w := &wire{}
	v.connect(agreed(w))
	_ = v.WriteFrame([]byte{1}, 960, true)
	first := w.header
	v.due = v.due.Add(-100 * time.Millisecond) // so much time passes without a frame
	_ = v.WriteFrame([]byte{1}, 960, true)
	if passed := w.header.Timestamp - first.Timestamp; passed < 4*960 || passed > 6*960 || w.header.SequenceNumber != first.SequenceNumber+1 {
		t.Errorf("after 100 ms: %d units, numbers %d and %d", passed, first.SequenceNumber, w.header.SequenceNumber)
	}
	v.report(&rtcp.ReceptionReport{TotalLost: 5, Jitter: 48, LastSenderReport: ntpShort(time.Now().Add(-90 * time.Millisecond)), Delay: 65536 / 25}, time.Now())
	if s := v.Stats(); s.FarLost != 5 || s.FarJitter != time.Millisecond || s.RoundTrip < 40*time.Millisecond || s.RoundTrip > 60*time.Millisecond {
		t.Errorf("%+v", s)
	}
}

// TestAllocations: a packet costs no allocation of ours, either way.
func TestAllocations(t *testing.T) {
	w := &wire{}
	o, v, vp8 := agreed(w), newVoice(), bridge.VideoCodec{Kind: bridge.VP8}
	v.connect(o)
	payload := make([]byte, 1000)
	packet := bridge.VideoPacket{Codec: &vp8, Payload: payload}
	in := rtp.Packet{Payload: payload}
	leg := &Leg{}
	leg.place, leg.live[0] = discard{}, true
	f := &feed{source: bridge.Camera, codec: &vp8}
	leg.feeds[0][0] = f
	v.SetSink(discard{})
	for name, each := range map[string]func(){
		"a tile's packet":      func() { _ = o.video(&packet) },
		"a frame of the mix":   func() { _ = v.WriteFrame(payload[:100], 960, false) },
		"a microphone's frame": func() { in.SequenceNumber++; v.take(&in, time.Time{}) },
		"a camera's packet":    func() { leg.forward(f, &in, time.Time{}) },
	} {
		each() // what stays is made by the first
		if n := testing.AllocsPerRun(1000, each); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// discard is a place and a sink that keep nothing.
type discard struct{}

func (discard) Start(bridge.Source, bridge.VideoCodec, []bridge.Layer) error { return nil }
func (discard) WriteVideo(bridge.Source, int, *bridge.VideoPacket)           {}
func (discard) Stop(bridge.Source)                                           {}
func (discard) View(bridge.View)                                             {}
func (discard) WantKeyframe(int)                                             {}
func (discard) WriteFrame(*media.Frame)                                      {}

// TestSimulcast: the layers of a camera come to the room as layers, each may be asked for a keyframe, and a room that refuses them gets none.
func TestSimulcast(t *testing.T) {
	t.Parallel()
	r := newRoom()
	h := open(t, nil, r.take)
	_, token := h.link(links.Wish{})
	session, _, _ := h.exchange(token)
	p, _ := h.hello(session)
	pc := browserOf(t)
	p.pc = pc
	var tracks []*pion.TrackLocalStaticRTP
	for _, rid := range []string{"q", "h", "f"} {
		local, err := pion.NewTrackLocalStaticRTP(pion.RTPCodecCapability{MimeType: pion.MimeTypeVP8}, "camera", "page", pion.WithRTPStreamID(rid))
		if err != nil {
			t.Fatal(err)
		}
		tracks = append(tracks, local)
	}
	tr, err := pc.AddTransceiverFromTrack(tracks[0], pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionSendonly})
	if err != nil {
		t.Fatal(err)
	}
	for _, local := range tracks[1:] {
		if err := tr.Sender().AddEncoding(local); err != nil {
			t.Fatal(err)
		}
	}
	p.say("join", join{Camera: true, offer: offer{SDP: p.offer(false), Tracks: []track{{"0", UseCamera}}}})
	p.accept()
	leg := wait(t, "leg", r.legs)
	place := newStage()
	leg.Attach(place)
	p.say("camera", picture{On: true, Width: 1280, Height: 720})
	ids := map[string]uint8{}
	for _, e := range tr.Sender().GetParameters().HeaderExtensions {
		ids[e.URI] = uint8(e.ID)
	}
	n := uint16(0)
	send := func() {
		n++
		for i, local := range tracks {
			packet := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: n, Timestamp: 3000 * uint32(n)}, Payload: random(100 * (i + 1))}
			_ = packet.SetExtension(ids["urn:ietf:params:rtp-hdrext:sdes:mid"], []byte("0"))
			_ = packet.SetExtension(ids["urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"], []byte(local.RID()))
			_ = local.WriteRTP(packet)
		}
	}
	until(t, "all layers", func() bool {
		send()
		leg.mu.RLock()
		defer leg.mu.RUnlock()
		return leg.feeds[0][0] != nil && leg.feeds[0][1] != nil && leg.feeds[0][2] != nil
	})
	until(t, "pictures", func() bool { send(); return place.is(func() bool { return place.got[bridge.Camera] > 30 })() })
	place.mu.Lock()
	if l := place.started[bridge.Camera]; len(l) != 3 || l[0] != (bridge.Layer{RID: "q", Width: 320, Height: 180}) || l[2].Height != 720 {
		t.Errorf("started %+v", l)
	}
	place.refuse = true
	place.mu.Unlock()
	for layer := range 5 {
		leg.WantKeyframe(bridge.Camera, layer) // also of layers that there are not
	}
	p.say("camera", picture{On: true, Width: 640, Height: 360})
	until(t, "refused", func() bool {
		leg.mu.RLock()
		defer leg.mu.RUnlock()
		return !leg.live[0]
	})
	leg.Attach(nil)
}
