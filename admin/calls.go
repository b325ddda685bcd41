package admin

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"passerelle/admin/tokens"
	"passerelle/bridge"
)

// Pages of lists.
const (
	usualPage = 100
	largePage = 1000
)

// callRoutes are the calls of this node, and those of them who wait.
func (a *api) callRoutes() []route {
	routes := []route{
		{path: "/api/v1/calls", role: tokens.Viewer, handle: a.listCalls},
		{method: http.MethodPost, path: "/api/v1/calls", role: tokens.Operator, audit: true, handle: a.beginCall},
		{path: "/api/v1/calls/{id}", role: tokens.Viewer, handle: a.showCall},
		{path: "/api/v1/lobby", role: tokens.Viewer, handle: a.listWaiting},
		{method: http.MethodPost, path: "/api/v1/calls/{id}/move", role: tokens.Operator, audit: true, handle: a.moveCall},
	}
	for _, v := range []bridge.Verb{bridge.End, bridge.Mute, bridge.Unmute, bridge.Admit, bridge.Refuse} {
		routes = append(routes, route{
			method: http.MethodPost, path: "/api/v1/calls/{id}/" + string(v), role: tokens.Operator, audit: true, handle: a.order(v),
		})
	}
	return routes
}

// callList is a page of calls, the latest first.
type callList struct {
	Calls []callView `json:"calls"`
	Next  string     `json:"next,omitempty"` // cursor of the next page
}

func (a *api) listCalls(_ http.ResponseWriter, r *http.Request, by *caller) (any, error) {
	q := newQuery(r.URL.RawQuery, "state", "room", "trunk", "protocol", "rule", "foreign", "limit", "cursor")
	state := q.oneOf("state", "ringing", "asking", "waiting", "joining", "talking", "ending")
	foreign, limit := q.yes("foreign"), q.number("limit", usualPage, 1, largePage)
	before := q.place("cursor")
	if err := q.err(); err != nil {
		return nil, err
	}
	calls := slices.DeleteFunc(a.Node.Calls(), func(c bridge.CallInfo) bool {
		for _, f := range [...]struct{ want, have string }{
			{state, c.State},
			{q.text("room"), c.Room},
			{q.text("trunk"), c.Trunk},
			{q.text("protocol"), c.Protocol},
			{q.text("rule"), c.Rule},
		} {
			if f.want != "" && f.want != f.have {
				return true
			}
		}
		return foreign != nil && *foreign != c.Foreign || before != nil && placeOf(c).compare(*before) >= 0
	})
	slices.SortFunc(calls, func(x, y bridge.CallInfo) int { return placeOf(y).compare(placeOf(x)) })
	list := callList{Calls: []callView{}}
	if len(calls) > limit {
		calls = calls[:limit]
		list.Next = placeOf(calls[limit-1]).cursor()
	}
	for _, c := range calls {
		list.Calls = append(list.Calls, viewCall(c, by.full()))
	}
	return list, nil
}

func (a *api) showCall(_ http.ResponseWriter, r *http.Request, by *caller) (any, error) {
	if err := newQuery(r.URL.RawQuery).err(); err != nil {
		return nil, err
	}
	c, ok := a.Node.Call(r.PathValue("id"))
	if !ok {
		return nil, noCall()
	}
	return callDetail{viewCall(c, by.full()), viewMedia(c)}, nil
}

// listWaiting lists who is in a lobby, the one who has called first first.
func (a *api) listWaiting(_ http.ResponseWriter, r *http.Request, by *caller) (any, error) {
	q := newQuery(r.URL.RawQuery, "room")
	if err := q.err(); err != nil {
		return nil, err
	}
	room, list := q.text("room"), callList{Calls: []callView{}}
	for _, c := range a.Node.Calls() {
		if c.State == "waiting" && (room == "" || c.Room == room) {
			list.Calls = append(list.Calls, viewCall(c, by.full()))
		}
	}
	return list, nil
}

// order makes the handler of a verb that needs nothing else.
func (a *api) order(v bridge.Verb) handler {
	return func(_ http.ResponseWriter, r *http.Request, by *caller) (any, error) {
		if err := decode(r, &struct{}{}, true); err != nil {
			return nil, err
		}
		return nil, a.tell(r, bridge.Order{Verb: v, By: by.token.Name})
	}
}

// target is the body of a move.
type target struct {
	Room string `json:"room"`
}

func (a *api) moveCall(_ http.ResponseWriter, r *http.Request, by *caller) (any, error) {
	var to target
	if err := decode(r, &to, false); err != nil {
		return nil, err
	}
	if to.Room = strings.TrimSpace(to.Room); to.Room == "" || !isText(to.Room) {
		return nil, invalid(fault{"room", fmt.Sprintf("expected the name of a room at the SFU, at most %d bytes on one line", maxText)})
	}
	by.fields["to"] = to.Room
	return nil, a.tell(r, bridge.Order{Verb: bridge.Move, Room: to.Room, By: by.token.Name})
}

// tell gives an order to a call.
func (a *api) tell(r *http.Request, o bridge.Order) error {
	if err := newQuery(r.URL.RawQuery).err(); err != nil {
		return err
	}
	err := a.Node.Do(r.Context(), r.PathValue("id"), o)
	switch {
	case err == nil, errors.Is(err, bridge.ErrNoCall), errors.Is(err, bridge.ErrNotNow), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return refuse(http.StatusBadGateway, "not-done", "The call was told and could not do it: %s. Look at the call and at the room, and try again.", clip(err.Error()))
}

// place is where a call stands in a list.
type place struct {
	began time.Time
	id    string
}

func placeOf(c bridge.CallInfo) place { return place{c.Began, c.ID} }

func (p place) compare(o place) int {
	return cmp.Or(p.began.Compare(o.began), strings.Compare(p.id, o.id))
}

// cursor is a place in a form that means nothing to clients.
func (p place) cursor() string {
	return base64.RawURLEncoding.EncodeToString(strconv.AppendInt(nil, p.began.UnixNano(), 36)) + "." + base64.RawURLEncoding.EncodeToString([]byte(p.id))
}

// place reads a cursor; nil where there is none.
func (q *query) place(name string) *place {
	v := q.values.Get(name)
	if v == "" {
		return nil
	}
	head, tail, _ := strings.Cut(v, ".")
	digits, err := base64.RawURLEncoding.DecodeString(head)
	id, err2 := base64.RawURLEncoding.DecodeString(tail)
	nanos, err3 := strconv.ParseInt(string(digits), 36, 64)
	if errors.Join(err, err2, err3) != nil {
		q.fault(name, "expected what an answer had under next")
		return nil
	}
	return &place{time.Unix(0, nanos), string(id)}
}
