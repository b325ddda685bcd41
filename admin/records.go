package admin

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"passerelle/admin/tokens"
	"passerelle/bridge/journal"
)

// Records finds what the journal has. Implemented by journal.Store.
type Records interface {
	// Search finds records, the newest first. next is the cursor of the page after this one; empty: this is the last. What is wrong with a query
	// is journal.ErrQuery.
	Search(ctx context.Context, q journal.Query) (page []journal.Record, next string, err error)
}

// journalRoutes are the record.
func (a *api) journalRoutes() []route {
	return []route{{path: "/api/v1/journal", role: tokens.Admin, audit: true, handle: a.search}}
}

// recordList is a page of records, the newest first.
type recordList struct {
	Records []recordView `json:"records"`
	Next    string       `json:"next,omitempty"` // cursor of the next page
}

// recordView is one record of the journal.
type recordView struct {
	Node      string            `json:"node"`
	Seq       uint64            `json:"seq"`
	Time      time.Time         `json:"time"`
	Kind      string            `json:"kind"`
	Call      string            `json:"call"`
	Actor     string            `json:"actor"`
	Room      string            `json:"room"`
	Rule      string            `json:"rule"`
	Outcome   string            `json:"outcome"`
	Caller    string            `json:"caller"`
	Called    string            `json:"called"`
	Address   string            `json:"address"`
	Shortened bool              `json:"shortened"` // what is personal has lost its end
	Foreign   bool              `json:"foreign"`
	Fields    map[string]string `json:"fields"`
	Hash      string            `json:"hash"`
}

func viewRecord(r journal.Record) recordView {
	v := recordView{
		Node: r.Node, Seq: r.Seq, Time: r.Time.UTC(), Kind: string(r.Kind), Call: r.Call, Actor: r.Actor, Room: r.Room, Rule: r.Rule, Outcome: r.Outcome,
		Caller: r.Caller, Called: r.Called, Address: r.Address, Shortened: r.Shortened, Foreign: r.Foreign, Fields: r.Fields, Hash: hex.EncodeToString(r.Hash[:]),
	}
	if v.Fields == nil {
		v.Fields = map[string]string{}
	}
	return v
}

func (a *api) search(_ http.ResponseWriter, r *http.Request, _ *caller) (any, error) {
	q := newQuery(r.URL.RawQuery, "from", "to", "kind[]", "node", "call", "actor", "room", "rule", "outcome", "caller", "foreign", "limit", "cursor")
	want := journal.Query{
		From: q.time("from"), To: q.time("to"), Node: q.text("node"), Call: q.text("call"), Actor: q.text("actor"), Room: q.text("room"),
		Rule: q.text("rule"), Outcome: q.text("outcome"), Caller: q.text("caller"), Foreign: q.yes("foreign"),
		Limit: q.number("limit", usualPage, 1, largePage), Cursor: q.text("cursor"),
	}
	for _, k := range q.values["kind"] {
		want.Kinds = append(want.Kinds, among(q, "kind", k, journal.Kinds()))
	}
	if err := q.err(); err != nil {
		return nil, err
	}
	if a.Records == nil {
		return nil, refuse(http.StatusServiceUnavailable, "no-journal", "This node keeps no journal: journal.url is off in its configuration.")
	}
	page, next, err := a.Records.Search(r.Context(), want)
	switch {
	case errors.Is(err, journal.ErrQuery):
		return nil, refuse(http.StatusBadRequest, "query", "The query is wrong: %s.", clip(err.Error()))
	case err != nil:
		a.log.Error("the journal cannot be searched", "error", err)
		return nil, refuse(http.StatusServiceUnavailable, "no-journal", "The journal does not answer. Look at its database and at the node's log, and try again.")
	}
	list := recordList{Records: make([]recordView, len(page)), Next: next}
	for i, rec := range page {
		list.Records[i] = viewRecord(rec)
	}
	return list, nil
}
