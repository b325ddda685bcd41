package livekit

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/webrtc/livekit/lksig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testSecret = "secret-secret-secret-secret-secret"

// fake is a LiveKit that does on its n-th connection what the n-th of its scripts says, and closes it then. It has no node for who comes when there is
// no script. It is for what a real one does not do, or not when a test wants it.
type fake struct {
	t       *testing.T
	url     string
	scripts []func(*fakeConn)
	count   atomic.Int32
	running sync.WaitGroup
}

type fakeConn struct {
	*websocket.Conn
	t     *testing.T
	query url.Values
	token *claims
}

func newFake(t *testing.T, scripts ...func(*fakeConn)) *fake {
	f := &fake{t: t, scripts: scripts}
	server := httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(func() { server.Close(); f.running.Wait() })
	f.url = strings.Replace(server.URL, "http", "ws", 1)
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.running.Add(1)
	defer f.running.Done()
	n := int(f.count.Add(1)) - 1
	if n >= len(f.scripts) || f.scripts[n] == nil {
		http.Error(w, "could not find any available nodes", http.StatusInternalServerError)
		return
	}
	token := new(claims)
	if _, err := jwt.ParseWithClaims(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), token, func(*jwt.Token) (any, error) {
		return []byte(testSecret), nil
	}); err != nil {
		f.t.Errorf("token: %v", err)
	}
	conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		f.t.Error(err)
		return
	}
	defer conn.Close()
	f.scripts[n](&fakeConn{conn, f.t, r.URL.Query(), token})
}

func (c *fakeConn) say(m *lksig.SignalResponse) {
	b, err := proto.Marshal(m)
	if err != nil {
		c.t.Error(err)
	}
	_ = c.WriteMessage(websocket.BinaryMessage, b)
}

func (c *fakeConn) join(others ...*lksig.ParticipantInfo) {
	if c.query.Get("reconnect") != "" {
		c.t.Error("a resume where a join was expected")
	}
	c.say(&lksig.SignalResponse{Message: &lksig.SignalResponse_Join{Join: &lksig.JoinResponse{
		Participant: &lksig.ParticipantInfo{
			Sid: "PA_me", Identity: "me", Name: "Me", Permission: &lksig.ParticipantPermission{CanPublish: true},
			Attributes: c.token.Attributes,
		},
		OtherParticipants: others, PingInterval: 1, PingTimeout: 1,
	}}})
}

func (c *fakeConn) leave(action lksig.LeaveRequest_Action, reason lksig.DisconnectReason) {
	c.say(&lksig.SignalResponse{Message: &lksig.SignalResponse_Leave{Leave: &lksig.LeaveRequest{Action: action, Reason: reason}}})
}

// await reads until a request is as wanted. False: the client has gone.
func (c *fakeConn) await(is func(*lksig.SignalRequest) bool) bool {
	for {
		_, b, err := c.ReadMessage()
		if err != nil {
			return false
		}
		var m lksig.SignalRequest
		if err := proto.Unmarshal(b, &m); err != nil {
			c.t.Errorf("the client sent %x", b)
			return false
		}
		if ping := m.GetPingReq(); ping != nil {
			c.say(&lksig.SignalResponse{Message: &lksig.SignalResponse_PongResp{PongResp: &lksig.Pong{LastPingTimestamp: ping.GetTimestamp()}}})
		}
		if is(&m) {
			return true
		}
	}
}

func (c *fakeConn) untilLeave() {
	if !c.await(func(m *lksig.SignalRequest) bool { return m.GetLeave() != nil }) {
		c.t.Error("the client went without a word")
	}
}

