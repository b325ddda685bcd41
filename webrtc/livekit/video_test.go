package livekit

import (
	"bytes"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// TestLosses: what is missing is asked for, again for a while, and not when it comes, is too old, or is too much.
func TestLosses(t *testing.T) {
	now := time.Now()
	var l losses
	step := func(wait time.Duration, seqs []uint16, want ...uint16) {
		t.Helper()
		now = now.Add(wait)
		for _, s := range seqs {
			l.add(s, now)
		}
		if got := l.due(now.Add(lossTick)); !slices.Equal(got, want) {
			t.Errorf("asked for %v, want %v", got, want)
		}
	}
	step(0, []uint16{65533, 65534})
	step(0, []uint16{1}, 65535, 0)
	step(lossTick, nil)
	step(lossPause, []uint16{0}, 65535)
	for range maxAsks - 2 {
		step(lossPause, nil, 65535)
	}
	step(lossPause, nil)
	step(lossPause, []uint16{0, 1, 65000})
	step(0, []uint16{1 + maxLost + 10})
	step(lossPause, []uint16{1 + maxLost + 12}, 1+maxLost+11)
	// In order again before anybody asks.
	l = losses{}
	l.add(5, now)
	l.add(7, now)
	l.add(6, now)
	step(lossPause, nil)
	if len(l.missing) != 0 {
		t.Errorf("still missing: %v", l.missing)
	}
	if n := testing.AllocsPerRun(1000, func() { l.add(l.highest+1, now); l.due(now) }); n != 0 {
		t.Errorf("%v allocations for a packet", n)
	}
}

// TestNotices: a stream that can be asked about is, and others are not; nothing is left running.
func TestNotices(t *testing.T) {
	i, err := lossNotices{}.NewInterceptor("")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan *rtcp.TransportLayerNack, 100)
	i.BindRTCPWriter(interceptor.RTCPWriterFunc(func(list []rtcp.Packet, _ interceptor.Attributes) (int, error) {
		for _, p := range list {
			asked <- p.(*rtcp.TransportLayerNack)
		}
		return 0, nil
	}))
	packets := make(chan []byte, 10)
	next := interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		return copy(b, <-packets), a, nil
	})
	nack := []interceptor.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	video := &interceptor.StreamInfo{SSRC: 7, RTCPFeedback: nack}
	readers := []interceptor.RTPReader{i.BindRemoteStream(video, next), i.BindRemoteStream(&interceptor.StreamInfo{SSRC: 8, RTCPFeedback: nack[1:]}, next)}
	for _, r := range readers {
		for _, seq := range []uint16{10, 12} {
			b, err := (&rtp.Header{Version: 2, SequenceNumber: seq}).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			packets <- b
			if _, _, err := r.Read(make([]byte, 1500), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := <-asked; n.MediaSSRC != 7 || !slices.Equal(n.Nacks[0].PacketList(), []uint16{11}) {
		t.Errorf("%+v", n)
	}
	i.UnbindRemoteStream(video)
	for range 2 {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestLayersOf: how layers are announced, and read.
func TestLayersOf(t *testing.T) {
	layers := []bridge.Layer{{Width: 320, Height: 180, Kbps: 150}, {Width: 640, Height: 360}, {Width: 1280, Height: 720, Kbps: -1}}
	for _, n := range []int{1, 2, 3} {
		out := lklayersOf(layers[:n])
		for i, l := range out {
			want := lksig.VideoQuality(i)
			rid := layerRID(i)
			if n == 1 {
				want, rid = lksig.VideoQuality_HIGH, ""
			}
			if l.GetQuality() != want || l.GetRid() != rid || l.GetHeight() != uint32(layers[i].Height) {
				t.Errorf("%d of %d: %v", i, n, l)
			}
		}
		info := videoInfo(&lksig.TrackInfo{
			Type: lksig.TrackType_VIDEO, Source: lksig.TrackSource_SCREEN_SHARE, MimeType: "video/vp8", Width: 1280, Height: 1 << 30,
			Codecs: []*lksig.SimulcastCodecInfo{{Layers: append(slices.Clone(out), &lksig.VideoLayer{Quality: lksig.VideoQuality_OFF})}},
		})
		if info.Source != bridge.Content || info.Kind != bridge.VP8 || info.Height != 1<<14 || len(info.Layers) != n || info.Layers[0].Kbps != 150 {
			t.Errorf("%+v", info)
		}
	}
	old := videoInfo(&lksig.TrackInfo{Type: lksig.TrackType_VIDEO, Layers: make([]*lksig.VideoLayer, 50), Codecs: []*lksig.SimulcastCodecInfo{{MimeType: "video/AV1"}}})
	if len(old.Layers) != bridge.MaxLayers || old.Kind != bridge.AV1 || old.Source != "" {
		t.Errorf("%+v", old)
	}
	if got := videoInfo(&lksig.TrackInfo{Source: lksig.TrackSource_CAMERA}); !reflect.DeepEqual(got, bridge.VideoInfo{}) {
		t.Errorf("sound has a picture: %+v", got)
	}
}

// TestWantedLayers: which layers are watched.
func TestWantedLayers(t *testing.T) {
	q := func(list ...lksig.VideoQuality) (out []*lksig.SubscribedQuality) {
		for _, quality := range []lksig.VideoQuality{lksig.VideoQuality_LOW, lksig.VideoQuality_MEDIUM, lksig.VideoQuality_HIGH, lksig.VideoQuality_OFF, -3, 99} {
			out = append(out, &lksig.SubscribedQuality{Quality: quality, Enabled: slices.Contains(list, quality)})
		}
		return out
	}
	for _, c := range []struct {
		list []*lksig.SubscribedQuality
		n    int
		want [bridge.MaxLayers]bool
	}{
		{q(), 3, [3]bool{}},
		{q(0), 3, [3]bool{true}},
		{q(0, 2), 3, [3]bool{true, false, true}},
		{q(2), 2, [3]bool{}},
		{q(1), 2, [3]bool{false, true}},
		{q(2), 1, [3]bool{true}},
		{q(0), 1, [3]bool{true}},
		{q(), 1, [3]bool{}},
		{q(-3, 99, 3), 3, [3]bool{}},
	} {
		if got := wantedLayers(c.list, c.n); got != c.want {
			t.Errorf("%v of %d: %v, want %v", c.list, c.n, got, c.want)
		}
	}
}

// TestFindCodec: formats are matched by what matters of them.
func TestFindCodec(t *testing.T) {
	for _, c := range []struct {
		codec bridge.VideoCodec
		want  string // fmtp
		ok    bool
	}{
		{bridge.VideoCodec{Kind: bridge.VP8}, "", true},
		{bridge.VideoCodec{Kind: bridge.VP8, Fmtp: "max-fr=30"}, "", true},
		{bridge.VideoCodec{Kind: bridge.VP9}, "profile-id=0", true},
		{bridge.VideoCodec{Kind: bridge.VP9, Fmtp: "profile-id=1"}, "", false},
		{bridge.VideoCodec{Kind: bridge.H264, Fmtp: "packetization-mode=1; Profile-Level-Id=42E034"}, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", true},
		{bridge.VideoCodec{Kind: bridge.H264, Fmtp: "profile-level-id=42e01f"}, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f", true},
		{bridge.VideoCodec{Kind: bridge.H264, Fmtp: "packetization-mode=1;profile-level-id=640c1f"}, "", false},
		{bridge.VideoCodec{Kind: bridge.H264, Fmtp: "profile-level-id=4"}, "", false},
		{bridge.VideoCodec{Kind: bridge.AV1, Fmtp: "level-idx=5;profile=0;tier=0"}, "", true},
		{bridge.VideoCodec{Kind: bridge.AV1, Fmtp: "profile=1"}, "", false},
		{bridge.VideoCodec{Kind: "H265"}, "", false},
		{bridge.VideoCodec{}, "", false},
	} {
		if got, ok := findCodec(c.codec); ok != c.ok || ok && (got.SDPFmtpLine != c.want || got.MimeType != mimeType(c.codec.Kind)) {
			t.Errorf("%+v: %+v, %t", c.codec, got, ok)
		}
	}
	if kindOf("video/vp9") != bridge.VP9 || kindOf("audio/VP8") != "" || kindOf("VP8") != "" || kindOf("video/rtx") != "" {
		t.Error("kinds")
	}
}

// TestEnabledCodecs: a picture in a format that the server does not take is refused before it is told of, and a server that does not tell takes all.
func TestEnabledCodecs(t *testing.T) {
	all := bridge.VideoCodecs()
	list := func(mimes ...string) (list []*lksig.Codec) {
		for _, m := range mimes {
			list = append(list, &lksig.Codec{Mime: m})
		}
		return list
	}
	for name, c := range map[string]struct {
		told []*lksig.Codec
		want []bridge.VideoCodec
	}{
		"nothing":       {nil, all},
		"sound only":    {list("audio/opus", "audio/red"), all},
		"all":           {list("video/VP8", "video/vp9", "video/H264", "video/AV1", "video/H265", "video/rtx", "audio/opus"), all},
		"two":           {list("audio/opus", "video/H264", "video/vp8"), append(all[:1:1], all[2:7]...)},
		"none of ours":  {list("video/H265"), nil},
		"one profile":   {[]*lksig.Codec{{Mime: "video/h264", FmtpLine: "packetization-mode=1;profile-level-id=42e034"}}, all[2:3]},
		"other profile": {[]*lksig.Codec{{Mime: "video/vp8"}, {Mime: "video/vp9", FmtpLine: "profile-id=2"}}, all[:1]},
	} {
		if got := enabledCodecs(c.told); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}

	s := newSession(&Client{}, bridge.Join{Camera: true, Content: true}, slog.New(slog.DiscardHandler))
	if !slices.Equal(s.VideoCodecs(), all) {
		t.Errorf("before the server has told: %v", s.VideoCodecs())
	}
	if err := s.settle(nil, &lksig.JoinResponse{Participant: &lksig.ParticipantInfo{}, EnabledPublishCodecs: list("video/vp8")}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.VideoCodecs(), all[:1]) {
		t.Errorf("the server takes %v", s.VideoCodecs())
	}
	p := bridge.Publication{Source: bridge.Camera, Codec: bridge.VideoCodec{Kind: bridge.VP9}, Layers: make([]bridge.Layer, 1)}
	if _, err := s.newVideo(p); !errors.Is(err, bridge.ErrNoCodec) {
		t.Errorf("published: %v", err)
	}
	p.Codec.Kind = bridge.VP8
	if _, err := s.newVideo(p); err != nil {
		t.Error(err)
	}
}

// TestUnpadded: LiveKit's packets of padding hold no payload, others do.
func TestUnpadded(t *testing.T) {
	padding := append(make([]byte, 254), 255)
	for _, c := range []struct {
		p    rtp.Packet
		want int
	}{
		{rtp.Packet{Payload: padding}, 255},
		{rtp.Packet{Header: rtp.Header{Padding: true}, Payload: padding}, 0},
		{rtp.Packet{Header: rtp.Header{Padding: true}, Payload: []byte{1, 2}}, 0},
		{rtp.Packet{Header: rtp.Header{Padding: true}, Payload: []byte{1, 3}}, 2},
		{rtp.Packet{Header: rtp.Header{Padding: true}}, 0},
	} {
		if got := unpadded(&c.p); len(got) != c.want {
			t.Errorf("%+v: %d bytes", c.p, len(got))
		}
	}
}

// TestOutgoingLayer: a packet is given new header fields and nothing else, and nothing is allocated for it.
func TestOutgoingLayer(t *testing.T) {
	local, err := pion.NewTrackLocalStaticRTP(pion.RTPCodecCapability{MimeType: pion.MimeTypeAV1}, "t", "s")
	if err != nil {
		t.Fatal(err)
	}
	l := &outgoingLayer{local: local, dependency: 5}
	for id, v := range map[uint8]string{2: "1", 3: "h"} {
		if err := l.packet.Header.SetExtension(id, []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dependency := range [][]byte{nil, {1, 2, 3}, bytes.Repeat([]byte{9}, 60), {4, 5, 6}, nil} {
		p := &bridge.VideoPacket{Sequence: 65535, Timestamp: 7, Marker: true, Payload: []byte{1, 2}, Dependency: dependency}
		if err := l.write(p); err != nil {
			t.Fatal(err)
		}
		b, err := l.packet.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		var got rtp.Packet
		if err := got.Unmarshal(b); err != nil {
			t.Fatal(err)
		}
		if got.SequenceNumber != 65535 || got.Timestamp != 7 || !got.Marker || !bytes.Equal(got.Payload, p.Payload) ||
			string(got.GetExtension(2)) != "1" || string(got.GetExtension(3)) != "h" || !bytes.Equal(got.GetExtension(5), dependency) {
			t.Errorf("%d bytes of dependency: %+v", len(dependency), got)
		}
		if n := testing.AllocsPerRun(100, func() { _ = l.write(p) }); n != 0 {
			t.Errorf("%d bytes of dependency: %v allocations", len(dependency), n)
		}
	}
	if err := l.write(&bridge.VideoPacket{Dependency: make([]byte, 256)}); err != nil {
		t.Error(err)
	}
}

// TestKeyframeWishes: PLI and FIR are wishes, other reports are not, and rubbish is nothing.
func TestKeyframeWishes(t *testing.T) {
	for _, c := range []struct {
		list []rtcp.Packet
		want bool
	}{
		{[]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: 1}}, true},
		{[]rtcp.Packet{&rtcp.ReceiverReport{}, &rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: 1}}}}, true},
		{[]rtcp.Packet{&rtcp.ReceiverReport{}, &rtcp.TransportLayerNack{Nacks: []rtcp.NackPair{{PacketID: 1}}}}, false},
	} {
		b, err := rtcp.Marshal(c.list)
		if err != nil {
			t.Fatal(err)
		}
		if asksForKeyframe(b) != c.want {
			t.Errorf("%v", c.list)
		}
	}
	if asksForKeyframe([]byte{0x80, 206}) || asksForKeyframe(nil) {
		t.Error("rubbish is a wish")
	}
}
