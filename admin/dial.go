package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"passerelle/bridge"
)

// Dialer begins calls. Implemented by *federation.Server.
type Dialer interface {
	// Dial has a room of ours joined with what is at an address, and returns the call's id when the far end is there, or why it is not. When ctx ends
	// first the call goes on. Errors: bridge.ErrNoTarget, bridge.ErrJoined, and the reasons for which calls end.
	Dial(ctx context.Context, to, room string) (id string, err error)
}

// maxAddress is the longest address that can be called, in bytes.
const maxAddress = 1024

// newCall is the body of a request for a call.
type newCall struct {
	To   string `json:"to"`
	Room string `json:"room"`
}

// begun is a call that has begun.
type begun struct {
	ID string `json:"id"`
}

func (a *api) beginCall(_ http.ResponseWriter, r *http.Request, by *caller) (any, error) {
	if err := newQuery(r.URL.RawQuery).err(); err != nil {
		return nil, err
	}
	var c newCall
	if err := decode(r, &c, false); err != nil {
		return nil, err
	}
	if c.Room = strings.TrimSpace(c.Room); c.Room == "" || !isText(c.Room) {
		return nil, invalid(fault{"room", fmt.Sprintf("expected the name of a room at the SFU, at most %d bytes on one line", maxText)})
	}
	if c.To == "" || len(c.To) > maxAddress {
		return nil, invalid(fault{"to", fmt.Sprintf("expected an address such as livekit://SITE/ROOM, at most %d bytes", maxAddress)})
	}
	if a.Dialer == nil {
		return nil, refuse(http.StatusServiceUnavailable, "no-sites", "This node calls nobody: there are no sites in its configuration.")
	}
	by.fields["to"], by.fields["from"] = clip(c.To), c.Room
	id, err := a.Dialer.Dial(r.Context(), c.To, c.Room)
	if id != "" {
		by.fields["call"] = id
	}
	if err != nil {
		return nil, notBegun(err)
	}
	return begun{id}, nil
}

// notBegun tells why there is no call.
func notBegun(err error) error {
	var refused *bridge.Refused
	switch {
	case errors.Is(err, bridge.ErrNoTarget):
		return invalid(fault{"to", clip(err.Error())})
	case errors.Is(err, bridge.ErrJoined):
		return refuse(http.StatusConflict, "joined", "These rooms are joined already. List the calls with GET /api/v1/calls?protocol=livekit.")
	case errors.Is(err, bridge.ErrBusy), errors.Is(err, bridge.ErrDraining), errors.Is(err, bridge.ErrUnavailable):
		return refuse(http.StatusServiceUnavailable, "full", "The node takes no such call now: %s. Look at /api/v1/node, and try again later.", clip(err.Error()))
	case errors.As(err, &refused), errors.Is(err, bridge.ErrForbidden), errors.Is(err, bridge.ErrNotEncrypted), errors.Is(err, bridge.ErrNoCodec):
		return refuse(http.StatusForbidden, "not-granted", "The call may not be: %s. POST /api/v1/rules/explain tells what the rules say.", clip(err.Error()))
	}
	return refuse(http.StatusBadGateway, "not-begun", "The call was tried and did not come about: %s. The node's log tells more.", clip(err.Error()))
}
