package livekit

import (
	"log/slog"
	"testing"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// FuzzData: a data packet is any participant's to write.
func FuzzData(f *testing.F) {
	topic := "chat"
	for _, p := range []*lksig.DataPacket{
		{},
		{ParticipantIdentity: "a", Value: &lksig.DataPacket_User{User: &lksig.UserPacket{Payload: []byte("hello"), Topic: &topic}}},
		{Value: &lksig.DataPacket_SipDtmf{SipDtmf: &lksig.SipDTMF{Code: 1, Digit: "1"}}},
		{Value: &lksig.DataPacket_SipDtmf{SipDtmf: &lksig.SipDTMF{Digit: "12"}}},
	} {
		b, err := proto.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := parseData(b)
		if ok != (e.Kind == bridge.DataReceived) || e.Topic == DTMFTopic && len(e.Data) > 1 && len(b) < 4 {
			t.Errorf("%+v", e)
		}
	})
}

// FuzzSignal: whatever a server says, a session handles it or calls it an error.
func FuzzSignal(f *testing.F) {
	info := &lksig.ParticipantInfo{Sid: "PA_1", Identity: "one", Tracks: []*lksig.TrackInfo{{
		Sid: "TR_1", Type: lksig.TrackType_VIDEO, Codecs: []*lksig.SimulcastCodecInfo{{MimeType: "video/VP8", Layers: []*lksig.VideoLayer{{Height: 180}}}},
	}}, Permission: &lksig.ParticipantPermission{}}
	self := &lksig.ParticipantInfo{Sid: "PA_me", Identity: "me", Tracks: []*lksig.TrackInfo{{Sid: "TR_me", Muted: true}}}
	for _, m := range []*lksig.SignalResponse{
		{},
		{Message: &lksig.SignalResponse_Join{Join: &lksig.JoinResponse{Participant: self, OtherParticipants: []*lksig.ParticipantInfo{info}}}},
		{Message: &lksig.SignalResponse_Update{Update: &lksig.ParticipantUpdate{Participants: []*lksig.ParticipantInfo{info, self}}}},
		{Message: &lksig.SignalResponse_Offer{Offer: &lksig.SessionDescription{Type: "offer", Id: 1, Sdp: "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"}}},
		{Message: &lksig.SignalResponse_Answer{Answer: &lksig.SessionDescription{Type: "answer", Sdp: "v=0"}}},
		{Message: &lksig.SignalResponse_Trickle{Trickle: &lksig.TrickleRequest{Target: 1, CandidateInit: `{"candidate":"candidate:1 1 udp 1 10.0.0.1 1 typ host"}`}}},
		{Message: &lksig.SignalResponse_TrackPublished{TrackPublished: &lksig.TrackPublishedResponse{Cid: "c", Track: &lksig.TrackInfo{Sid: "TR_me"}}}},
		{Message: &lksig.SignalResponse_TrackUnpublished{TrackUnpublished: &lksig.TrackUnpublishedResponse{TrackSid: "TR_me"}}},
		{Message: &lksig.SignalResponse_Mute{Mute: &lksig.MuteTrackRequest{Sid: "TR_me", Muted: true}}},
		{Message: &lksig.SignalResponse_TrackUnpublished{TrackUnpublished: &lksig.TrackUnpublishedResponse{TrackSid: "TR_v"}}},
		{Message: &lksig.SignalResponse_SubscribedQualityUpdate{SubscribedQualityUpdate: &lksig.SubscribedQualityUpdate{
			TrackSid: "TR_v", SubscribedCodecs: []*lksig.SubscribedCodec{{Codec: "vp8", Qualities: []*lksig.SubscribedQuality{{Enabled: true}, {Quality: 2, Enabled: true}}}},
		}}},
		{Message: &lksig.SignalResponse_SpeakersChanged{SpeakersChanged: &lksig.SpeakersChanged{Speakers: []*lksig.SpeakerInfo{{Sid: "PA_1", Level: 1, Active: true}}}}},
		{Message: &lksig.SignalResponse_RequestResponse{RequestResponse: &lksig.RequestResponse{RequestId: 1, Reason: 2}}},
		{Message: &lksig.SignalResponse_Leave{Leave: &lksig.LeaveRequest{Action: 2, Reason: 3}}},
		{Message: &lksig.SignalResponse_RoomMoved{RoomMoved: &lksig.RoomMovedResponse{}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(websocket.BinaryMessage, b)
		if err != nil {
			return
		}
		server := newFake(t, func(c *fakeConn) { c.await(func(*lksig.SignalRequest) bool { return false }) })
		c := fakeClient(t, server.url, 0)
		token, err := c.sign(claims{})
		if err != nil {
			t.Fatal(err)
		}
		l, err := c.dial(t.Context(), token, map[string][]string{})
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		s := newSession(c, bridge.Join{Identity: "me", Subscribe: true}, slog.New(slog.DiscardHandler))
		s.sid = "PA_me"
		s.track = &Track{published: published{s: s, cid: "c", sid: "TR_me"}}
		camera := bridge.Publication{
			Source: bridge.Camera, Codec: bridge.VideoCodec{Kind: bridge.VP8}, Layers: make([]bridge.Layer, 2), WantKeyframe: func(int) {},
			WantLayers: func(wanted [bridge.MaxLayers]bool) {
				if wanted[2] {
					t.Error("a layer is wanted that there is not")
				}
			},
		}
		s.videos[bridge.Camera] = &VideoTrack{published: published{s: s, cid: "v", sid: "TR_v"}, wish: camera}
		defer s.tracks.Wait()
		defer s.closePeers()
		if err := s.handle(t.Context(), l, m); err != nil {
			_ = lossOf(err).cause.Error()
		}
		if j := m.GetJoin(); j != nil {
			s.timing.set(j)
			_ = s.settle(l, j)
			if s.timing.patience() <= 0 {
				t.Error("no patience")
			}
		}
		s.mu.Lock()
		s.retell()
		s.mu.Unlock()
	})
}
