// Package policy decides what may cross: an admin's ordered rules are held against what is known of a call, and the first that matches grants or
// refuses. What no rule matches is refused. It knows no protocol and opens no socket but through what it is given.
package policy

import (
	"net/netip"
	"time"
)

// Facts is what is known of a call when rules are held against it. A zero value is not known, or not there.
type Facts struct {
	At        time.Time
	Direction Direction
	Protocol  string     // sip, h323, webrtc, whip, livekit
	Trunk     string     // that let the call in, or that it leaves by
	Source    netip.Addr // of the signalling
	Transport string     // of the signalling: udp, tcp, tls, ws, wss
	Encrypted bool       // media is, or can be, encrypted
	Caller    string     // E.164 with its +, or a user part; empty: withheld
	Called    string     // the user part that was dialled, or the address
	Identity  string     // that was authenticated: a number that its trunk vouches for, the name in a certificate, a digest user, a link's subject
	Platform  string     // profile of the foreign platform on the far side
	Link      string     // id of the link that a guest came by
	Room      string     // at the SFU; empty while it is not known
	Class     string     // classification of the room as the directory knows it; empty: as the rules' own list says
	InRoom    int        // legs of this node in the room, without this one
	OfSource  int        // legs from the same source, without this one
	OfRule    map[string]int
}

// Direction tells who began a call.
type Direction string

// The directions of a call, seen from the sovereign side.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// Decision is what the rules say about a call. It is a value of its own: nobody changes it afterwards.
type Decision struct {
	Rule    string // name of the rule; empty: none matched
	Version string // hash of the set of rules that decided
	Allowed bool
	// Open tells that the room was not known and more than one rule may still match: Grant is the most that they could give together, and the rules
	// are asked again when the room is known. Encryption is required only where all of them require it.
	Open    bool
	Grant   Grant   // where Allowed
	Refusal Refusal // where not
}

// Refusal is why a call may not be.
type Refusal struct {
	Reason Reason
	Text   string // one sentence for the caller's display (a SIP Warning), for the record and for explain; ASCII
	Notice string // spoken prompt, where the caller can be spoken to; empty: the one of the reason
}

// Reason classifies refusals.
type Reason string

// The reasons of a refusal.
const (
	Forbidden    Reason = "forbidden"
	NotEncrypted Reason = "not_encrypted" // the grant requires encryption and the leg has none
	TooMany      Reason = "too_many"      // a limit of the rule is reached
	Unavailable  Reason = "unavailable"   // the policy service, or the journal that the grant needs, does not answer
)

// Grant is what a call may do and be.
type Grant struct {
	Foreign    bool           // the leg carries the room's sound beyond national infrastructure: it is recorded as such
	Room       string         // the call goes there and is asked for no PIN; empty: it is asked
	Lobby      Lobby          // who lets the caller into the room
	Audio      Way            // what crosses, seen from the leg: Send is heard by the room, Receive hears it
	Video      Way            //
	Content    Way            // a shared screen
	Picture    Picture        // bounds of video and content
	Encryption Encryption     // of media
	Codecs     []string       // of audio, in order of preference; nil: the trunk's
	Networks   []netip.Prefix // where media may go besides the national networks and the trunk's
	Name       string         // how the leg is called in the room: text with {name}, {number}, {trunk}, {platform}; empty: as ShowNumber says
	ShowNumber Shown          // of the caller's number, in the room
	Learn      Learn          // what the far side may learn of the room
	Notices    Notices        //
	Banner     string         // text on the picture
	Duration   time.Duration  // longest call; 0: as calls.max_duration
	Idle       time.Duration  // the call ends when nobody else has been in the room for this long; 0: never
	MaxInRoom  int            // legs of this node in one room; 0: no limit
	MaxSource  int            // legs from one source; 0: no limit
	MaxRule    int            // legs under this rule on this node; 0: no limit
	Recording  bool           // the leg may be recorded; where not, its microphone is closed while the room is
	Keys       []Key          // what the keypad may do
}

// Lobby says who lets a caller into the room.
type Lobby string

// The lobbies.
const (
	NoLobby  Lobby = "none" // nobody needs to
	WithHost Lobby = "host" // opens by itself while a host is in the room
	AskHost  Lobby = "ask"  // a host admits each caller
)

// Way is what crosses of one medium, seen from the leg outside.
type Way string

// The ways of a medium.
const (
	Neither Way = "none"
	Send    Way = "send"    // from the leg to the room
	Receive Way = "receive" // from the room to the leg
	Both    Way = "both"
)

// Sends tells whether the room hears or sees the leg.
func (w Way) Sends() bool { return w == Send || w == Both }

// Receives tells whether the leg hears or sees the room.
func (w Way) Receives() bool { return w == Receive || w == Both }

// Encryption of media.
type Encryption string

// What a rule can ask of media. Optional leaves it to the trunk.
const (
	Optional Encryption = "optional"
	Prefer   Encryption = "prefer"
	Require  Encryption = "require"
)

// Picture bounds what is sent to the leg and taken from it. 0: no bound.
type Picture struct {
	Height int // pixels
	Rate   int // pictures a second
	Kbps   int
}

// Shown is how much of a caller's number a room sees.
type Shown string

// How much of a number is shown.
const (
	Hidden Shown = "hidden"
	Masked Shown = "masked"
	Full   Shown = "full"
)

// Learn is what the far side may learn of a room besides what it hears and sees.
type Learn string

// What the far side may learn.
const (
	LearnNothing Learn = "nothing"
	LearnCount   Learn = "count" // how many there are, and when somebody comes or goes
	LearnNames   Learn = "names" // and who: for legs that can show it
)

// Notices are spoken prompts: names of recordings, built in or in ivr.prompts_dir.
type Notices struct {
	Caller []string // to the caller, before the room
	Room   []string // to the room, when the caller comes in
}

// Key is one power of the keypad.
type Key string

// The powers of the keypad.
const (
	KeyMute   Key = "mute"
	KeyHand   Key = "hand"
	KeyVolume Key = "volume"
	KeyCount  Key = "count"
)
