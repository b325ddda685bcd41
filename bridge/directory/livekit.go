package directory

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"passerelle/bridge"
)

// Rule is one SIP dispatch rule of LiveKit: who types PIN enters Room.
type Rule struct {
	Name, Room, PIN string
	TrunkIDs        []string // LiveKit's own trunks that the rule is for; empty: all
}

// Rules lists LiveKit's SIP dispatch rules. Implemented by the command, over livekit.Client.
type Rules interface {
	ListSIPDispatchRules(ctx context.Context) ([]Rule, error)
}

// maxRules bounds what one listing may make us keep.
const maxRules = 200_000

// LiveKit is a directory made of LiveKit's SIP dispatch rules, as Visio writes one for each room that has started. LiveKit cannot be asked for
// one PIN, so the whole list is kept and listed again when it is older than refresh and somebody asks: never more often, whatever is typed.
// While LiveKit is away the last list goes on to answer for the PINs in it; others cannot be told.
type LiveKit struct {
	rules            Rules
	refresh, timeout time.Duration
	log              *slog.Logger

	turn chan struct{} // holds one token: who takes it may use what follows

	tried     time.Time // when the last listing began
	failed    error     // of the last listing
	known     *index
	ambiguous int // PINs of several rooms in the last listing
}

// NewLiveKit makes a directory that lists rules at most once in refresh, and waits for timeout at most for one listing.
func NewLiveKit(rules Rules, refresh, timeout time.Duration, log *slog.Logger) *LiveKit {
	l := &LiveKit{rules: rules, refresh: refresh, timeout: timeout, log: log, turn: make(chan struct{}, 1), known: newIndex()}
	l.turn <- struct{}{}
	return l
}

// Find looks a PIN up in the rules as they were not longer than refresh ago.
func (l *LiveKit) Find(ctx context.Context, pin string) (bridge.RoomRef, error) {
	return l.find(ctx, pin, time.Now().Add(-l.refresh))
}

// find looks a PIN up in a listing that began after since. Who comes while a listing runs waits for it and shares its result.
func (l *LiveKit) find(ctx context.Context, pin string, since time.Time) (bridge.RoomRef, error) {
	select {
	case <-l.turn:
	case <-ctx.Done():
		return bridge.RoomRef{}, fmt.Errorf("%w: LiveKit's rules: %w", bridge.ErrDirectory, context.Cause(ctx))
	}
	defer func() { l.turn <- struct{}{} }()

	failed := l.failed
	if !l.tried.After(since) {
		failed = l.list(ctx)
	}
	if room, ok := l.known.find(pin); ok {
		return room, nil
	}
	if failed != nil {
		return bridge.RoomRef{}, fmt.Errorf("%w: LiveKit's rules: %w", bridge.ErrDirectory, failed)
	}
	return bridge.RoomRef{}, bridge.ErrBadPIN
}

// list replaces what is known. A listing that ended because its caller hung up counts for nobody else.
func (l *LiveKit) list(ctx context.Context) error {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	rules, err := l.rules.ListSIPDispatchRules(limited)
	if err == nil && len(rules) > maxRules {
		err = fmt.Errorf("%d rules are more than %d", len(rules), maxRules)
	}
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err != nil && l.failed == nil {
		l.log.Warn("LiveKit's dispatch rules cannot be listed; those of before are used", "err", err)
	}
	l.tried, l.failed = began, err
	if err != nil {
		l.tried = time.Now() // a server in trouble has its rest from the end of a long attempt on
		return err
	}
	known, ambiguous := indexRules(rules)
	if ambiguous > l.ambiguous {
		l.log.Warn("dispatch rules give the same PIN to several rooms; such PINs open none", "pins", ambiguous)
	}
	l.known, l.ambiguous = known, ambiguous
	return nil
}

// indexRules keeps the rules that a caller of ours can meet: with a PIN, a room, and no trunk of LiveKit's own. A PIN of several rooms opens
// none, because the wrong one could be somebody else's meeting.
func indexRules(rules []Rule) (known *index, ambiguous int) {
	known = newIndex()
	twice := map[string]bool{}
	for _, r := range rules {
		if !isPIN(r.PIN) || r.Room == "" || !isText(r.Room) || len(r.TrunkIDs) > 0 {
			continue
		}
		if err := known.add(r.PIN, bridge.RoomRef{Name: r.Room, Source: "livekit"}); err != nil {
			twice[r.PIN] = true
		}
	}
	for pin := range twice {
		known.remove(pin)
	}
	return known, len(twice)
}
