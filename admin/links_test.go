package admin

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"passerelle/admin/tokens"
	"passerelle/bridge/links"
)

// fakeLinks are links in memory.
type fakeLinks struct {
	mu     sync.Mutex
	list   []links.Link
	wishes []links.Wish
	broken error
}

func newFakeLinks() *fakeLinks {
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	link := func(id, room string) links.Link {
		return links.Link{ID: id, Room: room, Name: "Camille +33612345678", From: at, Until: at.AddDate(100, 0, 0), Made: at, By: "console"}
	}
	return &fakeLinks{list: []links.Link{link("acme-1", "council"), link("acme-2", "other/room")}}
}

func (f *fakeLinks) List(_ context.Context, room string) (list []links.Link, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.list {
		if room == "" || l.Room == room {
			list = append(list, l)
		}
	}
	return list, f.broken
}

func (f *fakeLinks) Create(_ context.Context, w links.Wish) (links.Link, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wishes = append(f.wishes, w)
	return links.Link{ID: "new", Room: w.Room, Until: w.Until, By: w.By}, "secret.token", f.broken
}

func (f *fakeLinks) Revoke(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, l := range f.list {
		if l.ID == id {
			f.list[i].Revoked = time.Now()
			return f.broken
		}
	}
	return links.ErrUnknown
}

