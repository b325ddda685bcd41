package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"passerelle/admin/tokens"
	"passerelle/bridge"
)

// ids lists the calls of an answer.
func ids(t *testing.T, a answer) (list []string, next string) {
	t.Helper()
	var l callList
	a.into(t, &l)
	for _, c := range l.Calls {
		list = append(list, c.ID)
	}
	return list, l.Next
}

func TestListCalls(t *testing.T) {
	r := newRig(t, nil)
	for query, want := range map[string]string{
		"":                             "c4 c3 c2 c1",
		"?state=talking":               "c3 c1",
		"?room=council":                "c2 c1",
		"?room=council&state=waiting":  "c2",
		"?room=other%2Froom":           "c3",
		"?foreign=true":                "c3",
		"?foreign=false&state=talking": "c1",
		"?protocol=webrtc":             "c3",
		"?trunk=carrier&limit=2":       "c4 c3",
		"?trunk=nobody":                "",
		"?rule=carrier":                "c4 c3 c2 c1",
	} {
		if got, _ := ids(t, r.want(200, "", "GET", "/api/v1/calls"+query, tokens.Viewer, "")); strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", query, got, want)
		}
	}
	if got, _ := ids(t, r.want(200, "", "GET", "/api/v1/lobby", tokens.Viewer, "")); !slices.Equal(got, []string{"c2"}) {
		t.Errorf("the lobby has %v", got)
	}
	if got, _ := ids(t, r.want(200, "", "GET", "/api/v1/lobby?room=x", tokens.Viewer, "")); len(got) != 0 {
		t.Errorf("the lobby of no room has %v", got)
	}
	for _, query := range []string{"?state=sleeping", "?foreign=1", "?limit=0", "?limit=1001", "?limit=x", "?cursor=x", "?cursor=%2e", "?room=a&room=b", "?x=y", "?room=%zz", "?room=a;b", "?room=" + strings.Repeat("x", 257), "?room=%00"} {
		r.want(400, "query", "GET", "/api/v1/calls"+query, tokens.Viewer, "")
	}
}

// Pages show every call that stays once, even when others begin and end in between.
func TestPagesOfCalls(t *testing.T) {
	r := newRig(t, nil)
	r.node.mu.Lock()
	r.node.calls = nil
	at := time.Unix(1_700_000_000, 0)
	for i := range 50 {
		r.node.calls = append(r.node.calls, bridge.CallInfo{ID: fmt.Sprintf("id-%02d", i), State: "talking", Began: at.Add(time.Duration(i/5) * time.Second)})
	}
	r.node.mu.Unlock()
	var all []string
	for next, page := "", 0; ; page++ {
		got, more := ids(t, r.want(200, "", "GET", "/api/v1/calls?limit=7&cursor="+url.QueryEscape(next), tokens.Viewer, ""))
		all = append(all, got...)
		if next = more; next == "" {
			break
		}
		r.node.mu.Lock() // one more, and one less: the last that was shown
		r.node.calls = append(r.node.calls, bridge.CallInfo{ID: fmt.Sprintf("new-%02d", page), State: "ringing", Began: at.Add(time.Hour)})
		r.node.calls = slices.DeleteFunc(r.node.calls, func(c bridge.CallInfo) bool { return c.ID == got[len(got)-1] })
		r.node.mu.Unlock()
	}
	if len(all) != 50 || !slices.IsSortedFunc(all, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("%d calls: %v", len(all), all)
	}
}

func TestShowCall(t *testing.T) {
	r := newRig(t, nil)
	for role, want := range map[tokens.Role][4]string{
		tokens.Viewer:   {"+336••••••78", "Camille +336••••••78", "+331••••••00", "192.0.2.0/24"},
		tokens.Operator: {"+336••••••78", "Camille +336••••••78", "+331••••••00", "192.0.2.0/24"},
		tokens.Admin:    {"+33612345678", "Camille +33612345678", "+33145678900", "192.0.2.77"},
	} {
		var c callDetail
		a := r.want(200, "", "GET", "/api/v1/calls/c1", role, "")
		a.into(t, &c)
		if got := [4]string{c.Number, c.Name, c.Called, c.Source}; got != want {
			t.Errorf("%s sees %q", role, got)
		}
		if role != tokens.Admin && (strings.Contains(string(a.body), "12345678") || strings.Contains(string(a.body), ".77")) {
			t.Errorf("%s sees a number or address: %s", role, a.body)
		}
		if c.Media.JitterMS != 1.234 || c.Media.RoundTripMS != 20 || c.Media.Chain != "PCMA → mix → Opus" || c.Media.Lost != 1 {
			t.Errorf("%+v", c.Media)
		}
	}
	for _, id := range []string{"nobody", "c1%20", "%2e%2e", strings.Repeat("x", 256)} {
		r.want(404, "no-call", "GET", "/api/v1/calls/"+id, tokens.Viewer, "")
	}
	for _, id := range []string{"%00", "%ff", strings.Repeat("x", 257)} {
		r.want(404, "no-route", "GET", "/api/v1/calls/"+id, tokens.Viewer, "")
	}
}

