package admin

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"passerelle/admin/tokens"
	"passerelle/bridge"
	"passerelle/bridge/journal"
	"passerelle/configs"
	"passerelle/internal/egress"
)

// What a role may not do is refused, not done, and recorded with the name of who tried.
func TestViewerTriesMore(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct {
		role         tokens.Role
		method, path string
	}{
		{tokens.Viewer, "POST", "/api/v1/calls/c1/end"},
		{tokens.Viewer, "POST", "/api/v1/calls/c2/admit"},
		{tokens.Viewer, "POST", "/api/v1/rules/reload"},
		{tokens.Viewer, "GET", "/api/v1/journal"},
		{tokens.Viewer, "POST", "/api/v1/rules/explain"},
		{tokens.Operator, "POST", "/api/v1/rules/reload"},
		{tokens.Operator, "GET", "/api/v1/journal"},
	} {
		a := r.want(403, "role", c.method, c.path, c.role, "")
		if d := a.problem().Detail; !strings.Contains(d, string(c.role)) || !strings.Contains(d, "Ask for") {
			t.Errorf("the text does not help: %s", d)
		}
		e := r.journal.last()
		if e.Kind != journal.Admin || e.Actor != string(c.role) || e.Outcome != "refused" || e.Fields["status"] != "403" || e.Fields["problem"] != "role" || e.Fields["method"] != c.method {
			t.Errorf("%s %s: the record is %+v", c.method, c.path, e)
		}
	}
	if n := len(r.node.taken()); n != 0 || r.rules.reloads() != 0 {
		t.Errorf("%d orders were given, %d reloads done", n, r.rules.reloads())
	}
	if n := len(r.journal.of(journal.Admin)); n != 7 {
		t.Errorf("%d records", n)
	}
}

func TestStrangers(t *testing.T) {
	r := newRig(t, nil)
	secret := r.secrets[tokens.Admin]
	for _, header := range [][]string{
		{"Bearer"},
		{"Bearer "},
		{"Basic " + secret},
		{secret},
		{"Bearer " + secret + "x"},
		{"Bearer  " + secret},
		{"Bearer " + strings.ToLower(secret)},
		{"Bearer " + secret, "Bearer " + secret},
		{""},
	} {
		req := r.request("POST", "/api/v1/calls/c1/end", "", "")
		req.Header["Authorization"] = header
		a := r.send(req, "")
		r.expect(a, 401, "token", strings.Join(header, " | "))
		if !strings.Contains(a.header.Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("%q: challenge %q", header, a.header.Get("WWW-Authenticate"))
		}
		if e := r.journal.last(); e.Actor != nobody || e.Outcome != "refused" || e.Fields["status"] != "401" || e.Call != "c1" {
			t.Errorf("%q: the record is %+v", header, e)
		}
	}
	if a := r.want(401, "no-token", "GET", "/api/v1/nonsense", "", ""); a.header.Get("WWW-Authenticate") != `Bearer realm="passerelle"` {
		t.Errorf("%v", a.header)
	}
	req := r.request("GET", "/api/v1/node", "", "")
	req.Header.Set("Authorization", "bearer "+secret)
	r.expect(r.send(req, ""), 200, "", "the scheme in small letters")
	for _, e := range r.journal.of(journal.Admin) {
		for k, v := range e.Fields {
			if strings.Contains(v, "pass_") {
				t.Errorf("a token is in the record: %s %s", k, v)
			}
		}
	}
	if strings.Contains(r.log.String(), "pass_") {
		t.Error("a token is in the log")
	}
	if n := len(r.node.taken()); n != 0 {
		t.Errorf("%d orders were given", n)
	}
}

