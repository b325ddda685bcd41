// Package stack starts what a test of the whole needs, on loopback: the embedded SFU and the gateway itself, as the programs that users run.
// The gateway is built with the race detector; a race, a panic or an unclean end fails the test.
package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"passerelle/admin/tokens"
	"passerelle/internal/sfuproc"
	"passerelle/internal/testpeer/said"
)

// Key and Secret are those of the SFU.
const (
	Key    = "devkey"
	Secret = "secret-secret-secret-secret-secret"
	PIN    = "1234567890" // of the room Room
	Room   = "demo"
)

// RoomN is one of the further rooms, from 0 on, and its PIN: for calls that must not hear each other.
func RoomN(n int) (room, pin string) {
	return fmt.Sprintf("%s-%d", Room, n), fmt.Sprintf("12345%05d", n)
}

// Options says what differs from a plain stack: one trunk of loopback addresses without language, one room.
type Options struct {
	Redis   string // for the SFU, host:port
	Webhook string // URL that the SFU tells what happens in its rooms
	Trunks  string // YAML list, instead of the plain trunk
	Extra   string // YAML of further top-level keys of the gateway's configuration
	Environ []string
	NoRooms bool   // no file of rooms
	Rooms   int    // how many rooms there are besides Room: see RoomN
	Rules   string // the file of rules; empty: the built-in ones
	Bind    string // IP address of SIP and RTP; empty: 127.0.0.1
}

// Stack is a running SFU and a running gateway.
type Stack struct {
	Dir  string // of configuration and recordings
	SFU  *sfuproc.Process
	SIP  string // host:port of UDP and TCP
	TLS  string // host:port
	HTTP string // host:port
	Cert string // file of the gateway's certificate

	token   string // of the admin API, for everything
	sfu     sfuproc.Options
	gateway *exec.Cmd
	exited  chan struct{}
	log     *said.Text
}

// Start starts a stack, and ends it with the test.
func Start(t *testing.T, o Options) *Stack {
	t.Helper()
	s := &Stack{Dir: t.TempDir(), exited: make(chan struct{}), log: &said.Text{}}
	s.SIP, s.TLS, s.HTTP = FreePort(t), FreePort(t), FreePort(t)
	if o.Bind != "" {
		s.SIP, s.TLS = strings.Replace(s.SIP, "127.0.0.1", o.Bind, 1), strings.Replace(s.TLS, "127.0.0.1", o.Bind, 1)
	}
	s.sfu = sfuproc.Options{Listen: FreePort(t), Key: Key, Secret: Secret, Redis: o.Redis, Webhook: o.Webhook}
	s.StartSFU(t)
	t.Cleanup(func() { s.SFU.Stop() })
	s.Cert = filepath.Join(s.Dir, "cert.pem")
	run(t, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
		"-addext", "subjectAltName=IP:127.0.0.1", "-keyout", filepath.Join(s.Dir, "key.pem"), "-out", s.Cert)
	s.startGateway(t, o)
	return s
}

// StartSFU starts the SFU, or starts it again after SFU.Kill, at the same address.
func (s *Stack) StartSFU(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	var err error
	if s.SFU, err = sfuproc.Start(ctx, s.sfu); err != nil {
		t.Fatal(err)
	}
}

func (s *Stack) startGateway(t *testing.T, o Options) {
	t.Helper()
	trunks := o.Trunks
	if trunks == "" {
		trunks = "[{name: loopback, addresses: [127.0.0.0/8]}]"
	}
	directory := ""
	if !o.NoRooms {
		rooms := filepath.Join(s.Dir, "rooms.yaml")
		list := fmt.Sprintf("- {pin: %q, room: %s, title: Démonstration}\n", PIN, Room)
		for n := range o.Rooms {
			room, pin := RoomN(n)
			list += fmt.Sprintf("- {pin: %q, room: %s}\n", pin, room)
		}
		write(t, rooms, list)
		directory = "directory: {livekit: false, file: " + rooms + "}"
	}
	tokensFile := filepath.Join(s.Dir, "tokens.yaml")
	token, secret := tokens.New("test", tokens.Admin, time.Now(), time.Time{})
	if err := tokens.Add(tokensFile, token); err != nil {
		t.Fatal(err)
	}
	s.token = secret
	rules := ""
	if o.Rules != "" {
		write(t, s.RulesFile(), o.Rules)
		rules = "rules: {file: " + s.RulesFile() + "}"
	}
	config := s.Config()
	write(t, config, fmt.Sprintf(`
log: {level: debug}
http: {listen: %q, tokens_file: %s, rate: 1000}
journal: {dir: %s}
livekit: {url: %q, api_key: %s}
%s
%s
sip:
  udp: [%q]
  tcp: [%q]
  tls: {listen: [%q], cert_file: %s, key_file: %s}
  trunks: %s
%s
`, s.HTTP, tokensFile, filepath.Join(s.Dir, "state"), s.SFU.URL(), Key, rules, directory, s.SIP, s.SIP, s.TLS, s.Cert, filepath.Join(s.Dir, "key.pem"), trunks, o.Extra))

	s.gateway = exec.Command(Build(t), "serve", "--config", config)
	s.gateway.Env = append(append(os.Environ(), "PASSERELLE_LIVEKIT_API_SECRET="+Secret, "PASSERELLE_CALLS_MAX_LOAD=0", "GORACE=atexit_sleep_ms=0"), o.Environ...)
	s.gateway.Stdout, s.gateway.Stderr = s.log, s.log
	s.gateway.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.gateway.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.exited)
		_ = s.gateway.Wait()
	}()
	t.Cleanup(func() { s.endGateway(t) })
	Eventually(t, 30*time.Second, "the gateway is ready", func() bool {
		select {
		case <-s.exited:
			t.Fatalf("the gateway ended:\n%s", s.log)
		default:
		}
		return s.ready()
	})
}

