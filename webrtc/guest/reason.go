package guest

import (
	"errors"
	"net/http"
	"slices"

	"passerelle/bridge"
	"passerelle/bridge/links"
)

// What happens to guests besides what the bridge knows.
var (
	errSession   = errors.New("the session is over, or of another gateway")
	errTakenOver = errors.New("the session was opened in another tab")
	errVersion   = errors.New("the page speaks another version")
	errConsent   = errors.New("the notice was not agreed to")
	errTooMany   = errors.New("too much from this address")
	errOrigin    = errors.New("a page of somewhere else")
	errNotNow    = errors.New("not in this state")
	errGuest     = errors.New("the page said what no page says")
	errMethod    = errors.New("there is no such method here")
	errMedia     = errors.New("another media type is needed")
	errNoTag     = errors.New("If-Match is missing")
	errOldTag    = errors.New("the ICE session is another one by now")
	errNoBearer  = errors.New("no bearer token")
	errRoom      = errors.New("the link is for another room")
)

// verdict is what the world outside is told of an error: the one place where that is decided.
type verdict struct {
	code   string // of docs/signalling.md
	status int    // HTTP
	title  string
	retry  bool // the same link may work later
}

// judge finds the verdict on an error.
func judge(err error) verdict {
	for _, v := range [...]struct {
		err error
		verdict
	}{
		{links.ErrWrong, verdict{"link_wrong", http.StatusNotFound, "This is no link of this gateway", false}},
		{links.ErrEarly, verdict{"link_early", http.StatusForbidden, "The link is not valid yet", true}},
		{links.ErrExpired, verdict{"link_expired", http.StatusGone, "The link is over", false}},
		{links.ErrRevoked, verdict{"link_revoked", http.StatusGone, "The link was taken back", false}},
		{links.ErrUsedUp, verdict{"link_used_up", http.StatusGone, "The link has been used as often as it may", false}},
		{errSession, verdict{"session_unknown", http.StatusNotFound, "The session is over", true}},
		{errTakenOver, verdict{"taken_over", http.StatusConflict, "The session was opened elsewhere", false}},
		{errVersion, verdict{"version", http.StatusBadRequest, "Another version of the page is needed", true}},
		{errTooMany, verdict{"too_many", http.StatusTooManyRequests, "Too much from this address", true}},
		{errOrigin, verdict{"origin", http.StatusForbidden, "Not from this page", false}},
		{errOffer, verdict{"malformed", http.StatusBadRequest, "The offer cannot be taken", false}},
		{errMalformed, verdict{"malformed", http.StatusBadRequest, "The request cannot be understood", false}},
		{errTooLarge, verdict{"malformed", http.StatusRequestEntityTooLarge, "The request is too large", false}},
		{errMedia, verdict{"malformed", http.StatusUnsupportedMediaType, "The content is of another kind", false}},
		{errMethod, verdict{"method", http.StatusMethodNotAllowed, "This is not done here", false}},
		{errNoTag, verdict{"precondition", http.StatusPreconditionRequired, "If-Match is missing", false}},
		{errOldTag, verdict{"precondition", http.StatusPreconditionFailed, "The ICE session is another one by now", false}},
		{errNoBearer, verdict{"link_wrong", http.StatusUnauthorized, "A link is needed", false}},
		{errRoom, verdict{"link_wrong", http.StatusForbidden, "The link is for another room", false}},
		{errGuest, verdict{"signalling", http.StatusBadRequest, "The page said what no page says", true}},
		{bridge.ErrForbidden, verdict{"forbidden", http.StatusForbidden, "The rules refuse it", false}},
		{bridge.ErrNotEncrypted, verdict{"not_encrypted", http.StatusForbidden, "The rules want encryption", false}},
		{bridge.ErrBusy, verdict{"busy", http.StatusServiceUnavailable, "There is no place left", true}},
		{bridge.ErrUnavailable, verdict{"unavailable", http.StatusServiceUnavailable, "Not to be decided for now", true}},
		{bridge.ErrDraining, verdict{"draining", http.StatusServiceUnavailable, "The gateway is shutting down", true}},
		{bridge.ErrStopped, verdict{"stopped", http.StatusServiceUnavailable, "The gateway is shutting down", true}},
		{bridge.ErrNoCodec, verdict{"no_codec", http.StatusNotAcceptable, "No format in common", false}},
	} {
		if errors.Is(err, v.err) {
			return v.verdict
		}
	}
	v := verdict{code: bridge.Label(err), status: http.StatusInternalServerError, title: "It did not work"}
	v.retry = slices.Contains([]string{"sfu", "media_timeout", "signalling", "lobby_timeout", "internal"}, v.code)
	if v.retry {
		v.status = http.StatusServiceUnavailable
	}
	return v
}

// explain is what a guest may read about an error, besides its code: what the rules say to callers, and nothing of our own.
func explain(err error) string {
	if r := (*bridge.Refused)(nil); errors.As(err, &r) {
		return r.Text
	}
	return ""
}
