package service

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"passerelle/bridge/policy"
	"passerelle/configs"
	"passerelle/internal/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "bearer-of-the-policy-service"

// facts and decision are of one call that the rules allow.
func someFacts() policy.Facts {
	return policy.Facts{
		At: time.Date(2026, 9, 1, 8, 30, 0, 0, time.FixedZone("", 2*3600)), Direction: policy.In, Protocol: "sip", Trunk: "carrier",
		Source: netip.MustParseAddr("192.0.2.17"), Transport: "tls", Encrypted: true, Caller: "+33612345678", Called: "+33170000000",
		Identity: "+33612345678", Room: "3b1f9c52-0e0f-4d21-8a54-5f4e0f3c2a11", Class: "internal", InRoom: 2, OfSource: 1,
		OfRule: map[string]int{"carriers": 7, "others": 9},
	}
}

func someDecision() policy.Decision {
	return policy.Decision{Rule: "carriers", Version: "9f2c", Allowed: true, Grant: policy.Grant{
		Foreign: true, Lobby: policy.WithHost, Audio: policy.Both, Video: policy.Receive, Content: policy.Receive,
		Picture: policy.Picture{Height: 720, Kbps: 1500}, Encryption: policy.Prefer, Codecs: []string{"opus", "G722", "PCMA"},
		Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, Name: "{name} ({trunk})", ShowNumber: policy.Masked,
		Learn: policy.LearnCount, Notices: policy.Notices{Caller: []string{"foreign_notice_caller"}, Room: []string{"foreign_notice_room"}},
		Duration: 2 * time.Hour, MaxRule: 50, Recording: true, Keys: []policy.Key{policy.KeyMute, policy.KeyHand, policy.KeyCount},
	}}
}

// service answers as the handler says; what is logged is kept, and must hold neither token nor number.
func service(t *testing.T, h http.HandlerFunc, change func(*configs.Service)) (*Client, *bytes.Buffer) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	cfg := configs.Service{URL: s.URL + "/decide", Token: token, Timeout: 5 * time.Second}
	if change != nil {
		change(&cfg)
	}
	return client(t, cfg, egress.New().DialContext)
}

func client(t *testing.T, cfg configs.Service, dial Dial) (*Client, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	c, err := New(cfg, dial, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if s := log.String(); strings.Contains(s, token) || strings.Contains(s, "612345678") {
			t.Errorf("the log tells a secret:\n%s", s)
		}
	})
	return c, log
}