// realKeeper is what a node has.
func realKeeper(t *testing.T) *links.Keeper {
	t.Helper()
	keys, err := links.OpenKeys(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	var db *sql.DB
	if db, err = links.OpenFile(filepath.Join(t.TempDir(), "links.db")); err != nil {
		t.Fatal(err)
	}
	k, err := links.Open(t.Context(), db, links.SQLite, keys, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

// A link is made, opens the room, is listed without what opens it, is taken back, and opens nothing any more. Its token is nowhere but in the answer.
func TestLinks(t *testing.T) {
	k := realKeeper(t)
	r := newRig(t, func(r *rig) {
		r.make()
		r.server.api.Links = k
	})
	until := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	var made newLink
	a := r.want(200, "", "POST", "/api/v1/links", tokens.Operator, fmt.Sprintf(
		`{"room":" council ","kind":"acme","title":"Budget","name":"Ana","ask_name":true,"lobby":true,"language":"fr","uses":3,"until":%q}`, until.Format(time.RFC3339)))
	a.into(t, &made)
	if !strings.HasPrefix(made.ID, "acme-") || made.State != "good" || made.Room != "council" || made.Uses != 3 || !made.Until.Equal(until) || made.By != "operator" {
		t.Errorf("%s", a.body)
	}
	token, ok := strings.CutPrefix(made.URL, "https://meet.example.org/#")
	if l, err := k.Check(t.Context(), token); !ok || err != nil || l.ID != made.ID || l.Title != "Budget" || l.Name != "Ana" || !l.AskName || !l.Lobby || l.Language != "fr" {
		t.Errorf("%s opens %+v: %v", made.URL, l, err)
	}
	if e := r.journal.last(); e.Actor != "operator" || e.Outcome != "done" || e.Fields["link"] != made.ID || e.Fields["to"] != "council" {
		t.Errorf("the record is %+v", e)
	}
	r.want(200, "", "POST", "/api/v1/links", tokens.Operator, `{"room":"elsewhere"}`)

	var list linkList
	a = r.want(200, "", "GET", "/api/v1/links?room=council", tokens.Viewer, "")
	if a.into(t, &list); len(list.Links) != 1 || list.Links[0].ID != made.ID || list.Links[0].State != "good" {
		t.Errorf("%s", a.body)
	}
	for range 2 {
		r.want(204, "", "DELETE", "/api/v1/links/"+made.ID, tokens.Operator, "")
		if e := r.journal.last(); e.Outcome != "done" || e.Fields["link"] != made.ID || e.Call != "" {
			t.Errorf("the record is %+v", e)
		}
	}
	if _, err := k.Check(t.Context(), token); err == nil {
		t.Error("a link that was taken back opens the room")
	}
	a = r.want(200, "", "GET", "/api/v1/links?room=council", tokens.Viewer, "")
	if a.into(t, &list); list.Links[0].State != "revoked" || list.Links[0].Revoked == nil {
		t.Errorf("%s", a.body)
	}
	r.want(404, "no-route", "DELETE", "/api/v1/links/"+token, tokens.Operator, "")
	r.want(404, "no-link", "DELETE", "/api/v1/links/"+token[len(token)-100:], tokens.Operator, "")
	if told := fmt.Sprint(r.journal.entries) + r.log.String() + string(a.body); strings.Contains(told, token[len(token)-40:]) {
		t.Error("the token was told to others than who made the link")
	}
}

func TestLinksThatCannotBe(t *testing.T) {
	k := realKeeper(t)
	r := newRig(t, func(r *rig) {
		r.make()
		r.server.api.Links = k
	})
	for _, body := range []string{
		`{}`, `{"room":" "}`, `{"room":5}`, `{"room":"` + strings.Repeat("x", 256) + `"}`, `{"room":"a","kind":"a b"}`, `{"room":"a","name":"\u0007"}`,
		`{"room":"a","uses":-1}`, `{"room":"a","uses":1e9}`, `{"room":"a","until":"2020-01-01T00:00:00Z"}`, `{"room":"a","until":"tomorrow"}`,
		`{"room":"a","until":"9999-01-01T00:00:00Z"}`, `{"room":"a","language":"F"}`, `{"room":"a","lobby":"yes"}`,
	} {
		r.want(422, "value", "POST", "/api/v1/links", tokens.Operator, body)
	}
	r.want(400, "body", "POST", "/api/v1/links", tokens.Operator, `{"room":"a","by":"somebody else"}`)
	r.want(404, "no-link", "DELETE", "/api/v1/links/nobody", tokens.Operator, "")
	if e := r.journal.last(); e.Outcome != "refused" || e.Fields["link"] != "nobody" {
		t.Errorf("the record is %+v", e)
	}
	if all, err := k.List(t.Context(), ""); err != nil || len(all) != 0 {
		t.Errorf("%v %v", all, err)
	}
}

// Who reads along sees no number in a guest's name.
func TestLinksMasked(t *testing.T) {
	r := newRig(t, nil)
	for role, want := range map[tokens.Role]string{tokens.Viewer: "Camille +336••••••78", tokens.Admin: "Camille +33612345678"} {
		var list linkList
		if r.want(200, "", "GET", "/api/v1/links", role, "").into(t, &list); len(list.Links) != 2 || list.Links[0].Name != want {
			t.Errorf("%s sees %+v", role, list)
		}
	}
}

func TestLinkState(t *testing.T) {
	at := time.Now()
	l := links.Link{From: at, Until: at.Add(time.Hour), Uses: 1}
	used, revoked := l, l
	used.Used, revoked.Revoked = 1, at
	for want, got := range map[string]string{
		"good": l.State(at), "early": l.State(at.Add(-1)), "over": l.State(at.Add(time.Hour)), "used_up": used.State(at), "revoked": revoked.State(at),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A database that does not answer is told, without what it says.
func TestLinksAway(t *testing.T) {
	r := newRig(t, nil)
	r.links.broken = fmt.Errorf("disk of the database is on fire")
	for _, c := range [][3]string{{"GET", "/api/v1/links"}, {"POST", "/api/v1/links", `{"room":"a"}`}, {"DELETE", "/api/v1/links/acme-1"}} {
		if a := r.want(503, "no-links", c[0], c[1], tokens.Operator, c[2]); strings.Contains(string(a.body), "fire") || !strings.Contains(r.log.String(), "fire") {
			t.Errorf("%s %s: %s", c[0], c[1], a.body)
		}
	}
}

func TestNoGuests(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.make()
		r.server.api.Links = nil
	})
	for _, c := range [][3]string{{"GET", "/api/v1/links"}, {"POST", "/api/v1/links", `{"room":"a"}`}, {"DELETE", "/api/v1/links/acme-1"}} {
		r.want(503, "no-guests", c[0], c[1], tokens.Operator, c[2])
	}
}
