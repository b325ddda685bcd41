package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
)

const token = "hunter2-hunter2"

// visio answers as the handler says; rules is what LiveKit knows behind it. short is the time for one request.
func visio(t *testing.T, h http.HandlerFunc, rules Rules, short time.Duration) *Chain {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	log, _ := recorder(t)
	l := NewLiveKit(rules, time.Hour, time.Second, log)
	r, err := NewRoomkit(configs.Roomkit{URL: s.URL + "/api/v1.0/roomkit/join/", Token: token}, l, egress.New().DialContext, short)
	if err != nil {
		t.Fatal(err)
	}
	return NewChain(5*time.Second, l, r)
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func TestRoomkitPrepares(t *testing.T) {
	f := &fakeRules{}
	var posts atomic.Int32
	c := visio(t, func(w http.ResponseWriter, r *http.Request) {
		posts.Add(1)
		var body map[string]string
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body) != 1 || body["pin_code"] != secretPIN {
			t.Errorf("body %v, %v", body, err)
		}
		if r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer "+token || r.URL.Path != "/api/v1.0/roomkit/join/" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		// LiveKit has the rule only a few listings later.
		go func() {
			for f.count() < 4 {
				time.Sleep(time.Millisecond)
			}
			f.set(nil, rule(secretPIN, "uuid"))
		}()
		answer(http.StatusOK, `{"status":"success"}`)(w, r)
	}, f, time.Second)
	room, err := c.Find(t.Context(), secretPIN)
	if err != nil || room != (bridge.RoomRef{Name: "uuid", Source: "roomkit"}) {
		t.Fatalf("got %+v, %v", room, err)
	}
	room, err = c.Find(t.Context(), secretPIN)
	if err != nil || room.Source != "livekit" || posts.Load() != 1 {
		t.Fatalf("the next caller needs no request: %+v, %v, %d requests", room, err, posts.Load())
	}
}

func TestRoomkitFaults(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    error
		text    string
	}{
		"unknown":      {answer(404, `{"detail":"no room 7305551234"}`), bridge.ErrBadPIN, ""},
		"wrong length": {answer(400, `{"pin_code":["7305551234 is too long"]}`), bridge.ErrBadPIN, ""},
		"bare 404":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, bridge.ErrBadPIN, ""},
		"wrong path": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(404)
		}, bridge.ErrDirectory, "roomkit.url"},
		"bad token":    {answer(401, `{"detail":"hunter2-hunter2"}`), bridge.ErrDirectory, "roomkit.token"},
		"error":        {answer(500, "7305551234"), bridge.ErrDirectory, "status 500"},
		"garbage":      {answer(200, "<html>7305551234"), bridge.ErrDirectory, "without its JSON"},
		"other status": {answer(200, `{"status":"7305551234"}`), bridge.ErrDirectory, "without its JSON"},
		"oversized":    {answer(200, `{"status":"success"}`+strings.Repeat(" ", 1<<20)), bridge.ErrDirectory, "without its JSON"},
		"huge header":  {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, bridge.ErrDirectory, ""},
		"no http":      {hijack("7305551234\r\n\r\n"), bridge.ErrDirectory, "roomkit"},
		"cut off":      {hijack("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), bridge.ErrDirectory, "roomkit"},
		"throttled":    {answer(429, ""), bridge.ErrDirectory, "no request for 1s"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, bridge.ErrDirectory, "status 307"},
		"redirect away": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusPermanentRedirect)
		}, bridge.ErrDirectory, "status 308"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			d := visio(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); c.handler(w, r) }, &fakeRules{}, 4*time.Second)
			_, err := d.Find(t.Context(), secretPIN)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %v with %q", err, c.want, c.text)
			}
			if errors.Is(err, bridge.ErrBadPIN) && errors.Is(err, bridge.ErrDirectory) {
				t.Errorf("both at once: %v", err)
			}
			if s := fmt.Sprintf("%v %+v", err, err); strings.Contains(s, secretPIN) || strings.Contains(s, token) {
				t.Errorf("the error tells a secret: %s", s)
			}
			if asked.Load() != 1 {
				t.Errorf("%d requests, want 1: nothing is followed or repeated", asked.Load())
			}
		})
	}
}