func says(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func answers(body string) http.HandlerFunc { return says(200, "application/json", body) }

// TestNarrows: what the service answers, and what comes of it.
func TestNarrows(t *testing.T) {
	with := func(change func(*policy.Grant)) policy.Decision {
		d := someDecision()
		change(&d.Grant)
		return d
	}
	refused := func(text, notice string) policy.Decision {
		return policy.Decision{Rule: "carriers", Version: "9f2c", Refusal: policy.Refusal{Reason: policy.Forbidden, Text: text, Notice: notice}}
	}
	for name, c := range map[string]struct {
		body string
		want policy.Decision
	}{
		"allows":               {`{"version":1,"allow":true}`, someDecision()},
		"allows, null":         {`{"version":1,"allow":true,"grant":null}`, someDecision()},
		"allows, nothing else": {`{"version":1,"allow":true,"grant":{}}`, someDecision()},
		"refuses":              {`{"version":1,"allow":false,"text":"Not at night","notice":"notice_night"}`, refused("Not at night", "notice_night")},
		"refuses in French":    {`{"version":1,"allow":false,"text":"Refus\u00e9\r\nX: y"}`, refused("Refus???X: y", "")},
		"refuses silently":     {`{"version":1,"allow":false}`, refused("The policy service does not allow this call", "")},
		"refuses at length":    {`{"version":1,"allow":false,"text":"` + strings.Repeat("x", 1000) + `"}`, refused(strings.Repeat("x", maxText), "")},
		"listen only": {`{"version":1,"allow":true,"grant":{"audio":"receive","video":"none"}}`, with(func(g *policy.Grant) {
			g.Audio, g.Video = policy.Receive, policy.Neither
		})},
		"encrypted, in the lobby, an hour": {`{"version":1,"allow":true,"grant":{"encryption":"require","lobby":"ask","duration":"1h"}}`, with(func(g *policy.Grant) {
			g.Encryption, g.Lobby, g.Duration = policy.Require, policy.AskHost, time.Hour
		})},
		"bounds": {`{"version":1,"allow":true,"grant":{"picture":{"height":360},"max_in_room":3,"idle":"10m","recording":false}}`, with(func(g *policy.Grant) {
			g.Picture.Height, g.MaxInRoom, g.Idle, g.Recording = 360, 3, 10*time.Minute, false
		})},
		"lists": {`{"version":1,"allow":true,"grant":{"codecs":["PCMA"],"keys":["mute"],"networks":["198.51.100.8/29"],"origins":[]}}`, with(func(g *policy.Grant) {
			g.Codecs, g.Keys, g.Networks = []string{"PCMA"}, []policy.Key{policy.KeyMute}, []netip.Prefix{netip.MustParsePrefix("198.51.100.8/29")}
		})},
		"one notice more": {`{"version":1,"allow":true,"grant":{"notices":{"caller":["notice_x"]}}}`, with(func(g *policy.Grant) {
			g.Notices.Caller = []string{"foreign_notice_caller", "notice_x"}
		})},
		"a lie": {`{"version":1,"allow":true,"grant":{
			"foreign":false,"room":"cabinet","lobby":"none","audio":"both","video":"both","content":"both","picture":{"height":0,"rate":0,"kbps":50000},
			"encryption":"optional","codecs":null,"networks":["0.0.0.0/0","::/0"],"origins":["*"],"name":"The President","show_number":"full","learn":"names",
			"notices":{"caller":[],"room":null},"banner":"all is well","duration":"0s","idle":"0s","max_in_room":0,"max_source":0,"max_rule":1000000,
			"recording":true,"keys":["mute","hand","volume","count"]}}`, someDecision()},
		"nothing left": {
			`{"version":1,"allow":true,"grant":{"audio":"none","video":"send","content":"none"}}`,
			refused("The policy service leaves nothing of this call", ""),
		},
		"no codec": {
			`{"version":1,"allow":true,"grant":{"codecs":[],"video":"none","content":"none"}}`,
			refused("The policy service leaves nothing of this call", ""),
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, log := service(t, answers(c.body), nil)
			before := someDecision()
			got := client.Narrow(t.Context(), someFacts(), before)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got\n%+v, want\n%+v\n%s", got, c.want, log)
			}
			if !reflect.DeepEqual(before, someDecision()) {
				t.Error("the decision that was asked about changed")
			}
			if got.Allowed {
				if err := within(got.Grant, before.Grant); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestFailsClosed: what is no answer is a refusal.
func TestFailsClosed(t *testing.T) {
	const good = `{"version":1,"allow":true}`
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		log     string
	}{
		"error":      {says(500, "application/json", good), "500"},
		"no content": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "204"},
		"created":    {says(201, "application/json", good), "201"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
		}, "307"},
		"redirect away": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusSeeOther)
		}, "303"},
		"page":                 {says(200, "text/html", good), "type application/json"},
		"no type":              {says(200, "", good), "type application/json"},
		"nothing":              {answers(""), "EOF"},
		"no JSON":              {answers("<html>"), "invalid character"},
		"half":                 {answers(`{"version":1,"allow":tr`), "unexpected EOF"},
		"list":                 {answers(`[true]`), "cannot unmarshal"},
		"two":                  {answers(good + good), "follows"},
		"unknown field":        {answers(`{"version":1,"allow":true,"grnat":{"audio":"none"}}`), "grnat"},
		"unknown grant":        {answers(`{"version":1,"allow":true,"grant":{"fax":"none"}}`), "fax"},
		"no version":           {answers(`{"allow":true}`), "version 0"},
		"another version":      {answers(`{"version":2,"allow":true}`), "version 2"},
		"no allow":             {answers(`{"version":1}`), "allow is not there"},
		"null allow":           {answers(`{"version":1,"allow":null}`), "allow is not there"},
		"allow in words":       {answers(`{"version":1,"allow":"yes"}`), "cannot unmarshal"},
		"unknown word":         {answers(`{"version":1,"allow":true,"grant":{"lobby":"open"}}`), "lobby"},
		"word of another kind": {answers(`{"version":1,"allow":true,"grant":{"audio":7}}`), "cannot unmarshal"},
		"no way":               {answers(`{"version":1,"allow":true,"grant":{"audio":""}}`), "audio"},
		"unknown codec":        {answers(`{"version":1,"allow":true,"grant":{"codecs":["G729"]}}`), "codecs"},
		"unknown key":          {answers(`{"version":1,"allow":true,"grant":{"keys":["end"]}}`), "keys"},
		"no network":           {answers(`{"version":1,"allow":true,"grant":{"networks":["everywhere"]}}`), "its answer"},
		"negative":             {answers(`{"version":1,"allow":true,"grant":{"max_in_room":-1}}`), "max_in_room"},
		"negative time":        {answers(`{"version":1,"allow":true,"grant":{"idle":"-1m"}}`), "idle"},
		"bare time":            {answers(`{"version":1,"allow":true,"grant":{"idle":60}}`), "its answer"},
		"path as notice":       {answers(`{"version":1,"allow":true,"grant":{"notices":{"room":["../../etc/passwd"]}}}`), "notices"},
		"path as farewell":     {answers(`{"version":1,"allow":false,"notice":"../x"}`), "notice"},
		"huge":                 {answers(good + strings.Repeat(" ", maxAnswer)), "more than"},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, "more than"},
		"huge header": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "header"},
		"cut off":     {hijack("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"), "EOF"},
		"no HTTP":     {hijack("SSH-2.0-x\r\n"), "malformed"},
		"deep":        {answers(strings.Repeat(`{"grant":`, 20_000)), "its answer"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			client, log := service(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); c.handler(w, r) }, func(cfg *configs.Service) {
				cfg.Cache = time.Hour
			})
			for range 2 {
				unavailable(t, client.Narrow(t.Context(), someFacts(), someDecision()))
			}
			if asked.Load() != 2 {
				t.Errorf("%d requests, want 2: nothing is followed, and no failure is kept", asked.Load())
			}
			if !strings.Contains(log.String(), c.log) {
				t.Errorf("the log does not say %q:\n%s", c.log, log)
			}
		})
	}
}

