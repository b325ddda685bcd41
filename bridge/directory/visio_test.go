package directory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
)

const (
	roomID    = "3b1f9c52-0e0f-4d21-8a54-5f4e0f3c2a11"
	otherRoom = "a9c1b7de-7d0e-4c55-9a2c-0d6d2f3b4c5d"
)

// newVisio asks a server that answers as the handler says; its log is kept.
func newVisio(t *testing.T, h http.HandlerFunc, timeout time.Duration) (*Visio, *bytes.Buffer) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	log, lines := recorder(t)
	v, err := NewVisio(configs.Visio{URL: s.URL + "/api/v1.0/"}, egress.New().DialContext, timeout, log)
	if err != nil {
		t.Fatal(err)
	}
	return v, lines
}

// body is what Visio answers about a room, which holds what nobody else must know.
func body(id, level string) string {
	return fmt.Sprintf(`{"id":%q,"name":"Council","slug":"council","access_level":%q,"pin_code":%q,"livekit":{"url":"wss://x","token":"eyJ.secret"}}`, id, level, secretPIN)
}

func TestVisioAccess(t *testing.T) {
	long := strings.Repeat(" ", maxRoom)
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
		log     string
	}{
		"public":           {answer(200, body(roomID, "public")), Public, ""},
		"trusted":          {answer(200, body(roomID, "trusted")), Trusted, ""},
		"restricted":       {answer(200, body(roomID, "restricted")), Restricted, ""},
		"a new word":       {answer(200, body(roomID, "open")), Restricted, "not known"},
		"unknown room":     {answer(404, `{"detail":"No Room matches the given query."}`), Restricted, "does not know the room"},
		"unregistered":     {answer(200, `{"id":null,"slug":"x","access_level":"public"}`), Restricted, "another room"},
		"another room":     {answer(200, body(otherRoom, "public")), Restricted, "another room"},
		"no level":         {answer(200, `{"id":"`+roomID+`"}`), Restricted, "without its JSON"},
		"level of no word": {answer(200, `{"id":"`+roomID+`","access_level":true}`), Restricted, "without its JSON"},
		"garbage":          {answer(200, "<html>"+secretPIN), Restricted, "without its JSON"},
		"oversized":        {answer(200, body(roomID, "public")+long), Restricted, "more than"},
		"signed in only":   {answer(401, `{"detail":"`+secretPIN+`"}`), Restricted, "status 401"},
		"error":            {answer(500, secretPIN), Restricted, "status 500"},
		"throttled":        {answer(429, ""), Restricted, "no request for 1s"},
		"no http":          {hijack(secretPIN + "\r\n\r\n"), Restricted, "cannot be read"},
		"cut off":          {hijack("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), Restricted, "visio"},
		"wrong path": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(404)
		}, Restricted, "is directory.visio.url right"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, Restricted, "status 302"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			v, log := newVisio(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				if r.Method != http.MethodGet || r.URL.String() != "/api/v1.0/rooms/"+roomID+"/" || r.Header.Get("Authorization") != "" {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				c.handler(w, r)
			}, 5*time.Second)
			for range 3 {
				if got := v.Access(t.Context(), roomID); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
			if asked.Load() != 1 {
				t.Errorf("%d requests, want 1: the answer is kept, and so is the lack of one", asked.Load())
			}
			if c.log == "" && log.Len() > 0 || !strings.Contains(log.String(), c.log) {
				t.Errorf("log %q, want %q", log, c.log)
			}
			if strings.Contains(log.String(), "eyJ") {
				t.Error("the log tells a token")
			}
		})
	}
}