func fakeClient(t *testing.T, url string, reconnectFor time.Duration) *Client {
	t.Helper()
	c, err := New(configs.LiveKit{
		URL: url, APIKey: "devkey", APISecret: testSecret, UDPListen: "127.0.0.1:0", JoinTimeout: 5 * time.Second, ReconnectFor: reconnectFor,
	}, egress.New(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func joinFake(t *testing.T, f *fake) bridge.Session {
	t.Helper()
	s, _, err := fakeClient(t, f.url, 10*time.Second).Join(t.Context(), bridge.Join{
		Room: "r", Identity: "me", Name: "Me", Publish: true, Subscribe: true, Attributes: map[string]string{"a": "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func expect(t *testing.T, s bridge.Session, kinds ...bridge.SessionEventKind) (last bridge.SessionEvent) {
	t.Helper()
	for _, k := range kinds {
		select {
		case e, ok := <-s.Events():
			if last = e; !ok || e.Kind != k {
				t.Fatalf("event %+v (open: %v), want kind %d", e, ok, k)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no event of kind %d", k)
		}
	}
	return last
}

// TestBrokenLink: whatever comes over a link that is not LiveKit's, the session goes on over the next.
func TestBrokenLink(t *testing.T) {
	for name, bad := range map[string]func(*fakeConn){
		"malformed": func(c *fakeConn) { _ = c.WriteMessage(websocket.BinaryMessage, []byte{0xff, 0xff}) },
		"text":      func(c *fakeConn) { _ = c.WriteMessage(websocket.TextMessage, []byte("{}")) },
		"oversized": func(c *fakeConn) { _ = c.WriteMessage(websocket.BinaryMessage, make([]byte, maxMessage+1)) },
		"silent": func(c *fakeConn) {
			time.Sleep(100 * time.Millisecond)
			_, _, _ = c.NextReader()
			_, _, _ = c.NextReader()
		},
		"closed":              func(*fakeConn) {},
		"asked to resume":     func(c *fakeConn) { c.leave(lksig.LeaveRequest_RESUME, lksig.DisconnectReason_UNKNOWN_REASON) },
		"resumed, then again": func(*fakeConn) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(c *fakeConn) {
				c.join()
				bad(c)
				if name == "silent" {
					_, _, _ = c.NextReader() // until the client gives up: pings have no answer
				}
			}, func(c *fakeConn) {
				if c.query.Get("reconnect") != "1" || c.query.Get("sid") != "PA_me" || c.query.Get("reconnect_reason") != "1" {
					t.Errorf("not a resume: %v", c.query)
				}
				c.say(&lksig.SignalResponse{Message: &lksig.SignalResponse_Reconnect{Reconnect: &lksig.ReconnectResponse{}}})
				if !c.await(func(m *lksig.SignalRequest) bool { return m.GetSyncState() != nil }) {
					t.Error("no state was sent")
				}
				c.untilLeave()
			})
			s := joinFake(t, f)
			expect(t, s, bridge.Interrupted, bridge.Restored)
			go s.Leave()
			if e := expect(t, s, bridge.SessionEnded); e.Reason != nil {
				t.Errorf("reason %v", e.Reason)
			}
		})
	}
}

// TestResumeLater: a server that has an error of its own is asked to resume again. It may still know us, and our tracks.
func TestResumeLater(t *testing.T) {
	f := newFake(t, func(c *fakeConn) { c.join() }, nil, nil, func(c *fakeConn) {
		if c.query.Get("reconnect") != "1" {
			t.Errorf("not a resume: %v", c.query)
		}
		c.say(&lksig.SignalResponse{Message: &lksig.SignalResponse_Reconnect{Reconnect: &lksig.ReconnectResponse{}}})
		c.untilLeave()
	})
	s := joinFake(t, f)
	expect(t, s, bridge.Interrupted, bridge.Restored)
	go s.Leave()
	expect(t, s, bridge.SessionEnded)
}

// TestRejoin: a server that does not know us any more is joined anew, and everything is told again.
func TestRejoin(t *testing.T) {
	person := func(sid, identity string, state lksig.ParticipantInfo_State) *lksig.ParticipantInfo {
		return &lksig.ParticipantInfo{Sid: sid, Identity: identity, State: state}
	}
	f := newFake(t, func(c *fakeConn) {
		c.join(person("PA_1", "one", lksig.ParticipantInfo_ACTIVE), person("PA_2", "two", lksig.ParticipantInfo_ACTIVE))
		c.await(func(m *lksig.SignalRequest) bool { return m.GetSubscription().GetSubscribe() })
		// one changed some permission of ours: it must not come back with us
		c.say(&lksig.SignalResponse{Message: &lksig.SignalResponse_Update{Update: &lksig.ParticipantUpdate{Participants: []*lksig.ParticipantInfo{{
			Sid: "PA_me", Identity: "me", Name: "Renamed", Permission: &lksig.ParticipantPermission{}, Attributes: map[string]string{"b": "2"},
		}}}}})
		c.leave(lksig.LeaveRequest_DISCONNECT, lksig.DisconnectReason_SERVER_SHUTDOWN)
	}, func(c *fakeConn) {
		if c.token.Name != "Renamed" || c.token.Video.CanPublish || c.token.Attributes["b"] != "2" || c.token.Attributes["a"] != "" {
			t.Errorf("token: %+v %+v", c.token, c.token.Video)
		}
		c.join(person("PA_11", "one", lksig.ParticipantInfo_ACTIVE))
		if !c.await(func(m *lksig.SignalRequest) bool { return m.GetSubscription().GetSubscribe() }) {
			t.Error("the subscription was not asked for again")
		}
		// a late farewell to the earlier stay of one who is back
		c.say(&lksig.SignalResponse{Message: &lksig.SignalResponse_Update{Update: &lksig.ParticipantUpdate{Participants: []*lksig.ParticipantInfo{
			person("PA_1", "one", lksig.ParticipantInfo_DISCONNECTED), person("PA_11", "one", lksig.ParticipantInfo_DISCONNECTED),
		}}}})
		c.leave(lksig.LeaveRequest_DISCONNECT, lksig.DisconnectReason_ROOM_DELETED)
		_, _, _ = c.NextReader()
	})
	s := joinFake(t, f)
	if err := s.Subscribe("TR_unknown", discard{}); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, s, bridge.SelfChanged); e.Participant.CanPublish || e.Participant.Name != "Renamed" {
		t.Errorf("self: %+v", e.Participant)
	}
	expect(t, s, bridge.Interrupted)
	var kinds []bridge.SessionEventKind
	for e := range s.Events() {
		kinds = append(kinds, e.Kind)
		if e.Kind == bridge.ParticipantLeft && e.Participant.SID == "PA_1" {
			t.Error("an earlier stay was told as the end of the later")
		}
		if e.Kind == bridge.SessionEnded && !errors.Is(e.Reason, bridge.ErrRoomEnded) {
			t.Errorf("reason %v", e.Reason)
		}
	}
	has := func(k bridge.SessionEventKind) bool {
		for _, o := range kinds {
			if o == k {
				return true
			}
		}
		return false
	}
	if !has(bridge.ParticipantLeft) || !has(bridge.SessionEnded) || !has(bridge.SelfChanged) {
		t.Errorf("events %v", kinds)
	}
}

// TestGiveUp: after the configured time the session ends with a reason.
func TestGiveUp(t *testing.T) {
	f := newFake(t, func(c *fakeConn) { c.join() })
	s, _, err := fakeClient(t, f.url, 300*time.Millisecond).Join(t.Context(), bridge.Join{Room: "r", Identity: "me", Publish: true})
	if err != nil {
		t.Fatal(err)
	}
	if e := expect(t, s, bridge.Interrupted, bridge.SessionEnded); !errors.Is(e.Reason, bridge.ErrSFU) {
		t.Errorf("reason %v", e.Reason)
	}
	if _, open := <-s.Events(); open {
		t.Error("something follows the end")
	}
	if _, err := s.Publish(t.Context(), "x"); !errors.Is(err, errOver) || !errors.Is(err, bridge.ErrSFU) {
		t.Errorf("published in an ended session: %v", err)
	}
	s.Leave()
}

// TestEnds: what ends a session, and with which reason. Who comes too late gets it too.
func TestEnds(t *testing.T) {
	for reason, want := range map[lksig.DisconnectReason]error{
		lksig.DisconnectReason_ROOM_DELETED:        bridge.ErrRoomEnded,
		lksig.DisconnectReason_ROOM_CLOSED:         bridge.ErrRoomEnded,
		lksig.DisconnectReason_PARTICIPANT_REMOVED: bridge.ErrRemoved,
		lksig.DisconnectReason_DUPLICATE_IDENTITY:  bridge.ErrInternal,
	} {
		f := newFake(t, func(c *fakeConn) {
			c.join()
			c.leave(lksig.LeaveRequest_DISCONNECT, reason)
			_, _, _ = c.NextReader()
		})
		s := joinFake(t, f)
		if e := expect(t, s, bridge.SessionEnded); !errors.Is(e.Reason, want) {
			t.Errorf("%s: reason %v, want %v", reason, e.Reason, want)
		}
		if _, err := s.Publish(t.Context(), "x"); !errors.Is(err, errOver) || !errors.Is(err, want) {
			t.Errorf("%s: published: %v, want %v", reason, err, want)
		}
	}
}

// TestLeft: a session that we left has no reason.
func TestLeft(t *testing.T) {
	s := joinFake(t, newFake(t, func(c *fakeConn) {
		c.join()
		c.untilLeave()
	}))
	s.Leave()
	if _, err := s.Publish(t.Context(), "x"); !errors.Is(err, errOver) || bridge.Label(err) != "internal" {
		t.Errorf("published: %v", err)
	}
}

// TestJoinRefused: what is no join response is an error, and leaves nothing behind.
func TestJoinRefused(t *testing.T) {
	f := newFake(t,
		func(c *fakeConn) { c.leave(lksig.LeaveRequest_DISCONNECT, lksig.DisconnectReason_JOIN_FAILURE) },
		func(c *fakeConn) { c.say(&lksig.SignalResponse{}) },
		func(*fakeConn) {},
	)
	c := fakeClient(t, f.url, time.Second)
	for range len(f.scripts) + 1 {
		if _, _, err := c.Join(t.Context(), bridge.Join{Room: "r", Identity: "me", Publish: true}); !errors.Is(err, bridge.ErrSFU) {
			t.Errorf("error %v", err)
		}
	}
	if c.Sessions() != 0 {
		t.Error("a session is left")
	}
}

// TestEgress: a server outside the permitted networks is not talked to.
func TestEgress(t *testing.T) {
	guard := egress.New()
	c, err := New(configs.LiveKit{
		URL: "ws://192.0.2.1:7880", APIKey: "k", APISecret: testSecret, UDPListen: "127.0.0.1:0", JoinTimeout: time.Second,
	}, guard, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, _, err := c.Join(t.Context(), bridge.Join{Room: "r", Identity: "me"}); !errors.Is(err, egress.ErrDenied) {
		t.Errorf("join: %v", err)
	}
	if _, err := c.ListDispatchRules(t.Context()); !errors.Is(err, egress.ErrDenied) {
		t.Errorf("list: %v", err)
	}
	if guard.Denied() != 2 {
		t.Errorf("denied %d", guard.Denied())
	}
}
