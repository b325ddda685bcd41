package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/webhook"
	"google.golang.org/protobuf/proto"
)

const secret = "secret-secret-secret-secret-secret"

// The test program is the SFU too, when it is started with this in its environment.
const beSFU = "PASSERELLE_SFU_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(beSFU) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		args, secret, want string
	}{
		{"", secret, ""},
		{"--listen [::1]:7880 --udp [::1]:7882", secret, ""},
		{"", "short", "at least 32"},
		{"--listen 0.0.0.0:7880", secret, "expected a loopback address"},
		{"--listen :7880", secret, "expected a loopback address"},
		{"--listen localhost:7880", secret, "expected a loopback address"},
		{"--listen 127.0.0.1:0", secret, "port other than 0"},
		{"--udp 192.0.2.1:7882", secret, "expected a loopback address"},
		{"--secret x", secret, "unknown flag"},
		{"serve", secret, `unexpected argument "serve"`},
	} {
		_, err := parse(strings.Fields(c.args), c.secret)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%q: %v", c.args, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q: %v, want an error with %q", c.args, err, c.want)
		}
	}
}

// sfu is a running one.
type sfu struct {
	*exec.Cmd
	address string
	stdin   io.Closer
	log     bytes.Buffer // to be read after wait
}

// start runs this program as an SFU until it says that it is ready.
func start(t *testing.T, args ...string) *sfu {
	t.Helper()
	s := &sfu{address: freePort(t)}
	s.Cmd = exec.Command(os.Args[0], append([]string{"--listen", s.address}, args...)...)
	s.Env = []string{beSFU + "=1", "PASSERELLE_SFU_SECRET=" + secret}
	s.Stderr = &s.log
	var err error
	if s.stdin, err = s.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Process.Kill()
		_ = s.Wait()
	})
	killer := time.AfterFunc(time.Minute, func() { _ = s.Process.Kill() })
	defer killer.Stop()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		_ = s.Wait()
		t.Fatalf("it said %q, %v: want ready; %s", line, err, s.log.String())
	}
	return s
}

// exits waits for a clean end.
func (s *sfu) exits(t *testing.T) {
	t.Helper()
	killer := time.AfterFunc(30*time.Second, func() { _ = s.Process.Kill() })
	defer killer.Stop()
	if err := s.Wait(); err != nil {
		t.Errorf("it ended with %v, want exit status 0; %s", err, s.log.String())
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// token lets somebody join a room and administer it.
func token(t *testing.T, room string) string {
	t.Helper()
	jwt, err := auth.NewAccessToken("devkey", secret).SetIdentity("somebody").SetValidFor(time.Minute).
		SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: room, RoomAdmin: true}).
		SetSIPGrant(&auth.SIPGrant{Admin: true}).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	return jwt
}

// join enters a room that nobody has made before.
func (s *sfu) join(t *testing.T, room string) (*websocket.Conn, *livekit.JoinResponse) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, resp, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+s.address+"/rtc?protocol=15&access_token="+token(t, room), nil)
	if err != nil {
		t.Fatalf("join: %v, %v", resp, err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, b, err := c.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	var first livekit.SignalResponse
	if err := proto.Unmarshal(b, &first); err != nil || first.GetJoin() == nil {
		t.Fatalf("%v, %v: want a join response", &first, err)
	}
	return c, first.GetJoin()
}

// What makes it sovereign: nobody but this machine can reach it, and it sends its clients nowhere else.
func TestLoopbackOnly(t *testing.T) {
	s := start(t)
	c, joined := s.join(t, "a room")
	if joined.GetRoom().GetName() != "a room" {
		t.Errorf("joined %v, want the room to be made on the way", joined.GetRoom())
	}
	if len(joined.GetIceServers()) == 0 {
		t.Error("no ICE server: clients would be told LiveKit's public ones")
	}
	var stun []string
	for _, i := range joined.GetIceServers() {
		stun = append(stun, i.GetUrls()...)
		for _, u := range i.GetUrls() {
			if !strings.HasPrefix(u, "stun:127.0.0.1:") {
				t.Errorf("clients are sent to %s", u)
			}
		}
	}
	// The offer to the subscriber brings its ICE candidates after it: wait for the offer, then look at the sockets.
	for {
		_, b, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		var r livekit.SignalResponse
		if err := proto.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
		if trickle := r.GetTrickle(); trickle != nil {
			if !strings.Contains(trickle.GetCandidateInit(), " 127.0.0.1 ") {
				t.Errorf("candidate %s, want one of 127.0.0.1", trickle.GetCandidateInit())
			}
			break
		}
	}
	open := sockets(t, s.Process.Pid)
	if len(open["tcp"]) != 1 || len(open["udp"]) != 1 || len(open["tcp6"])+len(open["udp6"]) > 0 {
		t.Errorf("it listens on %v, want one TCP and one UDP port", open)
	}
	for _, a := range open["udp"] {
		_, port, _ := strings.Cut(a, ":")
		media, err := strconv.ParseUint(port, 16, 16)
		if own := fmt.Sprintf("stun:127.0.0.1:%d", media); err != nil || slices.Contains(stun, own) {
			t.Errorf("%s, %v: the media port as a STUN server; no browser can connect then", own, err)
		}
	}
	for _, a := range slices.Concat(open["tcp"], open["udp"]) {
		if !strings.HasPrefix(a, "0100007F:") {
			t.Errorf("it listens on %s, want 127.0.0.1", a)
		}
	}
	if err := s.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.exits(t)
}

// sockets lists where a process listens, by protocol, from /proc: hexadecimal address:port, in the machine's byte order.
func sockets(t *testing.T, pid int) map[string][]string {
	t.Helper()
	own := make(map[string]bool)
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && strings.HasPrefix(link, "socket:[") {
			own[strings.Trim(link, "socket:[]")] = true
		}
	}
	open := make(map[string][]string)
	for protocol, state := range map[string]string{"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"} {
		b, err := os.ReadFile("/proc/net/" + protocol)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == state && own[f[9]] {
				open[protocol] = append(open[protocol], f[1])
			}
		}
	}
	return open
}

