package bridge

import "time"

// Display is a leg that shows how its call stands, besides being a Leg: a page instead of a voice. Such a leg is told nothing aloud, neither
// prompts nor tones, and its microphone and hand are asked for with the events Microphone and Hand instead of digits. Implemented by guest.Leg and
// federation.Leg.
type Display interface {
	// Tell shows how the call stands now. It is called from the call's goroutine whenever something of it changed, and must not block.
	Tell(s Standing)
}

// Standing is how a call stands.
type Standing struct {
	State     string    // as CallInfo.State
	Until     time.Time // when a wait in the lobby ends by itself
	Muted     bool      // the room does not hear this leg
	ByHost    bool      // a host muted or unmuted it last
	MayUnmute bool      // the leg may open its microphone
	Hand      bool      // is raised
	Alone     bool      // nobody else is in the room
	Away      bool      // the SFU is not reached for now
	Draining  bool      // the node will end the call soon
	Recorded  bool      // the room is being recorded
	Banner    string    // text of the rule that is shown for as long as the call lasts; empty: none
}
