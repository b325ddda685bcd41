package bridge

import (
	"context"
	"net/netip"

	"passerelle/bridge/policy"
	"passerelle/media"
	"passerelle/transcode"
)

// Leg is one side of a call that is not the SFU's. Implemented by sip.Leg, guest.Leg and federation.Leg.
type Leg interface {
	// Caller says who is there and how they came. It does not change.
	Caller() Caller
	// Events delivers what the far end does. It is closed when the leg is gone; the last event before that is Ended.
	Events() <-chan Event
	// Ring lets the far end hear that the call is on its way, and says under which terms it may be answered. It answers ErrNotEncrypted or ErrNoCodec
	// where what the far end offered cannot meet them.
	Ring(ctx context.Context, t Terms) error
	// Answer takes the call and returns its sound when the far end has confirmed.
	Answer(ctx context.Context) (Audio, error)
	// End refuses or ends the call, with the reason told in the protocol's own code. It may be called at any time and more than once.
	End(reason error)
}

// Terms narrow what a leg may agree on with its far end: never beyond what its own trunk allows. The zero value leaves everything to the trunk.
type Terms struct {
	Encryption policy.Encryption // Require refuses clear media
	Codecs     []string          // in order of preference; nil: the trunk's
	Networks   []netip.Prefix    // where media may go besides the national networks and the trunk's
	Names      []string          // hosts whose addresses it may go to, too: resolved once, and kept for the call
}

// Audio is the sound of an answered leg. Implemented by media.Stream, and by the voices of guest and federation.
type Audio interface {
	// Codec is what the far end wants to hear. It changes only with an Updated event.
	Codec() transcode.Codec
	// SendsEvents tells whether the far end sends digits as telephone-events; else they are tones in its sound. It changes only with Updated.
	SendsEvents() bool
	// SetSink says where what the far end says goes; nil: nowhere.
	SetSink(s media.Sink)
	// WriteFrame sends one encoded frame of 20 ms. It does not block and keeps nothing of payload. marker begins a talk spurt.
	WriteFrame(payload []byte, samples int, marker bool) error
	// Stats is the quality so far.
	Stats() media.Stats
}

// Caller says who is on a leg. Nothing of it is proven unless Trunk says so.
type Caller struct {
	CallID    string     // of this gateway, for logs: short and unique
	Protocol  string     // "sip"
	Trunk     string     // by which the call was let in
	Name      string     // display name; empty when not given or withheld
	Number    string     // E.164 with its +, or the user part; empty when withheld
	Proven    bool       // the trunk vouches for Number
	Called    string     // the user part that was dialled
	Source    netip.Addr // of the signalling
	Transport string     // udp, tcp, tls
	Encrypted bool       // media is encrypted by the agreed answer, or can be, before there is one
	Identity  string     // that was authenticated: the vouched-for number, else the digest user or the name in the certificate; empty: none
	Language  string     // the trunk's; empty: the default
	Platform  string     // profile of the foreign platform on the far side; empty: none
	Link      string     // id of the link that a guest came by
	Room      string     // that the link or the operator names: no PIN is asked
	Outbound  bool       // we call: an operator wants Room to be joined with what is Called
	Bridge    bool       // the far end is another room: it and other such legs do not hear each other, so that no sound goes round
	Lobby     bool       // the link wants a host to let the guest in, whatever the rule says
}

// EventKind says what happened on a leg.
type EventKind int

// The events of a leg.
const (
	Digit      EventKind = iota + 1 // Event.Digit was pressed
	Hold                            // the far end wants to hear nothing, or again: Event.Held
	Updated                         // Audio.Codec changed
	Ended                           // the far end is gone: Event.Reason
	Microphone                      // the far end wants its microphone closed, or open: Event.On
	Hand                            // the far end wants its hand up, or down: Event.On
)

// Event is one thing that happened on a leg.
type Event struct {
	Kind   EventKind
	Digit  byte   // 0-9 * # A-D
	Way    string // how the digit came: "rtp", "info", "tone"
	Held   bool
	On     bool
	Reason error
}