// Config is the gateway's configuration file.
func (s *Stack) Config() string { return filepath.Join(s.Dir, "passerelle.yaml") }

// RulesFile is the gateway's file of rules, where Options.Rules has some.
func (s *Stack) RulesFile() string { return filepath.Join(s.Dir, "rules.yaml") }

// ChangeRules puts other rules in force and returns when they are.
func (s *Stack) ChangeRules(t *testing.T, rules string) {
	t.Helper()
	write(t, s.RulesFile(), rules)
	s.API(t, "POST", "/rules/reload", nil, nil)
}

// API asks the gateway's admin API (path below /api/v1) as an admin and reads its JSON into out, unless that is nil. An answer that is no success fails
// the test.
func (s *Stack) API(t *testing.T, method, path string, body, out any) {
	t.Helper()
	status, answer := s.Ask(t, method, path, body)
	if status >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, answer)
		}
	}
}

// Ask asks the gateway's admin API as an admin, whatever it answers.
func (s *Stack) Ask(t *testing.T, method, path string, body any) (status int, answer []byte) {
	t.Helper()
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			t.Fatal(err)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.HTTP+"/api/v1"+path, &b)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if answer, err = io.ReadAll(res.Body); err != nil {
		t.Fatalf("%s %s: %s %v", method, path, res.Status, err)
	}
	return res.StatusCode, answer
}

// ready asks the gateway whether it takes calls.
func (s *Stack) ready() bool {
	r, err := http.Get("http://" + s.HTTP + "/readyz")
	if err != nil {
		return false
	}
	defer r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// endGateway stops the gateway at once and looks at how it ended.
func (s *Stack) endGateway(t *testing.T) {
	s.Signal(t, syscall.SIGTERM)
	for end := time.Now().Add(5 * time.Second); s.ready() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond) // two signals at once would be one
	}
	s.Signal(t, syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		_ = s.gateway.Process.Signal(syscall.SIGQUIT) // prints every goroutine
		<-s.exited
		t.Error("the gateway did not end within 20 s of two SIGTERM")
	}
	text := s.log.String()
	if code := s.gateway.ProcessState.ExitCode(); code != 0 || strings.Contains(text, "DATA RACE") {
		t.Errorf("the gateway ended with status %d", code)
	}
	if strings.Contains(text, PIN) || strings.Contains(text, Secret) {
		t.Error("the log holds the PIN or the secret")
	}
	if t.Failed() {
		t.Logf("the gateway's log:\n%s", text)
	}
}

// Signal sends the gateway a signal.
func (s *Stack) Signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := s.gateway.Process.Signal(sig); err != nil && err != os.ErrProcessDone {
		t.Error(err)
	}
}

// Exited is closed when the gateway is gone.
func (s *Stack) Exited() <-chan struct{} { return s.exited }

// Log is what the gateway has logged so far.
func (s *Stack) Log() string { return s.log.String() }

// Metric is the value of a metric of the gateway, with its labels as /metrics writes them; -1: there is none.
func (s *Stack) Metric(t *testing.T, name string) float64 {
	t.Helper()
	r, err := http.Get("http://" + s.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			var f float64
			if _, err := fmt.Sscan(value, &f); err != nil {
				t.Fatal(err)
			}
			return f
		}
	}
	return -1
}

// Build builds the gateway with the race detector, once per process, and answers the program's path. Start does it, too. STACK_PROGRAM names one that
// is there already: `make soak` measures the program that users run.
func Build(t *testing.T) string {
	t.Helper()
	path, err := builtOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var builtOnce = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("STACK_PROGRAM"); path != "" {
		return path, nil
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", err
	}
	dir := strings.TrimSpace(string(root))
	path := filepath.Join(dir, "bin", "passerelle-race")
	cmd := exec.Command("go", "build", "-race", "-tags", "nolibopusfile", "-o", path, "./cmd/passerelle")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the gateway: %w\n%s", err, out)
	}
	return path, nil
})

// FreePort is a loopback host:port on which, a moment ago, neither TCP nor UDP was in use. It lies outside the ranges from which the system takes
// ports for outgoing connections and the gateway those for RTP, and is given out once: stacks start at the same time.
func FreePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(10_000))
		if _, taken := given.LoadOrStore(address, true); taken {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		l.Close()
		if u, err := net.ListenPacket("udp", address); err == nil {
			u.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

var given sync.Map // addresses that FreePort has answered

// Eventually polls until the condition holds, or fails the test.
func Eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
