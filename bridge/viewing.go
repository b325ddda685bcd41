package bridge

import (
	"context"
	"log/slog"
	"slices"

	"passerelle/bridge/policy"
)

// Viewing is the pictures of a room of an SFU in front of one Screen: a stage of its own, for a room that is none of a Node's. What crosses is for the
// other side of the Screen to decide: here everything may. Its methods are called one at a time; a nil Viewing has no pictures.
type Viewing struct {
	stage *openStage
	place *place
}

// NewViewing gives screen its place in the room that session is in: it sees those who are present and those whom Follow tells, and shows its own through session.
// me is how session joined. It is nil where the SFU carries no pictures. Close ends it, before the session leaves.
func NewViewing(session Session, me Join, present []Participant, screen Screen, log *slog.Logger) *Viewing {
	// One place never wants a track in two sizes: there is no second listener.
	st := begin(log, session, slices.Values(present), nil)
	if st == nil {
		return nil
	}
	grant := policy.Grant{Video: policy.Both, Content: policy.Both, Learn: policy.LearnNothing}
	return &Viewing{st, st.enter(context.Background(), screen, st.session, joinedAs(me), grant, log)}
}

// Follow takes what the session is told.
func (v *Viewing) Follow(e SessionEvent) {
	if v != nil {
		v.stage.follow(e)
		v.place.follow(e)
	}
}

// Close takes out of the room what is shown there, and returns when nothing is left.
func (v *Viewing) Close() {
	if v != nil {
		v.place.leave()
		v.stage.close()
	}
}
