package admin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"passerelle/admin/tokens"
	"passerelle/bridge"
)

// sse is one event as a reader gets it.
type sse struct{ id, kind, data string }

// feed is an open event stream.
type feed struct {
	t    *testing.T
	body io.ReadCloser
	in   *bufio.Scanner
}

// open opens a stream. header holds names and values.
func (r *rig) open(query string, role tokens.Role, header ...string) *feed {
	r.t.Helper()
	return r.openAs(query, r.secrets[role], header...)
}

func (r *rig) openAs(query, secret string, header ...string) *feed {
	r.t.Helper()
	req := r.request("GET", "/api/v1/events"+query, secret, "")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { resp.Body.Close() })
	theContract().check(r.t, req, "", answer{resp.StatusCode, resp.Header, nil})
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	f := &feed{r.t, resp.Body, bufio.NewScanner(resp.Body)}
	f.in.Buffer(nil, 1<<20)
	return f
}

// next reads one event, over comments. ok is false at the end of the stream.
func (f *feed) next() (e sse, ok bool) {
	f.t.Helper()
	for f.in.Scan() {
		name, value, _ := strings.Cut(f.in.Text(), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "data":
			e.data = value
		case "":
			if f.in.Text() == "" && e.kind != "" {
				f.check(e)
				return e, true
			}
		}
	}
	return e, false
}

// check holds the data of an event against the document.
func (f *feed) check(e sse) {
	f.t.Helper()
	var v any
	if err := json.Unmarshal([]byte(e.data), &v); err != nil {
		f.t.Errorf("%+v: %v", e, err)
	}
	switch e.kind {
	case "call.began", "call.changed", "call.ended":
		theContract().schema(f.t, "Event", v)
	case "end":
		theContract().schema(f.t, "StreamEnd", v)
	case "open", "reset":
	default:
		f.t.Errorf("%+v is not in the document", e)
	}
}

// expect reads one event of a kind, about a call where there is one.
func (f *feed) expect(kind, call string) sse {
	f.t.Helper()
	e, ok := f.next()
	var v eventView
	_ = json.Unmarshal([]byte(e.data), &v)
	if !ok || e.kind != kind || v.Call.ID != call {
		f.t.Fatalf("got %+v %v, want %s of %q", e, ok, kind, call)
	}
	return e
}

// change has the node tell something.
func (r *rig) change(kind, id, room string) {
	r.t.Helper()
	c := r.node.calls[0]
	c.ID, c.Room = id, room
	change := bridge.Change{Kind: kind, Call: c}
	if kind == "ended" {
		change.Reason = "hung_up"
	}
	select {
	case r.node.changes <- change:
	case <-time.After(10 * time.Second):
		r.t.Fatal("nobody takes what the node tells")
	}
}

func TestEvents(t *testing.T) {
	r := newRig(t, nil)
	viewer, admin := r.open("", tokens.Viewer), r.open("", tokens.Admin)
	viewer.expect("open", "")
	admin.expect("open", "")
	r.change("began", "c9", "")
	r.change("changed", "c9", "council")
	r.change("ended", "c9", "council")
	for f, full := range map[*feed]bool{viewer: false, admin: true} {
		for _, kind := range []string{"call.began", "call.changed", "call.ended"} {
			e := f.expect(kind, "c9")
			if strings.Contains(e.data, "+33612345678") != full || strings.Contains(e.data, "192.0.2.77") != full {
				t.Errorf("full %v: %s", full, e.data)
			}
			if strings.Contains(e.data, "hung_up") != (kind == "call.ended") {
				t.Errorf("%s", e.data)
			}
		}
	}
}

func TestEventsOfARoomOrCall(t *testing.T) {
	r := newRig(t, nil)
	room, call := r.open("?room=council", tokens.Viewer), r.open("?call=b", tokens.Viewer)
	room.expect("open", "")
	call.expect("open", "")
	r.change("began", "a", "other")
	r.change("began", "b", "council")
	r.change("changed", "a", "council") // comes
	r.change("changed", "b", "other")   // leaves
	r.change("changed", "b", "other")   // is gone
	r.change("ended", "a", "council")
	for _, want := range []string{"call.began b", "call.changed a", "call.changed b", "call.ended a"} {
		kind, id, _ := strings.Cut(want, " ")
		room.expect(kind, id)
	}
	for _, want := range []string{"call.began", "call.changed", "call.changed"} {
		call.expect(want, "b")
	}
	r.want(400, "query", "GET", "/api/v1/events?state=talking", tokens.Viewer, "")
}

func TestEventsThatWereMissed(t *testing.T) {
	r := newRig(t, nil)
	f := r.open("", tokens.Viewer)
	begin := f.expect("open", "").id
	r.change("began", "a", "")
	first := f.expect("call.began", "a").id
	f.body.Close()
	r.change("began", "b", "")
	r.change("began", "c", "")

	f = r.open("", tokens.Viewer, "Last-Event-ID", first)
	f.expect("call.began", "b")
	last := f.expect("call.began", "c").id
	if e := f.expect("open", ""); e.id != last {
		t.Errorf("open is at %s, the last event at %s", e.id, last)
	}
	f = r.open("?call=a", tokens.Viewer, "Last-Event-ID", begin)
	f.expect("call.began", "a")
	f.expect("open", "")
	for _, id := range []string{"nonsense", "other-1", last + "9", strings.Split(last, "-")[0] + "--1", strings.Repeat("9", 300), "-"} {
		r.open("", tokens.Viewer, "Last-Event-ID", id).expect("reset", "")
	}
	for range maxKept {
		r.change("changed", "a", "")
	}
	r.open("", tokens.Viewer, "Last-Event-ID", last).expect("call.changed", "a")
	r.open("", tokens.Viewer, "Last-Event-ID", first).expect("reset", "")
}

