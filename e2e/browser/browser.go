// Package browser drives real browsers for tests, Chromium and Firefox as Debian packages them, and has LiveKit's own web client in them where a test wants a
// participant as Visio's users are. make setup-test installs what it needs.
package browser

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"passerelle/transcode"
	"passerelle/transcode/wav"
)

// The browsers.
const (
	Chromium = "chromium"
	Firefox  = "firefox"
)

// Options say what a browser is like.
type Options struct {
	Engine string `json:"engine"` // empty: Chromium
	Name   string `json:"name"`   // in the test's log

	Words       []int16  `json:"-"`           // Chromium: what the microphone hears again and again, 48 kHz, with a second of silence after it
	Tone        int      `json:"tone"`        // Firefox: what the microphone hears, in Hz
	Camera      string   `json:"camera"`      // Chromium: Y4M file that the camera sees again and again
	Cameras     int      `json:"cameras"`     // Chromium: how many there are, where there is no such file; 0: one
	Bare        bool     `json:"bare"`        // Chromium: neither camera nor microphone is there, and none is permitted
	Permissions []string `json:"permissions"` // Chromium: what of "camera" and "microphone" is permitted, the rest is denied; nil: both
	Sound       bool     `json:"sound"`       // a page may be heard before anybody has touched it

	Scripts []string `json:"scripts"` // files that run before the page's own scripts
	Locale  string   `json:"locale"`  // empty: en-GB
	Width   int      `json:"width"`   // 0: 1280
	Height  int      `json:"height"`  // 0: 800
}

// process is a browser with its driver.
type process struct {
	answers *bufio.Reader
	in      io.Writer
	kill    func() error
	strays  *strays // of Firefox
}

// Open opens a browser with one tab, and closes it with the test.
func Open(t *testing.T, o Options) *Page {
	t.Helper()
	here := directory()
	if _, err := os.Stat(filepath.Join(here, "node_modules", "playwright-core")); err != nil {
		t.Fatalf("make setup-test installs what browsers need: %v", err)
	}
	dir := t.TempDir()
	b := &process{}
	settings := struct {
		Options
		Profile    string `json:"profile"`
		Microphone string `json:"microphone"`
		Proxy      int    `json:"proxy"`
	}{Options: o, Profile: filepath.Join(dir, "profile")}
	s := &settings
	s.Engine, s.Name, s.Locale = or(o.Engine, Chromium), or(o.Name, "browser"), or(o.Locale, "en-GB")
	s.Width, s.Height, s.Cameras, s.Tone = or(o.Width, 1280), or(o.Height, 800), or(o.Cameras, 1), or(o.Tone, 440)
	s.Scripts = nil
	for _, path := range o.Scripts {
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		s.Scripts = append(s.Scripts, path)
	}
	if o.Words != nil {
		s.Microphone = filepath.Join(dir, "microphone.wav")
		writeWords(t, s.Microphone, o.Words)
	}
	if s.Engine == Firefox {
		b.strays = catchStrays(t)
		s.Proxy = b.strays.port
	}
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", filepath.Join(here, "driver.mjs"), string(text))
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
	b.answers, b.in, b.kill = bufio.NewReader(out), in, cmd.Process.Kill
	p := &Page{T: t, process: b}
	t.Cleanup(func() {
		if t.Failed() {
			p.try(nil, "screenshot", "file", filepath.Join(t.ArtifactDir(), "failed-"+s.Name+".png")) // go test -artifacts keeps it
		}
		in.Close() // it closes the browser and ends
		limit := time.AfterFunc(20*time.Second, func() { _ = b.kill() })
		defer limit.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the driver of %s: %v", s.Name, err)
		}
	})
	return p
}

// directory is where driver.mjs and its modules are.
func directory() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}

func or[T comparable](value, instead T) T {
	var zero T
	if value == zero {
		return instead
	}
	return value
}

// writeWords writes what a microphone hears.
func writeWords(t *testing.T, path string, words []int16) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	samples := append(append([]int16{}, words...), make([]int16, transcode.Rate)...)
	if err := wav.Write(file, samples, transcode.Rate); err != nil {
		t.Fatal(err)
	}
}
