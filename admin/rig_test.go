package admin

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"passerelle/admin/tokens"
	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
)

// rig is a server with an admin API, on a real listener, and what is behind it.
type rig struct {
	t       *testing.T
	cfg     configs.HTTP
	server  *Server
	stop    func()
	base    string
	client  *http.Client
	node    *fakeNode
	journal *fakeJournal
	rules   *fakeRules
	links   *fakeLinks
	dialer  *fakeDialer
	load    bridge.Load
	log     *syncBuffer
	secrets map[tokens.Role]string // of one token of each role, which are named as their roles
}

// syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newRig makes one; change may change the configuration and the server before it runs.
func newRig(t *testing.T, change func(r *rig)) *rig {
	t.Helper()
	r := &rig{
		t: t, node: newFakeNode(), journal: &fakeJournal{}, rules: newFakeRules(), links: newFakeLinks(), dialer: &fakeDialer{}, log: &syncBuffer{}, secrets: map[tokens.Role]string{},
		load: bridge.Load{Share: 0.25, Headroom: 300},
		cfg:  configs.HTTP{Listen: "127.0.0.1:0", Rate: 1000, Tokens: filepath.Join(t.TempDir(), "tokens.yaml")},
	}
	for _, role := range tokens.Roles() {
		r.secrets[role] = r.addToken(string(role), role, time.Time{})
	}
	r.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	if change != nil {
		change(r)
	}
	if r.server == nil {
		r.make()
		if r.cfg.Rate == 1000 {
			r.server.api.limits.login = 1 // most tests are not about how often they are refused
		}
	}
	r.stop = run(t, r.server)
	if r.base == "" {
		r.base = "http://"
	}
	r.base += r.server.Addr()
	t.Cleanup(r.client.CloseIdleConnections)
	return r
}

// make makes the server.
func (r *rig) make() {
	r.t.Helper()
	var err error
	r.server, err = New(r.cfg, egress.New(), Deps{
		Registry: prometheus.NewRegistry(), Ready: func() error { return nil }, Node: r.node, Load: func() bridge.Load { return r.load }, Rules: r.rules,
		Journal: r.journal, Records: r.journal, Links: r.links, Dialer: r.dialer, LinkBase: "https://meet.example.org/", Name: "gw1", Version: "1.2.3",
	}, slog.New(slog.NewTextHandler(r.log, nil)))
	if err != nil {
		r.t.Fatal(err)
	}
}

// addToken puts a token into the file and returns it.
func (r *rig) addToken(name string, role tokens.Role, expires time.Time) string {
	r.t.Helper()
	token, secret := tokens.New(name, role, time.Now(), expires)
	if err := tokens.Add(r.cfg.Tokens, token); err != nil {
		r.t.Fatal(err)
	}
	return secret
}

// reply is an answer.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request with the token of a role (none: ""), and holds what comes against the document.
func (r *rig) ask(method, path string, role tokens.Role, body string) answer {
	r.t.Helper()
	return r.askAs(method, path, r.secrets[role], body)
}

func (r *rig) askAs(method, path, secret, body string) answer {
	r.t.Helper()
	req := r.request(method, path, secret, body)
	return r.send(req, body)
}

func (r *rig) request(method, path, secret, body string) *http.Request {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.base+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	return req
}

func (r *rig) send(req *http.Request, body string) answer {
	r.t.Helper()
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	a := answer{resp.StatusCode, resp.Header, b}
	theContract().check(r.t, req, body, a)
	return a
}

// want asks, and expects a status; of problems, also the end of their type.
func (r *rig) want(status int, word, method, path string, role tokens.Role, body string) answer {
	r.t.Helper()
	a := r.ask(method, path, role, body)
	r.expect(a, status, word, method+" "+path)
	return a
}

func (r *rig) expect(a answer, status int, word, what string) {
	r.t.Helper()
	if a.status != status || word != "" && a.problem().Type != problemType+word {
		r.t.Errorf("%s: got %d %s, want %d %s", what, a.status, a.body, status, word)
	}
}

func (a answer) problem() (p problem) {
	_ = json.Unmarshal(a.body, &p)
	return p
}

// into reads the answer.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
}
