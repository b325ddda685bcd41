package federation

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"passerelle/bridge"
)

// scheme begins the address of a room of another site.
const scheme = "livekit"

// maxRoom is the longest name of a far room, in bytes.
const maxRoom = 255

// parse reads livekit://SITE/ROOM. What is special in a room's name is written as in any URL (RFC 3986, section 2.1). The error wraps
// bridge.ErrNoTarget.
func parse(to string) (site, room string, err error) {
	wrong := func(what string) (string, string, error) {
		return "", "", fmt.Errorf("%w: %s: expected livekit://SITE/ROOM", bridge.ErrNoTarget, what)
	}
	if len(to) > 4*maxRoom {
		return wrong("the address is too long")
	}
	u, err := url.Parse(to)
	if err != nil {
		return wrong("this is no address")
	}
	room = strings.TrimPrefix(u.Path, "/")
	switch {
	case u.Scheme != scheme:
		return wrong("calls go to rooms of other LiveKit sites only")
	case u.Hostname() == "" || u.Host != u.Hostname() || u.User != nil:
		return wrong("the site is named as in the configuration, without a port or a user")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(to, "#"):
		return wrong("nothing follows the room: write ? as %3F and # as %23")
	case room == "" || len(room) > maxRoom || !utf8.ValidString(room) || strings.ContainsFunc(room, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return wrong(fmt.Sprintf("a room has a name of up to %d bytes on one line", maxRoom))
	}
	return u.Host, room, nil
}

// address is the address of a room: parse's counterpart.
func address(site, room string) string { return scheme + "://" + site + "/" + url.PathEscape(room) }
