//go:build e2e

package guest_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// chromium is a browser with one page. Its methods are for the test's goroutine.
type chromium struct {
	t       *testing.T
	answers *bufio.Reader
	in      io.Writer
	kill    func() error
}

// options are what driver.mjs takes.
type options struct {
	Name        string   `json:"name,omitempty"`
	Profile     string   `json:"profile"`
	Microphone  string   `json:"microphone,omitempty"` // WAV file that the microphone hears again and again
	Camera      string   `json:"camera,omitempty"`     // Y4M file that the camera sees again and again
	Devices     *bool    `json:"devices,omitempty"`    // false: none, and none is permitted
	Permissions []string `json:"permissions,omitempty"`
	Scripts     []string `json:"scripts,omitempty"`
	Locale      string   `json:"locale,omitempty"`
	Scheme      string   `json:"scheme,omitempty"`
	Width       int      `json:"width,omitempty"`
	Height      int      `json:"height,omitempty"`
	Recorded    any      `json:"recorded,omitempty"` // for recorded.js
}

// startChromium opens a browser and closes it with the test.
func startChromium(t *testing.T, o options) *chromium {
	t.Helper()
	o.Profile = t.TempDir()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "driver.mjs", string(text))
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
		if t.Failed() {
			b.try(nil, "screenshot", "file", filepath.Join(t.ArtifactDir(), "failed-"+o.Name+".png")) // go test -artifacts keeps it
		}
		in.Close() // it closes Chromium and ends
		limit := time.AfterFunc(20*time.Second, func() { _ = b.kill() })
		defer limit.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the browser's driver: %v", err)
		}
	})
	return b
}

// do has the driver carry out a command. result gets its JSON; nil: it has none.
func (b *chromium) do(result any, command string, args ...string) {
	b.t.Helper()
	if err := b.try(result, command, args...); err != "" {
		b.t.Fatalf("%s %s: %s", command, strings.Join(args, " "), err)
	}
}

// try is do, and answers what went wrong.
func (b *chromium) try(result any, command string, args ...string) (failure string) {
	b.t.Helper()
	request := map[string]string{"command": command}
	for i := 0; i < len(args); i += 2 {
		request[args[i]] = args[i+1]
	}
	line, err := json.Marshal(request)
	if err != nil {
		b.t.Fatal(err)
	}
	limit := time.AfterFunc(60*time.Second, func() { _ = b.kill() })
	defer limit.Stop()
	if _, err := b.in.Write(append(line, '\n')); err != nil {
		return err.Error()
	}
	if line, err = b.answers.ReadBytes('\n'); err != nil {
		return "no answer within 60 s: " + err.Error()
	}
	var answer struct {
		Error  string
		Result json.RawMessage
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		b.t.Fatalf("%s: %v", command, err)
	}
	if answer.Error == "" && result != nil {
		if err := json.Unmarshal(answer.Result, result); err != nil {
			b.t.Fatalf("%s: %v", command, err)
		}
	}
	return answer.Error
}

func (b *chromium) open(url string)  { b.t.Helper(); b.do(nil, "open", "url", url) }
func (b *chromium) wait(on string)   { b.t.Helper(); b.do(nil, "wait", "on", on) }
func (b *chromium) click(on string)  { b.t.Helper(); b.do(nil, "click", "on", on) }
func (b *chromium) eval(js string)   { b.t.Helper(); b.do(nil, "eval", "js", js) }
func (b *chromium) press(key string) { b.t.Helper(); b.do(nil, "press", "key", key) }
func (b *chromium) offline(off bool) {
	b.t.Helper()
	b.do(nil, "offline", "off", map[bool]string{true: "true", false: "false"}[off])
}
func (b *chromium) heading() string   { b.t.Helper(); return b.text("h1") }
func (b *chromium) shoot(file string) { b.t.Helper(); b.do(nil, "screenshot", "file", file) }

func (b *chromium) text(on string) (text string) {
	b.t.Helper()
	b.do(&text, "text", "on", on)
	return text
}

// is tells whether a JavaScript expression is true in the page. A page that is being loaded answers false.
func (b *chromium) is(js string) (yes bool) {
	b.t.Helper()
	return b.try(&yes, "eval", "js", "Boolean("+js+")") == "" && yes
}

// recorded is what was heard since record: 48 kHz, and when its first sample was.
func (b *chromium) recorded(js string) (pcm []int16, start time.Time) {
	b.t.Helper()
	var answer struct {
		PCM   string
		Start float64
	}
	b.do(&answer, "eval", "js", js)
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

// picture is an element as it is rendered; nil: it is not there.
func (b *chromium) picture(on string) image.Image {
	b.t.Helper()
	var text string
	if b.try(&text, "picture", "on", on) != "" {
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		b.t.Fatal(err)
	}
	i, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		b.t.Fatal(err)
	}
	return i
}