func hijack(reply string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			io.WriteString(c, reply)
			c.Close()
		}
	}
}

func TestRoomkitHangs(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	c := visio(t, func(http.ResponseWriter, *http.Request) { <-release }, &fakeRules{}, 50*time.Millisecond)
	refuses(t, c, secretPIN, bridge.ErrDirectory)
}

func TestRoomkitSendsBodySlowly(t *testing.T) {
	c := visio(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			io.WriteString(w, " ")
			http.NewResponseController(w).Flush()
			time.Sleep(time.Millisecond)
		}
	}, &fakeRules{}, 50*time.Millisecond)
	refuses(t, c, secretPIN, bridge.ErrDirectory)
}

func TestRoomkitRuleNeverAppears(t *testing.T) {
	c := visio(t, answer(200, `{"status":"success"}`), &fakeRules{}, time.Second)
	c.timeout = time.Second
	_, err := c.Find(t.Context(), secretPIN)
	if !errors.Is(err, bridge.ErrDirectory) || !strings.Contains(err.Error(), "no rule for it") {
		t.Fatal(err)
	}
}

func TestRoomkitIsLeftAloneWhileItSaysSo(t *testing.T) {
	var asked atomic.Int32
	c := visio(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(429)
	}, &fakeRules{}, time.Second)
	for range 20 {
		refuses(t, c, secretPIN, bridge.ErrDirectory)
	}
	if asked.Load() != 1 {
		t.Fatalf("%d requests, want 1", asked.Load())
	}
}

func TestRoomkitThrottle(t *testing.T) {
	var asked atomic.Int32
	c := visio(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); answer(404, "{}")(w, r) }, &fakeRules{}, time.Second)
	c.timeout = time.Second
	var wg sync.WaitGroup
	var unknown, unable atomic.Int32
	for range 200 {
		wg.Go(func() {
			switch _, err := c.Find(context.Background(), secretPIN); {
			case errors.Is(err, bridge.ErrBadPIN):
				unknown.Add(1)
			case errors.Is(err, bridge.ErrDirectory):
				unable.Add(1)
			default:
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	// The burst, and what the rate adds in the time that this took on any machine.
	if n := asked.Load(); n == 0 || n > requestBurst+30 {
		t.Errorf("%d requests for 200 callers", n)
	}
	if unable.Load() == 0 || unknown.Load() == 0 {
		t.Errorf("%d unknown, %d unable", unknown.Load(), unable.Load())
	}
	if requestBurst+60*requestRate > 300 {
		t.Errorf("more than Visio's 300 requests a minute")
	}
}

func TestRoomkitGoesThroughTheGuard(t *testing.T) {
	log, _ := recorder(t)
	l := NewLiveKit(&fakeRules{}, time.Hour, time.Second, log)
	guard := egress.New()
	r, err := NewRoomkit(configs.Roomkit{URL: "https://192.0.2.1/", Token: token}, l, guard.DialContext, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Find(t.Context(), secretPIN); !errors.Is(err, egress.ErrDenied) || !errors.Is(err, bridge.ErrDirectory) || guard.Denied() != 1 {
		t.Fatalf("got %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	for h, want := range map[string]time.Duration{
		"": time.Second, "0": time.Second, "7": 7 * time.Second, "-1": time.Second, "999999": maxRetryAfter, "99999999999999999999": time.Second,
		"x": time.Second, "Thu, 01 Jan 1970 00:00:00 GMT": time.Second, "Fri, 01 Jan 2100 00:00:00 GMT": maxRetryAfter,
	} {
		if got := retryAfter(h); got != want {
			t.Errorf("%q: got %v, want %v", h, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Wed, 21 Oct 2026 07:28:00 GMT")
	f.Fuzz(func(t *testing.T, h string) {
		if d := retryAfter(h); d < time.Second || d > maxRetryAfter {
			t.Fatal(d)
		}
	})
}

var _ Dial = (&net.Dialer{}).DialContext