// A room that is none of Visio's is not asked about.
func TestVisioIsAskedForItsOwnRoomsOnly(t *testing.T) {
	v, _ := newVisio(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") }, time.Second)
	for _, room := range []string{"", "council", "..", strings.ToUpper(roomID), strings.ReplaceAll(roomID, "-", ""), roomID + "/", "{" + roomID + "}", "urn:uuid:" + roomID} {
		if got := v.Access(t.Context(), room); got != "" {
			t.Errorf("%q: got %q", room, got)
		}
	}
}

// A Visio that hangs holds callers no longer than its time, and is told to the log once, as is its return.
func TestVisioHangs(t *testing.T) {
	release := make(chan struct{})
	v, log := newVisio(t, func(w http.ResponseWriter, r *http.Request) {
		id := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/api/v1.0/rooms/"), "/")
		if id == roomID {
			<-release
		}
		answer(200, body(id, "public"))(w, r)
	}, 50*time.Millisecond)
	defer close(release)
	if got := v.Access(t.Context(), roomID); got != Restricted {
		t.Errorf("got %q", got)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if got := v.Access(gone, otherRoom); got != Restricted {
		t.Errorf("a caller who is gone got %q", got)
	}
	if _, kept := v.known.Get(otherRoom); kept {
		t.Error("a caller who hung up says something about Visio")
	}
	if got := v.Access(t.Context(), otherRoom); got != Public {
		t.Errorf("got %q", got)
	}
	if n := strings.Count(log.String(), "callers wait for a host"); n != 1 || !strings.Contains(log.String(), "Visio says again") {
		t.Errorf("the log says:\n%s", log)
	}
}

// Many callers of one room at once cost few requests.
func TestVisioCallersShare(t *testing.T) {
	var asked atomic.Int32
	v, _ := newVisio(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(200, body(roomID, "trusted"))(w, r)
	}, 5*time.Second)
	var callers sync.WaitGroup
	for range 200 {
		callers.Go(func() {
			if got := v.Access(t.Context(), roomID); got != Trusted {
				t.Errorf("got %q", got)
			}
		})
	}
	callers.Wait()
	if n := asked.Load(); n == 0 || n > maxAsking {
		t.Errorf("%d requests for 200 callers", n)
	}
}

// roundTripper answers without a network, so that time can be made.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Levels are asked for again when they are old, and a Visio that wants no request gets none.
func TestVisioForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _ := newVisioWith(t)
		status, level, asked := 200, "public", 0
		v.client.Transport = roundTripper(func(*http.Request) (*http.Response, error) {
			asked++
			return &http.Response{
				StatusCode: status, Header: http.Header{"Retry-After": {"60"}}, Body: io.NopCloser(strings.NewReader(body(roomID, level))),
			}, nil
		})
		expect := func(want string, requests int) {
			t.Helper()
			if got := v.Access(t.Context(), roomID); got != want || asked != requests {
				t.Errorf("got %q after %d requests, want %q after %d", got, asked, want, requests)
			}
		}
		expect(Public, 1)
		level = "restricted"
		time.Sleep(accessKept - time.Millisecond)
		expect(Public, 1)
		time.Sleep(time.Millisecond)
		expect(Restricted, 2)
		time.Sleep(accessKept)
		status = 429
		expect(Restricted, 3)
		status, level = 200, "public"
		time.Sleep(failureKept)
		expect(Restricted, 3) // it wanted none for a minute
		time.Sleep(time.Minute)
		expect(Public, 4)
	})
}

func newVisioWith(t *testing.T) (*Visio, *bytes.Buffer) {
	t.Helper()
	log, lines := recorder(t)
	v, err := NewVisio(configs.Visio{URL: "https://visio.example.org/api/v1.0"}, egress.New().DialContext, time.Second, log)
	if err != nil {
		t.Fatal(err)
	}
	return v, lines
}

// The chain says the level of the room that it found, whatever source knew it.
func TestChainSaysAccess(t *testing.T) {
	s := httptest.NewServer(answer(200, body(roomID, "trusted")))
	defer s.Close()
	path := filepath.Join(t.TempDir(), "rooms.yaml")
	if err := os.WriteFile(path, []byte("- {pin: 1234, room: council, classification: diffusion restreinte}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, _ := recorder(t)
	cfg := configs.Defaults().Directory
	cfg.File, cfg.Visio.URL = path, s.URL
	c, err := New(cfg, &fakeRules{list: []Rule{rule(secretPIN, roomID)}}, egress.New().DialContext, log)
	if err != nil {
		t.Fatal(err)
	}
	for pin, want := range map[string]bridge.RoomRef{
		secretPIN: {Name: roomID, Source: "livekit", Access: Trusted},
		"1234":    {Name: "council", Source: "file", Class: "diffusion restreinte"},
	} {
		if got, err := c.Find(t.Context(), pin); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	cfg.Visio.CAFile = path
	if _, err := New(cfg, &fakeRules{}, egress.New().DialContext, log); err == nil || !strings.Contains(err.Error(), "directory.visio: ca_file") {
		t.Errorf("rooms were taken for certificates: %v", err)
	}
}

// FuzzAccess: whatever answers, only a known word about the room that was asked for is a level.
func FuzzAccess(f *testing.F) {
	f.Add([]byte(body(roomID, "public")))
	f.Add([]byte(`{"id":null,"access_level":"public"}`))
	f.Add([]byte(`{"id":"` + roomID + `","access_level":["public"]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		level, err := parseAccess(b, roomID)
		if err == nil && (level == "" || !bytes.Contains(bytes.ToLower(b), []byte("access_level")) && !bytes.Contains(b, []byte(`\u`))) {
			t.Errorf("%q out of %q", level, b)
		}
	})
}
