package bridge

import (
	"context"

	"passerelle/bridge/journal"
	"passerelle/bridge/policy"
)

// Policy decides which calls may be, and what they may do. Implemented by policy.Keeper.
type Policy interface {
	// Decide holds the rules against what is known of a call. It is asked before the call rings, when its room is known, and when the rules change.
	Decide(ctx context.Context, f policy.Facts) policy.Decision
	// OnChange has f called, from any goroutine, whenever the rules have changed. It is called before the first Decide, once.
	OnChange(f func())
}

// Journal keeps the record. Implemented by journal.Writer.
type Journal interface {
	// Write records an entry. It never blocks and may be called from any goroutine.
	Write(e journal.Entry)
	// Ready says why entries cannot be kept for now; nil: they can. Without it, no foreign call is taken.
	Ready() error
}
