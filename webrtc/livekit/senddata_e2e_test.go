//go:build e2e

package livekit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"passerelle/bridge"
	"passerelle/internal/sfuproc"
	"passerelle/internal/testpeer/lkadmin"
	"passerelle/webrtc/livekit"
	"passerelle/webrtc/livekit/lksig"
)

// TestSenderIsTheServers: whom data is from is what the SFU says. A participant who writes another sender into a packet, or none, is found out all the
// same, and only what the server itself sends is from nobody.
func TestSenderIsTheServers(t *testing.T) {
	leakCheck(t)
	c := newClient(t, startSFU(t, sfuproc.Options{}).URL())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	listener := join(t, c, bridge.Join{Room: "r", Identity: "listener", Hidden: true, Subscribe: true})
	host := join(t, c, bridge.Join{Room: "r", Identity: "host", Publish: true, Subscribe: true})
	liar := join(t, c, bridge.Join{Room: "r", Identity: "liar", Publish: true, Subscribe: true})
	ghost := join(t, c, bridge.Join{Room: "r", Identity: "ghost", Hidden: true, Publish: true, Subscribe: true})

	topic := "lobby"
	user := func(payload string) *lksig.DataPacket_User {
		return &lksig.DataPacket_User{User: &lksig.UserPacket{Payload: []byte(payload), Topic: &topic}}
	}
	named := user("as another, inside")
	named.User.ParticipantIdentity = "host"
	for _, p := range []*lksig.DataPacket{
		{Value: user("as nobody")},
		{Value: user("as another"), ParticipantIdentity: "host", ParticipantSid: "PA_host"},
		{Value: user("as another SID"), ParticipantSid: "PA_host"},
		{Value: named},
		{Value: &lksig.DataPacket_SipDtmf{SipDtmf: &lksig.SipDTMF{Digit: "1"}}, ParticipantIdentity: "host"},
	} {
		if err := liar.Session.(*livekit.Session).SendPacket(ctx, p); err != nil {
			t.Fatal(err)
		}
		for _, g := range []*guest{listener, host} {
			e := g.expect("data", kind(bridge.DataReceived))
			if e.Participant.Identity != "liar" || e.Participant.SID == "" || e.Participant.SID == "PA_host" {
				t.Errorf("%q is from %+v, want the liar", e.Data, e.Participant)
			}
		}
	}
	// One who is hidden keeps their name for themselves, but cannot pass for the server.
	if err := ghost.Session.(*livekit.Session).SendPacket(ctx, &lksig.DataPacket{Value: user("as the server")}); err != nil {
		t.Fatal(err)
	}
	if e := listener.expect("data", kind(bridge.DataReceived)); e.Participant.Identity != "" || e.Participant.SID == "" {
		t.Errorf("%q is from %+v, want a SID alone", e.Data, e.Participant)
	}

	if err := c.SendData(ctx, "r", "lobby", []byte("from the server"), nil); err != nil {
		t.Fatal(err)
	}
	for _, g := range []*guest{listener, host, liar} {
		e := g.expect("data of the server", func(e bridge.SessionEvent) bool {
			return e.Kind == bridge.DataReceived && string(e.Data) == "from the server"
		})
		if e.Topic != "lobby" || e.Participant.Identity != "" || e.Participant.SID != "" {
			t.Errorf("from %+v under %q, want from nobody", e.Participant, e.Topic)
		}
	}
	// To some only: the order of what is reliable shows that the others did not get it.
	if err := c.SendData(ctx, "r", "lobby", []byte("for the host"), []string{"host", "nobody"}); err != nil {
		t.Fatal(err)
	}
	if err := c.SendData(ctx, "r", "lobby", []byte("for all"), nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		g    *guest
		want string
	}{{host, "for the host"}, {host, "for all"}, {liar, "for all"}} {
		if e := c.g.expect("data", kind(bridge.DataReceived)); string(e.Data) != c.want {
			t.Errorf("got %q, want %q", e.Data, c.want)
		}
	}

	var api *livekit.APIError
	if err := c.SendData(ctx, "no such room", "lobby", nil, nil); !errors.As(err, &api) {
		t.Errorf("to no room: %v", err)
	}
	if err := c.SendData(ctx, "r", "lobby", make([]byte, 20_000), nil); err == nil {
		t.Error("20,000 bytes were taken")
	}
}