// The parent may die without a word: its end of the pipe breaks, and that is enough.
func TestExitWithStdin(t *testing.T) {
	s := start(t, "--exit-with-stdin")
	_, _ = s.join(t, "busy")
	_ = s.stdin.Close()
	s.exits(t)
}

func TestWebhook(t *testing.T) {
	events := make(chan string, 16)
	keys := auth.NewSimpleKeyProvider("devkey", secret)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, err := webhook.ReceiveWebhookEvent(r, keys)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		events <- e.GetEvent() + " " + e.GetRoom().GetName()
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })

	s := start(t, "--webhook", "http://"+l.Addr().String()+"/hook")
	_, _ = s.join(t, "noisy")
	select {
	case e := <-events:
		if e != "room_started noisy" {
			t.Errorf("first webhook: %q, want room_started noisy", e)
		}
	case <-time.After(20 * time.Second):
		t.Error("no webhook")
	}
}

// Visio makes a dispatch rule for each room. LiveKit keeps them in Redis, and has no SIP API without.
func TestSIPAPI(t *testing.T) {
	redis := startRedis(t)
	for _, c := range []struct {
		name string
		args []string
		ok   bool
	}{{"with Redis", []string{"--redis", redis}, true}, {"without", nil, false}} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, c.args...)
			client := livekit.NewSIPProtobufClient("http://"+s.address, &authorized{"Bearer " + token(t, "")})
			_, err := client.CreateSIPDispatchRule(t.Context(), &livekit.CreateSIPDispatchRuleRequest{
				Name: "SIP_room",
				Rule: &livekit.SIPDispatchRule{Rule: &livekit.SIPDispatchRule_DispatchRuleDirect{
					DispatchRuleDirect: &livekit.SIPDispatchRuleDirect{RoomName: "room", Pin: "0123456789"},
				}},
			})
			if (err == nil) != c.ok {
				t.Fatalf("create a rule: %v, want success: %v", err, c.ok)
			}
			if !c.ok {
				return
			}
			list, err := client.ListSIPDispatchRule(t.Context(), &livekit.ListSIPDispatchRuleRequest{})
			if err != nil || len(list.GetItems()) != 1 || list.GetItems()[0].GetRule().GetDispatchRuleDirect().GetPin() != "0123456789" {
				t.Errorf("rules %v, %v: want the one that was made", list, err)
			}
			if _, joined := s.join(t, "room"); joined.GetRoom().GetName() != "room" {
				t.Errorf("joined %v", joined.GetRoom())
			}
			if err := s.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			s.exits(t)
		})
	}
}

// authorized is an HTTP client with a token.
type authorized struct{ header string }

func (a *authorized) Do(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", a.header)
	client := &http.Client{Timeout: 20 * time.Second}
	return client.Do(r)
}

func startRedis(t *testing.T) string {
	t.Helper()
	address := freePort(t)
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatalf("redis-server, which make setup installs: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return address
		}
	}
	t.Fatal("redis-server does not answer")
	return ""
}
