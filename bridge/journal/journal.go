// Package journal keeps the record: what calls there were, which rule let them in or refused them, who changed what, and what was tried that no
// rule granted. Records are chained by hash, so that one that was changed, removed or moved shows.
package journal

import "time"

// Entry is one thing that happened. What is personal (Caller, Called, Address) is kept so that it can be shortened later without breaking the chain.
type Entry struct {
	Time    time.Time
	Kind    Kind
	Call    string            // id of the call
	Actor   string            // who did it: the name of an admin's token, "rules", "host"; empty: the node itself
	Room    string            // at the SFU
	Rule    string            // that decided
	Outcome string            // one word: "allowed", "refused", a bridge.Label …
	Caller  string            // number or name
	Called  string            //
	Address string            // IP address
	Foreign bool              // a foreign leg is concerned
	Fields  map[string]string // what else the kind has: numbers and words, no PIN, no key, no token
}

// Kind says what an entry is about.
type Kind string

// The kinds of entries.
const (
	Call      Kind = "call"      // a call ended: the call record
	Decision  Kind = "decision"  // the rules allowed or refused a call, or narrowed one that runs
	Admission Kind = "admission" // somebody waits in a lobby, was let in or turned away
	Admin     Kind = "admin"     // a call of the admin API that changes something, or was refused
	Config    Kind = "config"    // configuration or rules were read: with their hash
	Egress    Kind = "egress"    // a destination was refused
	Node      Kind = "node"      // the node began or ended
)

// Kinds lists them all.
func Kinds() []Kind { return []Kind{Call, Decision, Admission, Admin, Config, Egress, Node} }
