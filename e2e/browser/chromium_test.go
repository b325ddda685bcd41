//go:build e2e

package browser_test

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"passerelle/e2e/stack"
	"passerelle/transcode"
	"passerelle/transcode/wav"
)

// chromium is a browser with page.html in it: a participant with LiveKit's own web client. Its methods are for the test's goroutine.
type chromium struct {
	t       *testing.T
	answers *bufio.Reader
	in      io.Writer
	kill    func() error
}

// person is a participant as the web client sees it.
type person struct {
	Identity, Name, Kind string
	Attributes           map[string]string
	Speaking             bool
	Tracks               []struct {
		Kind, SID         string
		Muted, Subscribed bool
	}
}

// startChromium opens the browser, whose microphone hears speech (48 kHz) again and again, and closes it with the test.
func startChromium(t *testing.T, speech []int16) *chromium {
	t.Helper()
	files := http.NewServeMux()
	for url, path := range map[string]string{"/": "page.html", "/livekit-client.js": "node_modules/livekit-client/dist/livekit-client.umd.js"} {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("make setup-test installs what the browser needs: %v", err)
		}
		files.HandleFunc(url, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })
	}
	server := httptest.NewServer(files)
	t.Cleanup(server.Close)

	microphone := filepath.Join(t.TempDir(), "microphone.wav")
	file, err := os.Create(microphone)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := wav.Write(file, speech, transcode.Rate); err != nil {
		t.Fatal(err)
	}

	cmd := exec.Command("node", "participant.mjs", server.URL, t.TempDir(), microphone)
	cmd.Stderr = t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := &chromium{t: t, answers: bufio.NewReader(out), in: in, kill: cmd.Process.Kill}
	t.Cleanup(func() {
		in.Close() // it closes Chromium and ends
		limit := time.AfterFunc(20*time.Second, func() { _ = b.kill() })
		defer limit.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the browser's driver: %v", err)
		}
	})
	return b
}

// do has the page carry out a command. result gets its JSON; nil: it has none.
func (b *chromium) do(result any, command string, args ...string) {
	b.t.Helper()
	request := map[string]string{"command": command}
	for i := 0; i < len(args); i += 2 {
		request[args[i]] = args[i+1]
	}
	line, err := json.Marshal(request)
	if err != nil {
		b.t.Fatal(err)
	}
	limit := time.AfterFunc(45*time.Second, func() { _ = b.kill() })
	defer limit.Stop()
	if _, err := b.in.Write(append(line, '\n')); err != nil {
		b.t.Fatalf("%s: %v", command, err)
	}
	if line, err = b.answers.ReadBytes('\n'); err != nil {
		b.t.Fatalf("%s: no answer within 45 s: %v", command, err)
	}
	var answer struct {
		Error  string
		Result json.RawMessage
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		b.t.Fatalf("%s: %v", command, err)
	}
	if answer.Error != "" {
		b.t.Fatalf("%s: %s", command, answer.Error)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		b.t.Fatalf("%s: %v", command, err)
	}
}

// enter brings the browser into the room, with a token as Visio's backend makes it.
func (b *chromium) enter(s *stack.Stack, identity, name string) {
	b.t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": stack.Key, "sub": identity, "name": name, "exp": time.Now().Add(time.Hour).Unix(),
		"attributes": map[string]string{"color": "hsl(210, 60%, 40%)", "room_role": "owner", "is_authenticated": "true"},
		"video": map[string]any{
			"room": stack.Room, "roomJoin": true, "canSubscribe": true, "canPublish": true, "canPublishData": true,
			"canPublishSources": []string{"camera", "microphone", "screen_share", "screen_share_audio"},
		},
	}).SignedString([]byte(stack.Secret))
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(nil, "enter", "url", s.SFU.URL(), "token", token)
}

// people are the others in the room.
func (b *chromium) people() (all []person) {
	b.t.Helper()
	b.do(&all, "people")
	return all
}

// recorded is what was "heard" or "said" since the command record: 48 kHz, and when its first sample was.
func (b *chromium) recorded(which string) (pcm []int16, start time.Time) {
	b.t.Helper()
	var answer struct {
		PCM   string
		Start float64
	}
	b.do(&answer, "recorded", "which", which)
	raw, err := base64.StdEncoding.DecodeString(answer.PCM)
	if err != nil {
		b.t.Fatal(err)
	}
	pcm = make([]int16, len(raw)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(raw[2*i:]))
	}
	return pcm, time.UnixMicro(int64(answer.Start * 1000))
}
