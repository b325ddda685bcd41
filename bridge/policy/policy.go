// Package policy decides what may cross: an admin's ordered rules are held against what is known of a call, and the first that matches grants or
// refuses. What no rule matches is refused. It knows no protocol and opens no socket but through what it is given.
package policy

import (
	"net/netip"
	"time"
)

// Facts is what is known of a call when rules are held against it. A zero value is not known, or not there.
type Facts struct {
	At        time.Time      `json:"at"`
	Direction Direction      `json:"direction"`
	Protocol  string         `json:"protocol"`  // sip, h323, webrtc, whip, livekit
	Trunk     string         `json:"trunk"`     // that let the call in, or that it leaves by
	Source    netip.Addr     `json:"source"`    // of the signalling
	Transport string         `json:"transport"` // of the signalling: udp, tcp, tls, ws, wss
	Encrypted bool           `json:"encrypted"` // media is, or can be, encrypted
	Caller    string         `json:"caller"`    // E.164 with its +, or a user part; empty: withheld
	Called    string         `json:"called"`    // the user part that was dialled, or the address
	Identity  string         `json:"identity"`  // that was authenticated: a number that its trunk vouches for, the name in a certificate, a digest user, a link's subject
	Platform  string         `json:"platform"`  // profile of the foreign platform on the far side
	Link      string         `json:"link"`      // id of the link that a guest came by
	Room      string         `json:"room"`      // at the SFU; empty while it is not known
	Class     string         `json:"class"`     // classification of the room as the directory knows it; empty: as the rules' own list says
	InRoom    int            `json:"in_room"`   // legs of this node in the room, without this one
	OfSource  int            `json:"of_source"` // legs from the same source, without this one
	OfRule    map[string]int `json:"of_rule"`
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
	Rule    string `json:"rule"`    // name of the rule; empty: none matched
	Version string `json:"version"` // hash of the set of rules that decided
	Allowed bool   `json:"allowed"`
	// Open tells that the room was not known and more than one rule may still match: Grant is the most that they could give together, and the rules
	// are asked again when the room is known. Encryption is required only where all of them require it.
	Open    bool    `json:"open"`
	Grant   Grant   `json:"grant,omitzero"`   // where Allowed
	Refusal Refusal `json:"refusal,omitzero"` // where not
}

// Refusal is why a call may not be.
type Refusal struct {
	Reason Reason `json:"reason"`
	Text   string `json:"text"`   // one sentence for the caller's display (a SIP Warning), for the record and for explain; ASCII
	Notice string `json:"notice"` // spoken prompt, where the caller can be spoken to; empty: the one of the reason
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
	Foreign    bool           `json:"foreign"`     // the leg carries the room's sound beyond national infrastructure: it is recorded as such
	Room       string         `json:"room"`        // the call goes there and is asked for no PIN; empty: it is asked
	Lobby      Lobby          `json:"lobby"`       // who lets the caller into the room
	Audio      Way            `json:"audio"`       // what crosses, seen from the leg: Send is heard by the room, Receive hears it
	Video      Way            `json:"video"`       //
	Content    Way            `json:"content"`     // a shared screen
	Picture    Picture        `json:"picture"`     // bounds of video and content
	Encryption Encryption     `json:"encryption"`  // of media
	Codecs     []string       `json:"codecs"`      // of audio, in order of preference; nil: the trunk's
	Networks   []netip.Prefix `json:"networks"`    // where media may go besides the national networks and the trunk's
	Hosts      []string       `json:"hosts"`       // names whose addresses it may go to, too: resolved by us, and kept for the call
	Origins    []string       `json:"origins"`     // of web pages besides guests.origins that may use WHIP and WHEP by such links; *: all
	Name       string         `json:"name"`        // how the leg is called in the room: text with {name}, {number}, {trunk}, {platform}; empty: as ShowNumber says
	ShowNumber Shown          `json:"show_number"` // of the caller's number, in the room
	Learn      Learn          `json:"learn"`       // what the far side may learn of the room
	Notices    Notices        `json:"notices"`     //
	Banner     string         `json:"banner"`      // text on the picture
	Duration   time.Duration  `json:"duration"`    // longest call; 0: as calls.max_duration
	Idle       time.Duration  `json:"idle"`        // the call ends when nobody else has been in the room for this long; 0: never
	MaxInRoom  int            `json:"max_in_room"` // legs of this node in one room; 0: no limit
	MaxSource  int            `json:"max_source"`  // legs from one source; 0: no limit
	MaxRule    int            `json:"max_rule"`    // legs under this rule on this node; 0: no limit
	Recording  bool           `json:"recording"`   // the leg may be recorded; where not, its microphone is closed while the room is
	Keys       []Key          `json:"keys"`        // what the keypad may do
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
	Height int `json:"height"` // pixels
	Rate   int `json:"rate"`   // pictures a second
	Kbps   int `json:"kbps"`
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
	Caller []string `json:"caller"` // to the caller, before the room
	Room   []string `json:"room"`   // to the room, when the caller comes in
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