func TestRooms(t *testing.T) {
	r := newRig(t, nil)
	var list roomList
	r.want(200, "", "GET", "/api/v1/rooms", tokens.Viewer, "").into(t, &list)
	if len(list.Rooms) != 2 || list.Rooms[0] != (roomView{"council", 3, 2, 1, 1, false}) || !list.Rooms[1].Away {
		t.Errorf("%+v", list)
	}
	for path, want := range map[string]string{"council": "c1 c2", "other%2Froom": "c3"} {
		var d roomDetail
		r.want(200, "", "GET", "/api/v1/rooms/"+path, tokens.Viewer, "").into(t, &d)
		var got []string
		for _, c := range d.Members {
			got = append(got, c.ID)
			if strings.Contains(c.Number, "12345678") {
				t.Errorf("a viewer sees %s", c.Number)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	r.want(404, "no-room", "GET", "/api/v1/rooms/counci", tokens.Viewer, "")
}

func TestOrders(t *testing.T) {
	r := newRig(t, nil)
	for _, verb := range []bridge.Verb{bridge.End, bridge.Mute, bridge.Unmute, bridge.Admit, bridge.Refuse} {
		for _, body := range []string{"", "{}"} {
			r.want(204, "", "POST", "/api/v1/calls/c2/"+string(verb), tokens.Operator, body)
			orders := r.node.taken()
			if got := orders[len(orders)-1]; got != (told{"c2", bridge.Order{Verb: verb, By: "operator"}}) {
				t.Errorf("%s: the call was told %+v", verb, got)
			}
			if e := r.journal.last(); e.Actor != "operator" || e.Call != "c2" || e.Outcome != "done" || e.Fields["route"] != "/api/v1/calls/{id}/"+string(verb) || e.Address != "127.0.0.1" {
				t.Errorf("%s: the record is %+v", verb, e)
			}
		}
	}
	r.want(204, "", "POST", "/api/v1/calls/c1/move", tokens.Operator, `{"room":" other "}`)
	orders := r.node.taken()
	if got := orders[len(orders)-1]; got != (told{"c1", bridge.Order{Verb: bridge.Move, Room: "other", By: "operator"}}) {
		t.Errorf("the call was told %+v", got)
	}
	if e := r.journal.last(); e.Fields["to"] != "other" {
		t.Errorf("the record is %+v", e)
	}
	before := len(orders)
	for body, word := range map[string]string{
		`{}`: "value", `{"room":""}`: "value", `{"room":" "}`: "value", `{"room":5}`: "value", `{"room":null}`: "value", `{"room":"` + strings.Repeat("x", 257) + `"}`: "value",
		`{"room":"a\u0000"}`: "value",
	} {
		r.want(422, word, "POST", "/api/v1/calls/c1/move", tokens.Operator, body)
	}
	for _, body := range []string{`{"room":"a"} {}`, `{"room":"a"}x`, `{"Room":"a","x":1}`, `{"room":"a"`, "\x00", "null null"} {
		r.want(400, "body", "POST", "/api/v1/calls/c1/move", tokens.Operator, body)
	}
	r.want(400, "body", "POST", "/api/v1/calls/c1/move", tokens.Operator, "")
	if n := len(r.node.taken()); n != before {
		t.Errorf("%d orders were given that should not have been", n-before)
	}
}

func TestOrdersThatCannotBe(t *testing.T) {
	r := newRig(t, nil)
	r.want(404, "no-call", "POST", "/api/v1/calls/nobody/end", tokens.Operator, "")
	for _, c := range []struct {
		err    error
		status int
		word   string
	}{
		{fmt.Errorf("%w: ringing", bridge.ErrNotNow), 409, "not-now"},
		{fmt.Errorf("%w any more", bridge.ErrNoCall), 404, "no-call"},
		{fmt.Errorf("%w: line one\nline two", bridge.ErrSFU), 502, "not-done"},
		{context.DeadlineExceeded, 503, "no-answer"},
	} {
		r.node.respond(func(context.Context, string, bridge.Order) error { return c.err })
		a := r.want(c.status, c.word, "POST", "/api/v1/calls/c1/mute", tokens.Operator, "")
		e := r.journal.last()
		if want := map[bool]string{true: "failed", false: "refused"}[c.status >= 500]; e.Outcome != want || e.Fields["problem"] != c.word {
			t.Errorf("%v: the record is %+v", c.err, e)
		}
		if a.header.Get("X-Request-Id") != a.problem().ID || e.Fields["request"] != a.problem().ID || a.problem().ID == "" {
			t.Errorf("the ids of the request differ: %v, %s, %+v", a.header, a.body, e)
		}
	}
}

// A fault of ours shows in the log and in the record, and takes nothing else with it.
func TestPanic(t *testing.T) {
	r := newRig(t, nil)
	r.node.respond(func(context.Context, string, bridge.Order) error { panic("secret innards") })
	a := r.want(http.StatusInternalServerError, "internal", "POST", "/api/v1/calls/c1/end", tokens.Operator, "")
	if strings.Contains(string(a.body), "innards") {
		t.Errorf("the answer tells %s", a.body)
	}
	if !strings.Contains(r.log.String(), "innards") || !strings.Contains(r.log.String(), a.problem().ID) {
		t.Error("the log does not tell")
	}
	if e := r.journal.last(); e.Outcome != "failed" {
		t.Errorf("%+v", e)
	}
	r.want(200, "", "GET", "/api/v1/calls", tokens.Viewer, "")
}

func TestNode(t *testing.T) {
	r := newRig(t, func(r *rig) { r.load = bridge.Load{Share: 0.5, Headroom: 7, Draining: true} })
	var n nodeView
	r.want(200, "", "GET", "/api/v1/node", tokens.Viewer, "").into(t, &n)
	if n.Name != "gw1" || n.Version != "1.2.3" || n.Calls != 4 || n.Rooms != 2 || n.Load != 0.5 || n.Headroom != 7 || !n.Draining || n.UptimeS > 60 || n.Began.IsZero() {
		t.Errorf("%+v", n)
	}
}

func TestJournal(t *testing.T) {
	r := newRig(t, nil)
	for range 5 {
		r.want(204, "", "POST", "/api/v1/calls/c1/mute", tokens.Operator, "")
	}
	var seen int
	for next := ""; ; {
		var page recordList
		r.want(200, "", "GET", "/api/v1/journal?limit=2&kind=admin&kind=config&foreign=false&from=2026-01-01T00:00:00Z&cursor="+next, tokens.Admin, "").into(t, &page)
		for _, rec := range page.Records {
			if rec.Fields["route"] == "/api/v1/calls/{id}/mute" {
				seen++
			}
		}
		if next = page.Next; next == "" {
			break
		}
	}
	if seen != 5 {
		t.Errorf("%d records of what was done, want 5", seen)
	}
	q := r.journal.asked[0]
	if len(q.Kinds) != 2 || q.Foreign == nil || *q.Foreign || q.From.Year() != 2026 || q.Limit != 2 {
		t.Errorf("asked %+v", q)
	}
	if e := r.journal.last(); e.Actor != "admin" || e.Fields["route"] != "/api/v1/journal" || e.Outcome != "done" {
		t.Errorf("reading is not recorded: %+v", e)
	}
	for _, query := range []string{"?kind=x", "?from=yesterday", "?limit=5000", "?cursor=x", "?foreign=no", "?kind=" + strings.Repeat("call&kind=", 10) + "call"} {
		r.want(400, "query", "GET", "/api/v1/journal"+query, tokens.Admin, "")
	}
	r.want(403, "role", "GET", "/api/v1/journal", tokens.Operator, "")
	r.journal.mu.Lock()
	r.journal.broken = errors.New("disk of the database is on fire")
	r.journal.mu.Unlock()
	if a := r.want(503, "no-journal", "GET", "/api/v1/journal", tokens.Admin, ""); strings.Contains(string(a.body), "fire") || !strings.Contains(r.log.String(), "fire") {
		t.Errorf("%s", a.body)
	}
}

func TestNoJournal(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.make()
		r.server.api.Records = nil
	})
	r.want(503, "no-journal", "GET", "/api/v1/journal", tokens.Admin, "")
}
