package bridge

import (
	"context"

	"github.com/pion/rtp"

	"passerelle/media"
)

// SFU joins rooms of the sovereign side. Implemented by livekit.Client.
type SFU interface {
	// Join enters a room as one participant and returns when the SFU has taken it in, with those who are there already (without this one).
	// They are not told again as events.
	Join(ctx context.Context, j Join) (s Session, present []Participant, err error)
	// SendData sends data to participants of a room, by identity. It comes from the server itself: no participant can send the like.
	SendData(ctx context.Context, room, topic string, data []byte, to []string) error
}

// Join says who enters which room, and what for.
type Join struct {
	Room       string
	Identity   string // unique in the room; holds no number
	Name       string
	Attributes map[string]string
	Phone      bool // told to the room as a telephone: kind SIP
	Hidden     bool // seen by nobody: the listener of a node
	Publish    bool // may publish audio and data
	Camera     bool // may publish its picture
	Content    bool // may share a screen
	Subscribe  bool // may hear, and is told of others and of who speaks
}

// Session is one participant's stay in a room. It lives through short losses of the network by itself. Implemented by livekit.Session.
type Session interface {
	// Events delivers what happens. It is closed when the session is over; the last event before that is SessionEnded.
	Events() <-chan SessionEvent
	// Publish makes the one audio track of this participant.
	Publish(ctx context.Context, name string) (Track, error)
	// Subscribe asks for another participant's track (Track SID), which then goes to sink; a nil sink ends it.
	Subscribe(trackSID string, sink media.Sink) error
	// SetAttributes changes this participant's own attributes; an empty value removes one.
	SetAttributes(ctx context.Context, attributes map[string]string) error
	// Leave ends the session and returns when nothing of it is left.
	Leave()
}

// Recorded tells whether somebody records the room now. What a Session says at once after Join is what the SFU answered; RecordingChanged says when that
// changes. Implemented by livekit.Session.
type Recorded interface{ Recording() bool }

// AudioLevelID is the id of the header extension in which WriteRTP takes the level of each packet (RFC 6464). The SFU tells who speaks by it alone. A
// packet without it counts as speech of middling loudness, because silence is not sent.
const AudioLevelID = 1

// Track is a published audio track: Opus, 48 kHz clock. Implemented by livekit.Track.
type Track interface {
	// WriteRTP sends one packet. Version, SSRC and payload type are set here; sequence numbers and timestamps are the caller's. It is for one goroutine.
	WriteRTP(p *rtp.Packet) error
	// SetMuted tells the room that this participant is muted, or not any more.
	SetMuted(ctx context.Context, muted bool) error
}

// SessionEventKind says what happened in a session.
type SessionEventKind int

// The events of a session.
const (
	ParticipantChanged SessionEventKind = iota + 1 // came, or has another state now: Participant
	ParticipantLeft                                // Participant
	SelfChanged                                    // our own name, attributes or permissions, whoever changed them: Participant
	MutedByHost                                    // our track was muted or unmuted by a host: Muted, Source
	SpeakersChanged                                // Speakers
	DataReceived                                   // Data, Topic; Participant.Identity and SID are the sender's as the SFU says, both empty: the server itself
	Interrupted                                    // the SFU is away, we are trying to get back
	Restored                                       // and we are back; published and subscribed tracks go on
	SessionEnded                                   // for good: Reason
	RecordingChanged                               // the room is recorded, or not any more: Recording
)

// SessionEvent is one thing that happened in a session.
type SessionEvent struct {
	Kind        SessionEventKind
	Participant Participant
	Muted       bool
	Source      Source // empty: the microphone
	Recording   bool
	Speakers    []Speaker
	Topic       string
	Data        []byte
	Reason      error
}

// Participant is somebody in a room, as the SFU tells it.
type Participant struct {
	SID, Identity, Name string
	Phone               bool // kind SIP
	Hidden              bool // not to be counted: hidden, an agent, or an egress
	CanPublish          bool // may publish a microphone: a host can take that away and give it back
	CanShow, CanShare   bool // may publish a camera, a shared screen
	MayChangeSelf       bool // may change its own name and attributes: what they say of it is then its own word
	Attributes          map[string]string
	Tracks              []TrackInfo
}

// TrackInfo is one track of a participant.
type TrackInfo struct {
	SID       string
	Audio     bool
	Muted     bool
	Encrypted bool // end to end: without the key it is noise
	Video     VideoInfo
}

// VideoInfo is what a participant's track says of its picture.
type VideoInfo struct {
	Source        Source // empty: no picture, or one that is of neither a camera nor a screen
	Kind          VideoKind
	Width, Height int     // of the largest layer; 0: not known
	Layers        []Layer // as announced, from small to large
}

// Speaker is somebody who is heard now.
type Speaker struct {
	SID   string  // of the participant
	Level float32 // 0 to 1
}