// Tokens come and go while the server runs.
func TestTokensChange(t *testing.T) {
	r := newRig(t, nil)
	fresh := r.addToken("fresh", tokens.Operator, time.Time{})
	r.expect(r.askAs("POST", "/api/v1/calls/c1/mute", fresh, ""), 204, "", "a token that was just added")
	if err := tokens.Remove(r.cfg.Tokens, "fresh"); err != nil {
		t.Fatal(err)
	}
	r.expect(r.askAs("POST", "/api/v1/calls/c1/mute", fresh, ""), 401, "token", "a token that was just removed")
	over := r.addToken("over", tokens.Admin, time.Now().Add(-time.Second))
	a := r.askAs("GET", "/api/v1/calls", over, "")
	r.expect(a, 401, "token", "a token that is over")
	if !strings.Contains(a.problem().Detail, "over") {
		t.Errorf("%s", a.body)
	}
	if err := os.WriteFile(r.cfg.Tokens, []byte("broken ["), 0o600); err != nil {
		t.Fatal(err)
	}
	r.want(401, "token", "GET", "/api/v1/calls", tokens.Admin, "")
	read := r.journal.of(journal.Config)
	if n := len(read); n != 5 || read[0].Outcome != "taken" || len(read[0].Fields["hash"]) != 64 || read[n-1].Outcome != "refused" {
		t.Errorf("the record says of the file: %+v", read)
	}
}

// stopClock makes a server that takes so many requests a second, and for which no second ever passes.
func (r *rig) stopClock(rate int) {
	r.t.Helper()
	r.cfg.Rate = rate
	r.make()
	at := time.Now()
	r.server.api.limits.now = func() time.Time { return at }
}

func TestRate(t *testing.T) {
	r := newRig(t, func(r *rig) { r.stopClock(2) })
	limited := func(ask func() answer) (allowed int) {
		t.Helper()
		for range 100 {
			a := ask()
			if a.status == 429 {
				if s, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || s < 1 || s > 5 {
					t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
				}
				return allowed
			}
			allowed++
		}
		return allowed
	}
	if n := limited(func() answer { return r.ask("GET", "/api/v1/node", tokens.Viewer, "") }); n != 2*burst {
		t.Errorf("%d requests of a token", n)
	}
	r.want(200, "", "GET", "/api/v1/node", tokens.Operator, "") // which has asked for nothing yet
	if n := limited(func() answer { return r.ask("GET", "/api/v1/openapi.json", "", "") }); n != 2*burst {
		t.Errorf("%d requests of an address", n)
	}
	r.want(429, "too-often", "GET", "/api/v1/node", "", "") // a failed login costs more than is left
	if a := r.ask("GET", "/api/v1/node", tokens.Operator, ""); a.status != 200 {
		t.Errorf("who has a token is kept out by others of the same address: %d", a.status)
	}
}

// A flood of wrong tokens neither gets an answer each time, nor fills the journal, nor locks out who has a right one.
func TestGuessing(t *testing.T) {
	r := newRig(t, func(r *rig) { r.stopClock(1) })
	got := map[int]int{}
	for range 50 {
		got[r.askAs("GET", "/api/v1/node", "pass_"+strings.Repeat("y", 43), "").status]++
	}
	if got[401] != burst || got[429] != 50-burst {
		t.Errorf("answers: %v", got)
	}
	if n := len(r.journal.of(journal.Admin)); n != burst+1 {
		t.Errorf("%d records of %d attempts", n, 50)
	}
	r.want(200, "", "GET", "/api/v1/node", tokens.Viewer, "")
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/"} {
		r.want(200, "", "GET", path, "", "")
	}
}

func TestLimitsAreBounded(t *testing.T) {
	l := newLimits(1)
	at := time.Unix(1_700_000_000, 0)
	l.now = func() time.Time { return at }
	for range burst {
		if wait, _ := l.take("a", 1); wait != 0 {
			t.Fatal(wait)
		}
	}
	if wait, first := l.take("a", 1); wait != time.Second || !first {
		t.Fatal(wait, first)
	}
	if wait, first := l.take("a", 1); wait != time.Second || first {
		t.Fatal("told twice", wait, first)
	}
	at = at.Add(2 * time.Second)
	if wait, _ := l.take("a", 1); wait != 0 {
		t.Fatal(wait)
	}
	for i := range 2 * maxAskers {
		l.take("other "+strconv.Itoa(i), 1)
	}
	if n := l.askers.Len(); n != maxAskers {
		t.Errorf("%d are remembered", n)
	}
	if a, b := addressKey(mustAddr("2001:db8::1")), addressKey(mustAddr("2001:db8::2")); a != b {
		t.Errorf("one host, two limits: %s, %s", a, b)
	}
	if a, b := addressKey(mustAddr("192.0.2.1")), addressKey(mustAddr("::ffff:192.0.2.1")); a != b || a == addressKey(mustAddr("192.0.2.2")) {
		t.Errorf("%s, %s", a, b)
	}
}

