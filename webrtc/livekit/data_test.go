package livekit

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// TestDataSender: a packet is from whom the server says, and one in which the server's word and another's cannot be told apart is from nobody we take.
func TestDataSender(t *testing.T) {
	for name, c := range map[string]struct {
		outer, inner, sid string
		taken             bool
	}{
		"LiveKit":                      {"a", "a", "PA_a", true},
		"LiveKit, a bare data channel": {"a", "", "", true},
		"LiveKit, hidden":              {"", "", "PA_a", true},
		"the server":                   {"", "", "", true},
		"forged, before the field":     {"host", "a", "", false},
		"honest, before the field":     {"", "a", "", false},
	} {
		b, err := proto.Marshal(&lksig.DataPacket{
			ParticipantIdentity: c.outer, ParticipantSid: c.sid,
			Value: &lksig.DataPacket_User{User: &lksig.UserPacket{ParticipantIdentity: c.inner, Payload: []byte("x")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		e, ok := parseData(b)
		if ok != c.taken || ok && (e.Participant.Identity != c.outer || e.Participant.SID != c.sid) {
			t.Errorf("%s: taken %t, from %+v", name, ok, e.Participant)
		}
	}
}

// TestRecordingTold: what the room was at the beginning is no event, what it became while we were away is one.
func TestRecordingTold(t *testing.T) {
	room := func(recorded bool) *lksig.Room { return &lksig.Room{ActiveRecording: recorded} }
	join := func(c *fakeConn, recorded bool) {
		c.say(&lksig.SignalResponse{Message: &lksig.SignalResponse_Join{Join: &lksig.JoinResponse{
			Room: room(recorded), Participant: &lksig.ParticipantInfo{Sid: "PA_me", Identity: "me"}, PingInterval: 1, PingTimeout: 1,
		}}})
	}
	next := make(chan struct{})
	f := newFake(t, func(c *fakeConn) {
		join(c, true)
		<-next
		c.say(&lksig.SignalResponse{Message: &lksig.SignalResponse_RoomUpdate{RoomUpdate: &lksig.RoomUpdate{Room: room(true)}}}) // nothing new
		c.say(&lksig.SignalResponse{Message: &lksig.SignalResponse_RoomUpdate{RoomUpdate: &lksig.RoomUpdate{Room: room(false)}}})
		c.leave(lksig.LeaveRequest_RECONNECT, lksig.DisconnectReason_SERVER_SHUTDOWN)
	}, func(c *fakeConn) {
		<-next
		join(c, true)
		c.untilLeave()
	})
	s, _, err := fakeClient(t, f.url, 10*time.Second).Join(t.Context(), bridge.Join{Room: "r", Identity: "me", Publish: true})
	if err != nil {
		t.Fatal(err)
	}
	if !s.(bridge.Recorded).Recording() {
		t.Error("Join's answer is lost")
	}
	next <- struct{}{}
	if e := expect(t, s, bridge.RecordingChanged); e.Recording {
		t.Error("recorded still")
	}
	expect(t, s, bridge.Interrupted)
	next <- struct{}{}
	if e := expect(t, s, bridge.RecordingChanged); !e.Recording {
		t.Error("not recorded again")
	}
	go s.Leave()
	for e := range s.Events() {
		if e.Kind == bridge.RecordingChanged {
			t.Errorf("told again: %+v", e)
		}
	}
}
