package bridge

import (
	"errors"
	"fmt"

	"passerelle/bridge/policy"
)

// The reasons for which a call is refused or ends. They are wrapped with %w where there is more to say; each protocol turns them into its own
// codes in one place, and Label into one word for logs, metrics and records.
var (
	ErrHungUp       = errors.New("the caller hung up")
	ErrCancelled    = errors.New("the caller gave up before the answer")
	ErrNoPIN        = errors.New("no PIN was typed in time")
	ErrBadPIN       = errors.New("no room has this PIN")
	ErrGuessing     = errors.New("too many wrong PINs from this source")
	ErrForbidden    = errors.New("the call is not allowed")
	ErrBusy         = errors.New("the node or trunk has as many calls as it may")
	ErrDraining     = errors.New("the node is shutting down")
	ErrNotEncrypted = errors.New("the call must be encrypted and is not")
	ErrNoCodec      = errors.New("no codec in common")
	ErrE2EE         = errors.New("the room is end-to-end encrypted")
	ErrRoomEnded    = errors.New("the room was closed")
	ErrRemoved      = errors.New("a host removed the caller from the room")
	ErrDirectory    = errors.New("the directory of rooms does not answer")
	ErrSFU          = errors.New("the SFU does not answer")
	ErrMediaTimeout = errors.New("no media from the caller any more")
	ErrSignalling   = errors.New("the caller's signalling failed")
	ErrMaxDuration  = errors.New("the call reached its longest duration")
	ErrRules        = errors.New("the rules do not allow the call any more")
	ErrUnavailable  = errors.New("what decides on the call, or records it, does not answer")
	ErrNotAdmitted  = errors.New("a host turned the caller away")
	ErrLobbyTimeout = errors.New("no host let the caller in")
	ErrIdle         = errors.New("nobody else was in the room any more")
	ErrEnded        = errors.New("an operator ended the call")
	ErrLinkRevoked  = errors.New("the link that the guest came by was taken back")
	ErrLinkExpired  = errors.New("the link that the guest came by is over")
	ErrStopped      = errors.New("the node was stopped at once")
	ErrInternal     = errors.New("internal error")
)

// Refused is the error of a call that the rules refuse. It wraps the reason that fits: ErrForbidden, ErrNotEncrypted, ErrBusy or ErrUnavailable.
type Refused struct {
	Rule string // empty: no rule matched
	policy.Refusal
}

// Error tells an operator why; Text is what the far end may read.
func (r *Refused) Error() string {
	rule := "no rule matches"
	if r.Rule != "" {
		rule = "rule " + r.Rule
	}
	if r.Text == "" {
		return fmt.Sprintf("%v (%s)", r.Unwrap(), rule)
	}
	return fmt.Sprintf("%v (%s): %s", r.Unwrap(), rule, r.Text)
}

// Unwrap answers the reason.
func (r *Refused) Unwrap() error {
	switch r.Reason {
	case policy.NotEncrypted:
		return ErrNotEncrypted
	case policy.TooMany:
		return ErrBusy
	case policy.Unavailable:
		return ErrUnavailable
	}
	return ErrForbidden
}

// Label is the one word that stands for a reason in logs, metrics and records: "hung_up" for nil and ErrHungUp, "internal" for what is unknown.
func Label(reason error) string {
	if reason == nil {
		return "hung_up"
	}
	for _, l := range [...]struct {
		err   error
		label string
	}{
		{ErrHungUp, "hung_up"},
		{ErrCancelled, "cancelled"},
		{ErrNoPIN, "no_pin"},
		{ErrBadPIN, "bad_pin"},
		{ErrGuessing, "guessing"},
		{ErrForbidden, "forbidden"},
		{ErrBusy, "busy"},
		{ErrDraining, "draining"},
		{ErrNotEncrypted, "not_encrypted"},
		{ErrNoCodec, "no_codec"},
		{ErrE2EE, "e2ee"},
		{ErrRoomEnded, "room_ended"},
		{ErrRemoved, "removed"},
		{ErrDirectory, "directory"},
		{ErrSFU, "sfu"},
		{ErrMediaTimeout, "media_timeout"},
		{ErrSignalling, "signalling"},
		{ErrMaxDuration, "max_duration"},
		{ErrRules, "rules"},
		{ErrUnavailable, "unavailable"},
		{ErrNotAdmitted, "not_admitted"},
		{ErrLobbyTimeout, "lobby_timeout"},
		{ErrIdle, "idle"},
		{ErrEnded, "ended"},
		{ErrLinkRevoked, "link_revoked"},
		{ErrLinkExpired, "link_expired"},
		{ErrStopped, "stopped"},
	} {
		if errors.Is(reason, l.err) {
			return l.label
		}
	}
	return "internal"
}