// TestRecording: the room is recorded while a recorder is in it, and those who come later know it from the beginning.
func TestRecording(t *testing.T) {
	leakCheck(t)
	sfu := startSFU(t, sfuproc.Options{})
	c := newClient(t, sfu.URL())
	recorded := func(g *guest) bool { return g.Session.(bridge.Recorded).Recording() }
	is := func(recording bool) func(bridge.SessionEvent) bool {
		return func(e bridge.SessionEvent) bool { return e.Kind == bridge.RecordingChanged && e.Recording == recording }
	}
	listener := join(t, c, bridge.Join{Room: "r", Identity: "listener", Hidden: true, Subscribe: true})
	phone := join(t, c, bridge.Join{Room: "r", Identity: "phone", Phone: true, Publish: true})
	if recorded(listener) || recorded(phone) {
		t.Error("recorded by nobody")
	}
	for name, claims := range map[string]jwt.MapClaims{
		"recorder grant": {"video": map[string]any{"recorder": true}},
		"kind egress":    {"kind": "egress"},
	} {
		t.Run(name, func(t *testing.T) {
			stop := visit(t, sfu.URL(), "recorder", claims)
			listener.expect("recording", is(true))
			phone.expect("recording", is(true))
			late := join(t, c, bridge.Join{Room: "r", Identity: "late", Hidden: true, Subscribe: true})
			if !recorded(late) || !recorded(listener) {
				t.Error("who comes late does not know")
			}
			stop()
			listener.expect("no recording", is(false))
			phone.expect("no recording", is(false))
			late.expect("no recording", is(false))
			if recorded(late) {
				t.Error("recorded by nobody")
			}
			late.Leave()
		})
	}
}

// visit has somebody with such a token enter the room r, without media. stop has them leave.
func visit(t *testing.T, url, identity string, more jwt.MapClaims) (stop func()) {
	t.Helper()
	claims := jwt.MapClaims{"iss": key, "sub": identity, "exp": time.Now().Add(time.Minute).Unix(), "video": map[string]any{}}
	for k, v := range more {
		claims[k] = v
	}
	grant := claims["video"].(map[string]any)
	grant["room"], grant["roomJoin"] = "r", true
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), url+"/rtc?protocol=15&access_token="+token, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Cleanup(func() { conn.Close() })
	_, _, err = conn.ReadMessage() // the answer to joining
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		admin := lkadmin.Admin{Client: newClient(t, url)}
		if err := admin.Remove(t.Context(), "r", identity); err != nil {
			t.Error(err)
		}
	}
}

// TestWhoMayChangeThemselves: what a participant is and may do is read as the SFU tells it.
func TestWhoMayChangeThemselves(t *testing.T) {
	leakCheck(t)
	c := newClient(t, startSFU(t, sfuproc.Options{}).URL())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	listener := join(t, c, bridge.Join{Room: "r", Identity: "listener", Hidden: true, Subscribe: true})
	phone := join(t, c, bridge.Join{Room: "r", Identity: "phone", Phone: true, Publish: true, Attributes: map[string]string{"room_role": "owner"}})
	came := listener.expect("phone", func(e bridge.SessionEvent) bool { return e.Participant.Identity == "phone" })
	if p := came.Participant; !p.Phone || !p.MayChangeSelf || !p.CanPublish || p.Attributes["room_role"] != "owner" {
		t.Errorf("the phone is %+v", p)
	}
	for _, may := range []bool{false, true} {
		permission := &lksig.ParticipantPermission{CanPublish: true, CanPublishData: true, CanUpdateMetadata: may}
		if err := (lkadmin.Admin{Client: c}).Update(ctx, "r", "phone", nil, permission); err != nil {
			t.Fatal(err)
		}
		listener.expect("permission", func(e bridge.SessionEvent) bool {
			return e.Participant.Identity == "phone" && e.Participant.MayChangeSelf == may
		})
		err := phone.SetAttributes(ctx, map[string]string{"room_role": "administrator"})
		if may && err != nil || !may && !errors.Is(err, bridge.ErrForbidden) {
			t.Errorf("may %t: %v", may, err)
		}
	}
	listener.expect("role", func(e bridge.SessionEvent) bool {
		return e.Participant.Attributes["room_role"] == "administrator"
	})
}