// A stream lives as long as its token, and no longer.
func TestStreamOfATokenThatGoes(t *testing.T) {
	var ahead atomic.Int64 // of the server's clock
	for name, end := range map[string]func(r *rig){
		"removed": func(r *rig) {
			if err := tokens.Remove(r.cfg.Tokens, "guest"); err != nil {
				t.Error(err)
			}
		},
		"expired": func(*rig) { ahead.Store(int64(2 * time.Hour)) },
		"file gone": func(r *rig) {
			if err := os.Remove(r.cfg.Tokens); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ahead.Store(0)
			r := newRig(t, func(r *rig) {
				r.make()
				r.server.api.pace.look = 5 * time.Millisecond
				r.server.api.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			})
			f := r.openAs("", r.addToken("guest", tokens.Viewer, time.Now().Add(time.Hour)))
			f.expect("open", "")
			end(r)
			if e := f.expect("end", ""); e.data != `{"reason":"token"}` {
				t.Errorf("%s", e.data)
			}
			if _, more := f.next(); more {
				t.Error("something comes after the end")
			}
			if name != "file gone" {
				r.open("", tokens.Viewer).expect("open", "") // of another token
			}
		})
	}
}

func TestStreamsEndWithTheNode(t *testing.T) {
	r := newRig(t, nil)
	f := r.open("", tokens.Viewer)
	f.expect("open", "")
	r.stop()
	if e := f.expect("end", ""); e.data != `{"reason":"shutdown"}` {
		t.Errorf("%+v", e)
	}
	if _, _, _, _, err := r.server.api.hub.enter("late", filter{}, ""); toProblem(err).Status != 503 {
		t.Errorf("who comes when all is over: %v", err)
	}
	if r.node.watching {
		t.Error("the node still tells")
	}
}

func TestTooManyStreams(t *testing.T) {
	r := newRig(t, nil)
	for i := range maxStreams / maxPerToken {
		secret := r.addToken(fmt.Sprint("t", i), tokens.Viewer, time.Time{})
		for range maxPerToken {
			r.openAs("", secret).expect("open", "")
		}
		r.expect(r.askAs("GET", "/api/v1/events", secret, ""), 429, "too-many-streams", "one more of a token")
	}
	r.want(429, "too-many-streams", "GET", "/api/v1/events", tokens.Admin, "")
	if a := r.ask("GET", "/metrics", "", ""); !strings.Contains(string(a.body), "passerelle_http_event_streams 128") {
		t.Error("the metrics do not tell how many there are")
	}
}

// silent opens a stream whose reader takes nothing until it is told to.
func (r *rig) silent() *net.TCPConn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.server.Addr())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", r.secrets[tokens.Viewer])
	until(r.t, "the stream is open", func() bool { return r.streams() > 0 })
	return c.(*net.TCPConn)
}

func (r *rig) streams() int {
	h := r.server.api.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.readers)
}

// unread is how many events the readers have before them.
func (r *rig) unread() (n int) {
	h := r.server.api.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	for in := range h.readers {
		n += len(in.events)
	}
	return n
}

// A reader that is too slow is cut, and told why if it reads on.
func TestSlowReaderIsCut(t *testing.T) {
	r := newRig(t, nil)
	c := r.silent()
	n := 0
	for ; r.streams() > 0; n++ {
		if n > 200_000 {
			t.Fatal("a reader that takes nothing is never cut")
		}
		r.change("changed", "a", "")
	}
	if n <= maxUnread {
		t.Errorf("cut after %d events, which fit in its queue", n)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasSuffix(string(body), "event: end\ndata: {\"reason\":\"too_slow\"}\n\n") {
		t.Errorf("%v: the stream ends with %q", err, body[max(0, len(body)-100):])
	}
	r.want(200, "", "GET", "/api/v1/calls", tokens.Viewer, "")
}

// A reader that takes nothing for longer than anything may take to be written is given up, with its connection.
func TestDeadReaderIsGivenUp(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.make()
		r.server.api.pace.write = 50 * time.Millisecond
	})
	if err := r.silent().SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	until(t, "the stream is given up", func() bool {
		for r.unread() < maxUnread/2 && r.streams() > 0 { // its queue never overflows
			r.change("changed", "a", "")
		}
		return r.streams() == 0
	})
	if a := r.ask("GET", "/metrics", "", ""); !strings.Contains(string(a.body), `passerelle_http_event_streams_ended_total{reason="too_slow"} 1`) {
		t.Error("the metrics do not tell")
	}
}

func TestHeartbeat(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.make()
		r.server.api.pace.beat = 5 * time.Millisecond
	})
	f := r.open("", tokens.Viewer)
	for beats := 0; beats < 3; {
		if !f.in.Scan() {
			t.Fatal("the stream ends")
		}
		if strings.HasPrefix(f.in.Text(), ":") {
			beats++
		}
	}
}

// Calls whose end the node did not tell are forgotten some day.
func TestHubIsBounded(t *testing.T) {
	h := newHub(newMetrics(prometheus.NewRegistry()), discard())
	for i := range maxKnown - 1 {
		h.rooms[fmt.Sprint(i)] = "x"
	}
	for i := range 2 * maxKept {
		h.publish(bridge.Change{Kind: "began", Call: bridge.CallInfo{ID: fmt.Sprint("new ", i), Room: "x"}})
	}
	if len(h.rooms) > 2*maxKept || len(h.kept) != maxKept {
		t.Errorf("%d rooms, %d events are kept", len(h.rooms), len(h.kept))
	}
}
