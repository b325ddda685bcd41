package bridge

import "context"

// Directory finds the room behind a PIN. It is asked by the call that typed it, from the call's own goroutine, and by many calls at once.
// Implemented by directory.Chain and each of its sources.
type Directory interface {
	// Find answers ErrBadPIN when nobody knows the PIN, and ErrDirectory when that cannot be told because a source does not answer. Neither
	// error holds the PIN.
	Find(ctx context.Context, pin string) (RoomRef, error)
}

// RoomRef is a room that a caller may enter, as the directory knows it.
type RoomRef struct {
	Name     string // of the room at the SFU
	Title    string // for people; empty: none known
	Language string // the room's; empty: the caller's own
	Source   string // which source knew it: "file", "livekit", "roomkit", "rule"
	Class    string // classification; empty: as the rules say
	Access   string // Visio's access level: "public", "trusted", "restricted"; empty: not known. Callers wait for a host unless it is public or empty
}
