package livekit

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"passerelle/webrtc/livekit/lksig"
)

// Who hears nobody decodes only what concerns it; who listens, nearly everything.
func TestSkips(t *testing.T) {
	update := func(sid string) *lksig.SignalResponse {
		return &lksig.SignalResponse{Message: &lksig.SignalResponse_Update{Update: &lksig.ParticipantUpdate{
			Participants: []*lksig.ParticipantInfo{{Sid: "PA_other", Identity: "o"}, {Sid: sid, Identity: "x"}},
		}}}
	}
	for _, c := range []struct {
		name      string
		m         *lksig.SignalResponse
		leg, room bool // skipped by a leg's session, by the listener's
	}{
		{"others", update("PA_third"), true, false},
		{"us among others", update("PA_me"), false, false},
		{"speakers", &lksig.SignalResponse{Message: &lksig.SignalResponse_SpeakersChanged{SpeakersChanged: &lksig.SpeakersChanged{}}}, true, false},
		{"quality", &lksig.SignalResponse{Message: &lksig.SignalResponse_ConnectionQuality{ConnectionQuality: &lksig.ConnectionQualityUpdate{}}}, true, true},
		{"leave", &lksig.SignalResponse{Message: &lksig.SignalResponse_Leave{Leave: &lksig.LeaveRequest{}}}, false, false},
		{"answer", &lksig.SignalResponse{Message: &lksig.SignalResponse_Answer{Answer: &lksig.SessionDescription{}}}, false, false},
		{"nothing", &lksig.SignalResponse{}, false, false},
	} {
		b, err := proto.Marshal(c.m)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&Session{sid: "PA_me"}).skips(b); got != c.leg {
			t.Errorf("%s: skipped by a leg: %v", c.name, got)
		}
		if got := (&Session{sid: "PA_me", hears: true}).skips(b); got != c.room {
			t.Errorf("%s: skipped by the listener: %v", c.name, got)
		}
	}
	if (&Session{}).skips([]byte{0xff}) {
		t.Error("garbage is skipped and not an error")
	}
}
