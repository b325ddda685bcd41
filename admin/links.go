package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"passerelle/admin/tokens"
	"passerelle/bridge/links"
)

// Links are the ways in of guests. Implemented by *links.Keeper.
type Links interface {
	// List tells the links of a room, or of all rooms where it is empty, the latest first, 1,000 at most.
	List(ctx context.Context, room string) ([]links.Link, error)
	// Create makes a link and its token. The error wraps links.ErrInvalid where the wish is at fault.
	Create(ctx context.Context, w links.Wish) (links.Link, string, error)
	// Revoke takes a link back by its id; links.ErrUnknown: there is none. Taking back twice is no error.
	Revoke(ctx context.Context, id string) error
}

// maxLinkID is the longest id of a link. What is longer may be a token, and is neither looked up nor recorded.
const maxLinkID = 80

// linkRoutes are the links by which guests come.
func (a *api) linkRoutes() []route {
	return []route{
		{path: "/api/v1/links", role: tokens.Viewer, handle: a.listLinks},
		{method: http.MethodPost, path: "/api/v1/links", role: tokens.Operator, audit: true, handle: a.createLink},
		{method: http.MethodDelete, path: "/api/v1/links/{link}", role: tokens.Operator, audit: true, handle: a.revokeLink},
	}
}

// linkView is a link without what opens it.
type linkView struct {
	ID       string     `json:"id"`
	State    string     `json:"state"`
	Room     string     `json:"room"`
	Title    string     `json:"title"`
	Name     string     `json:"name"`
	AskName  bool       `json:"ask_name"`
	Lobby    bool       `json:"lobby"`
	Language string     `json:"language"`
	From     time.Time  `json:"from"`
	Until    time.Time  `json:"until"`
	Uses     int        `json:"uses"` // 0: any number
	Used     int        `json:"used"`
	Made     time.Time  `json:"made"`
	By       string     `json:"by"`
	Revoked  *time.Time `json:"revoked,omitempty"`
}

func (a *api) viewLink(l links.Link, full bool) linkView {
	v := linkView{
		ID: l.ID, State: l.State(a.now()), Room: l.Room, Title: l.Title, Name: l.Name, AskName: l.AskName, Lobby: l.Lobby, Language: l.Language,
		From: l.From.UTC(), Until: l.Until.UTC(), Uses: l.Uses, Used: l.Used, Made: l.Made.UTC(), By: l.By,
	}
	if !full {
		v.Name = mask(l.Name)
	}
	if !l.Revoked.IsZero() {
		at := l.Revoked.UTC()
		v.Revoked = &at
	}
	return v
}

// linkList is the links of a room, or all, the latest first.
type linkList struct {
	Links []linkView `json:"links"`
}

func (a *api) listLinks(_ http.ResponseWriter, r *http.Request, by *caller) (any, error) {
	q := newQuery(r.URL.RawQuery, "room")
	if err := q.err(); err != nil {
		return nil, err
	}
	if a.Links == nil {
		return nil, noGuests()
	}
	all, err := a.Links.List(r.Context(), q.text("room"))
	if err != nil {
		return nil, a.linksFailed(err)
	}
	list := linkList{Links: make([]linkView, len(all))}
	for i, l := range all {
		list.Links[i] = a.viewLink(l, by.full())
	}
	return list, nil
}

// linkWish is the body of a request for a link.
type linkWish struct {
	Kind     string    `json:"kind"`
	Room     string    `json:"room"`
	Title    string    `json:"title"`
	Name     string    `json:"name"`
	AskName  bool      `json:"ask_name"`
	Lobby    bool      `json:"lobby"`
	Language string    `json:"language"`
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`
	Uses     int       `json:"uses"`
}

// newLink is a link with the address that a guest opens. Nobody can get it a second time.
type newLink struct {
	linkView
	URL string `json:"url"`
}

func (a *api) createLink(_ http.ResponseWriter, r *http.Request, by *caller) (any, error) {
	if err := newQuery(r.URL.RawQuery).err(); err != nil {
		return nil, err
	}
	var w linkWish
	if err := decode(r, &w, false); err != nil {
		return nil, err
	}
	if a.Links == nil {
		return nil, noGuests()
	}
	l, token, err := a.Links.Create(r.Context(), links.Wish{
		Kind: w.Kind, Room: strings.TrimSpace(w.Room), Title: w.Title, Name: w.Name, AskName: w.AskName, Lobby: w.Lobby, Language: w.Language,
		From: w.From, Until: w.Until, Uses: w.Uses, By: by.token.Name,
	})
	switch {
	case errors.Is(err, links.ErrInvalid):
		return nil, invalid(fault{"", clip(err.Error())})
	case err != nil:
		return nil, a.linksFailed(err)
	}
	by.fields["link"], by.fields["to"], by.fields["until"] = l.ID, l.Room, l.Until.UTC().Format(time.RFC3339)
	return newLink{a.viewLink(l, true), links.URL(a.LinkBase, token)}, nil
}

func (a *api) revokeLink(_ http.ResponseWriter, r *http.Request, by *caller) (any, error) {
	if err := newQuery(r.URL.RawQuery).err(); err != nil {
		return nil, err
	}
	if a.Links == nil {
		return nil, noGuests()
	}
	id := r.PathValue("link")
	if len(id) > maxLinkID {
		return nil, noLink()
	}
	by.fields["link"] = id
	err := a.Links.Revoke(r.Context(), id)
	switch {
	case errors.Is(err, links.ErrUnknown):
		return nil, noLink()
	case err != nil:
		return nil, a.linksFailed(err)
	}
	return nil, nil
}

func noLink() error {
	return refuse(http.StatusNotFound, "no-link", "There is no link with this id. List those that there are with GET /api/v1/links; "+
		"one that was made elsewhere and not used yet is taken back with `passerelle link revoke`.")
}

func noGuests() error {
	return refuse(http.StatusServiceUnavailable, "no-guests", "This node lets no guests in: guests.listen is not set in its configuration.")
}

// linksFailed is the problem of a database that does not do its part.
func (a *api) linksFailed(err error) error {
	a.log.Error("the links cannot be reached", "error", err)
	return refuse(http.StatusServiceUnavailable, "no-links", "The database of links does not answer. Look at it and at the node's log, and try again.")
}