func TestPathsAndMethods(t *testing.T) {
	r := newRig(t, nil)
	for _, path := range []string{"/api/", "/api/v1", "/api/v1/", "/api/v2/calls", "/api/v1/calls/c1/explode", "/api/v1/link"} {
		r.want(404, "no-route", "GET", path, tokens.Admin, "")
	}
	for path, allow := range map[string]string{"/api/v1/calls": "GET, POST, HEAD", "/api/v1/calls/c1/end": "POST", "/api/v1/openapi.yaml": "GET, HEAD"} {
		for _, method := range []string{"DELETE", "PATCH", "OPTIONS", "BREW"} {
			if a := r.want(405, "method", method, path, tokens.Admin, ""); a.header.Get("Allow") != allow {
				t.Errorf("%s %s: Allow: %s", method, path, a.header.Get("Allow"))
			}
		}
	}
	a := r.ask("HEAD", "/api/v1/calls", tokens.Viewer, "")
	if a.status != 200 || len(a.body) != 0 {
		t.Errorf("HEAD: %d %s", a.status, a.body)
	}
	if a = r.ask("HEAD", "/api/v1/events", tokens.Viewer, ""); a.status != 200 || a.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD of the events: %d %v", a.status, a.header)
	}
	req := r.request("OPTIONS", "/api/v1/calls", r.secrets[tokens.Admin], "")
	req.Header.Set("Origin", "https://elsewhere.example")
	req.Header.Set("Access-Control-Request-Method", "GET")
	for name := range r.send(req, "").header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: pages of others may not read this", name)
		}
	}
	for name, want := range map[string]string{"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestRefusedStarts(t *testing.T) {
	log := discard()
	broken := t.TempDir() + "/tokens.yaml"
	if err := os.WriteFile(broken, []byte("- x"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := func() Deps {
		return Deps{Registry: prometheus.NewRegistry(), Node: newFakeNode(), Load: func() bridge.Load { return bridge.Load{} }, Rules: newFakeRules(), Journal: &fakeJournal{}}
	}
	for _, c := range []struct {
		cfg  configs.HTTP
		deps Deps
		want string
	}{
		{configs.HTTP{Tokens: broken}, full(), "http.tokens_file"},
		{configs.HTTP{Tokens: broken}, Deps{Registry: prometheus.NewRegistry()}, "no admin API"},
		{configs.HTTP{CertFile: broken, KeyFile: broken}, full(), "http.cert_file"},
	} {
		if _, err := New(c.cfg, egress.New(), c.deps, log); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
}

// What is sent by hand, below what an HTTP client would.
func TestRawRequests(t *testing.T) {
	r := newRig(t, nil)
	auth := "Authorization: Bearer " + r.secrets[tokens.Operator] + "\r\n"
	for raw, want := range map[string]int{
		"POST /api/v1/calls/c1/end HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Length: 100000\r\nContent-Type: application/json\r\n\r\n" + strings.Repeat(" ", 100000):                                  413,
		"POST /api/v1/calls/c1/move HTTP/1.1\r\nHost: x\r\n" + auth + "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n20000\r\n" + strings.Repeat(" ", 0x20000) + "\r\n0\r\n\r\n": 413,
		"POST /api/v1/calls/c1/end HTTP/1.1\r\nHost: x\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n":                                                                                     415,
		"POST /api/v1/calls/c1/end HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n":                                                                                                                            204,
		"GET //api/v1/calls HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n":                                                                                                                                   307,
		"GET /api/v1/calls HTTP/1.0\r\n" + auth + "\r\n":                                                                                                                                               200,
		"GET /api/v1/calls HTTP/2.0\r\nHost: x\r\n\r\n":                                                                                                                                                505,
		"nonsense\r\n\r\n": 400,
	} {
		c, err := net.Dial("tcp", r.server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		go c.Write([]byte(raw))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%.60q: %v", raw, err)
		} else if resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("%.60q: got %d, want %d", raw, resp.StatusCode, want)
		}
		c.Close()
	}
}