func hijack(reply string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_, _ = io.WriteString(c, reply)
			c.Close()
		}
	}
}

func unavailable(t *testing.T, d policy.Decision) {
	t.Helper()
	want := policy.Decision{Rule: "carriers", Version: "9f2c", Refusal: policy.Refusal{
		Reason: policy.Unavailable, Text: "The service that decides about calls does not answer",
	}}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got %+v, want a refusal because the service is not available", d)
	}
}

// TestHangs: a service that takes the question and says nothing, or says it slowly, is waited for no longer than its time.
func TestHangs(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"silence": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // the end of the connection is noticed after that
			<-r.Context().Done()
		},
		"drip": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := service(t, h, func(cfg *configs.Service) { cfg.Timeout = 50 * time.Millisecond })
			unavailable(t, c.Narrow(t.Context(), someFacts(), someDecision()))
		})
	}
}

// TestRefusedByRules: what the rules refuse is not asked about.
func TestRefusedByRules(t *testing.T) {
	c, _ := service(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") }, nil)
	d := policy.Decision{Rule: "x", Refusal: policy.Refusal{Reason: policy.TooMany, Text: "full"}}
	if got := c.Narrow(t.Context(), someFacts(), d); !reflect.DeepEqual(got, d) {
		t.Errorf("got %+v", got)
	}
}

// TestQuestion: the service is asked as docs/policy-service.md says, and the answer that stands there narrows.
func TestQuestion(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/policy-service.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples []string
	for i, part := range strings.Split(string(doc), "```") {
		if after, ok := strings.CutPrefix(part, "json\n"); ok && i%2 == 1 {
			examples = append(examples, after)
		}
	}
	if len(examples) != 3 {
		t.Fatalf("%d examples, want the question, an answer that narrows and one that refuses", len(examples))
	}
	var seen []byte
	reply := examples[1]
	c, _ := service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/decide" || r.Header.Get("Authorization") != "Bearer "+token ||
			r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Accept") != "application/json" || r.Header["Idempotency-Key"] != nil {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		seen, _ = io.ReadAll(r.Body)
		answers(reply)(w, r)
	}, nil)
	d := c.Narrow(t.Context(), someFacts(), someDecision())
	var asked, documented any
	if err := json.Unmarshal(seen, &asked); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(examples[0]), &documented); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(asked, documented) {
		var b bytes.Buffer
		_ = json.Indent(&b, seen, "", "  ")
		t.Errorf("asked:\n%s\nand not as docs/policy-service.md says", &b)
	}
	if g := d.Grant; !d.Allowed || g.Audio != policy.Receive || g.Encryption != policy.Require || g.Duration != 30*time.Minute {
		t.Errorf("the documented answer gives %+v", d)
	}
	reply = examples[2]
	if d := c.Narrow(t.Context(), someFacts(), someDecision()); d.Allowed || d.Refusal.Reason != policy.Forbidden || d.Refusal.Notice != "notice_closed" {
		t.Errorf("the documented refusal gives %+v", d)
	}
}

// TestTLS: the service's certificate is checked against the given authority.
func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(answers(`{"version":1,"allow":true}`))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := configs.Service{URL: s.URL, Token: token, CAFile: ca, Timeout: 5 * time.Second}
	c, log := client(t, cfg, egress.New().DialContext)
	if d := c.Narrow(t.Context(), someFacts(), someDecision()); !d.Allowed || log.Len() > 0 {
		t.Errorf("got %+v\n%s", d, log)
	}
	cfg.CAFile = ""
	c, _ = client(t, cfg, egress.New().DialContext)
	unavailable(t, c.Narrow(t.Context(), someFacts(), someDecision()))
	cfg.CAFile = ca + ".none"
	if _, err := New(cfg, egress.New().DialContext, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "rules.service: ca_file") {
		t.Errorf("got %v", err)
	}
	cfg.URL = "policy.example.org/decide"
	if _, err := New(cfg, egress.New().DialContext, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "rules.service.url") {
		t.Errorf("got %v", err)
	}
}

// TestGoesThroughTheGuard: a service outside the permitted networks is not talked to.
func TestGoesThroughTheGuard(t *testing.T) {
	guard := egress.New()
	c, _ := client(t, configs.Service{URL: "https://192.0.2.1/decide", Token: token, Timeout: time.Second}, guard.DialContext)
	unavailable(t, c.Narrow(t.Context(), someFacts(), someDecision()))
	if guard.Denied() != 1 {
		t.Errorf("%d refused, want 1", guard.Denied())
	}
}

// TestConnectionsAreLost: a connection that waited for the next question and was closed meanwhile costs no call.
func TestConnectionsAreLost(t *testing.T) {
	s := httptest.NewServer(answers(`{"version":1,"allow":true}`))
	t.Cleanup(s.Close)
	c, _ := client(t, configs.Service{URL: s.URL, Token: token, Timeout: 5 * time.Second}, egress.New().DialContext)
	for range 30 {
		if d := c.Narrow(t.Context(), someFacts(), someDecision()); !d.Allowed {
			t.Fatalf("got %+v", d)
		}
		s.CloseClientConnections()
	}
}

// TestManyAtOnce: questions of many calls do not mix.
func TestManyAtOnce(t *testing.T) {
	c, _ := service(t, func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Facts struct {
				Called string `json:"called"`
			} `json:"facts"`
		}
		_ = json.NewDecoder(r.Body).Decode(&q)
		answers(fmt.Sprintf(`{"version":1,"allow":%t}`, strings.HasSuffix(q.Facts.Called, "0")))(w, r)
	}, func(cfg *configs.Service) { cfg.Cache = time.Hour; cfg.Timeout = 20 * time.Second })
	var calls sync.WaitGroup
	for i := range 200 {
		calls.Go(func() {
			f := someFacts()
			f.Called = fmt.Sprint(i)
			if d := c.Narrow(context.Background(), f, someDecision()); d.Allowed != (i%10 == 0) || d.Refusal.Reason == policy.Unavailable {
				t.Errorf("call %d: %+v", i, d)
			}
		})
	}
	calls.Wait()
}

// TestKeeper: the rules' keeper asks the service, and what it says reaches the call.
func TestKeeper(t *testing.T) {
	reply := `{"version":1,"allow":true,"grant":{"audio":"receive","lobby":"ask"}}`
	c, _ := service(t, func(w http.ResponseWriter, r *http.Request) { answers(reply)(w, r) }, nil)
	k, err := policy.Open(configs.Rules{}, policy.Options{Narrow: c.Narrow}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f := someFacts()
	if d := k.Decide(t.Context(), f); !d.Allowed || d.Grant.Audio != policy.Receive || d.Grant.Lobby != policy.AskHost {
		t.Errorf("got %+v", d)
	}
	reply = `{"version":1,"allow":false,"text":"Not at night"}`
	if d := k.Decide(t.Context(), f); d.Allowed || d.Refusal.Reason != policy.Forbidden || d.Refusal.Text != "Not at night" {
		t.Errorf("got %+v", d)
	}
	reply = `{}`
	if d := k.Decide(t.Context(), f); d.Allowed || d.Refusal.Reason != policy.Unavailable {
		t.Errorf("got %+v", d)
	}
}
