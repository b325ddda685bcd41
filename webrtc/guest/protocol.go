// Package guest lets people into rooms by a link: a browser opens a page that this package serves, and speaks with it over a WebSocket (small JSON
// messages, docs/signalling.md) and WebRTC. Tools that know WHIP (RFC 9725) or WHEP come by the same links.
package guest

import "time"

// Version is the version of the messages. It changes only when an old page could not be understood any more; fields and types may be added.
const Version = 1

// Bounds of what a page may send. Whoever passes one is told which, and cut off where a person at a page cannot have done it.
const (
	maxMessage  = 256 << 10 // bytes of one message
	maxSDP      = 200 << 10 // bytes of an offer
	maxTracks   = 32        // media sections of an offer
	maxTiles    = 25        // tiles of a layout
	maxName     = 60        // characters of a name
	maxHeight   = 4320      // pixels of a tile
	maxMessages = 40        // messages a second, after a burst of twice as many
)

// Use says what a media section of the page's offer is for.
type Use string

// The uses of media sections. A page offers all that it may ever need at once; what is not used yet has no track in it.
const (
	UseVoice  Use = "voice"  // audio, both ways: the microphone, and the room's one mix
	UseCamera Use = "camera" // video, to the room; simulcast is kept
	UseScreen Use = "screen" // video, to the room
	UseTile   Use = "tile"   // video, from the room: whatever the tile shows for now
)

// Messages of the page. Each is one JSON object whose "type" is the name in the comment.
type (
	// hello, first and once: "hello".
	hello struct {
		Version int    `json:"version"`
		Session string `json:"session"` // the token that POST /api/v1/session gave
	}
	// join asks for the room: "join". It is sent once in a session; after a reload, an offer says more.
	join struct {
		Name    string `json:"name"`    // as asked for; a name that the link fixes wins
		Consent bool   `json:"consent"` // the notice was read and agreed to
		Muted   bool   `json:"muted"`   // the microphone begins closed
		Camera  bool   `json:"camera"`  // the camera begins open
		offer
	}
	// offer begins media, or begins it anew: "offer".
	offer struct {
		SDP    string  `json:"sdp"`
		Tracks []track `json:"tracks"`
		// Fresh says that the page has a new peer connection, after a reload or because the old one failed. Else the offer renegotiates, or restarts ICE.
		Fresh bool `json:"fresh"`
	}
	// candidate is one of the page's, or the end of them where it is empty: "candidate".
	candidate struct {
		Candidate string `json:"candidate"` // as RTCIceCandidate has it
		Mid       string `json:"mid"`
	}
	// layout says what the page shows and how large: "layout". Tiles that are not named show nothing and cost nothing.
	layout struct {
		Tiles []tileWish `json:"tiles"`
	}
	// microphone closes or opens the microphone: "microphone".
	microphone struct {
		On bool `json:"on"`
	}
	// camera says that the camera sends, or not any more: "camera".
	camera struct {
		picture
	}
	// screen says that a shared screen is sent, or not any more: "screen".
	screen struct {
		picture
	}
	// hand raises or lowers the hand: "hand".
	hand struct {
		Up bool `json:"up"`
	}
	// leave ends the session: "leave".
	leave struct{}
	// ping is answered with a pong that has the same id: "ping".
	ping struct {
		ID uint32 `json:"id"`
	}
)

// picture is what the page sends, or not any more.
type picture struct {
	On     bool `json:"on"`
	Width  int  `json:"width"`  // pixels of the whole picture; 0: not known. Simulcast layers halve it each
	Height int  `json:"height"` //
	Kbps   int  `json:"kbps"`   // at most; 0: not known
}

// track says what a media section is for.
type track struct {
	Mid string `json:"mid"`
	Use Use    `json:"use"`
}

// The sources of pictures, as messages name them.
const (
	sourceCamera = "camera"
	sourceScreen = "screen"
)

// tileWish is what one tile should show.
type tileWish struct {
	Mid string `json:"mid"`
	// Seat is whom to show. 0 leaves it to the gateway: shared screens first, then who speaks, then who spoke before; no two such tiles show the same.
	Seat uint32 `json:"seat"`
	// Source is "camera" or "screen". Empty, with a seat: the screen if there is one, else the camera. Without a seat, "camera" leaves shared screens
	// out and "screen" leaves all else out.
	Source string `json:"source"`
	Height int    `json:"height"` // pixels of the display; 0: nothing for now
}

// State is how far a guest has come, as the page is told.
type State string

// The states of a guest.
const (
	StateNew         State = "new"         // the link is good; join is awaited
	StateConnecting  State = "connecting"  // on the way into the room
	StateWaiting     State = "waiting"     // for a host, in the lobby
	StateTalking     State = "talking"     // in the meeting
	StateInterrupted State = "interrupted" // in the meeting, which is not reached for now: nothing to do but wait
	StateEnded       State = "ended"       // for good: Reason says why, and the socket closes
)

// Messages of the server. Each has its "type", too.
type (
	// welcome answers hello: "welcome".
	welcome struct {
		Version int   `json:"version"`
		State   State `json:"state"`   // new, or where this session is already: then an offer with Fresh goes on with it
		Terms   Terms `json:"terms"`   //
		Grace   int   `json:"grace"`   // seconds for which the place in the room is kept without this socket
		Maximum int   `json:"maximum"` // tiles
	}
	// stateMessage tells each new state: "state".
	stateMessage struct {
		State  State     `json:"state"`
		Reason string    `json:"reason,omitempty"` // of ended: one word, see docs/signalling.md
		Text   string    `json:"text,omitempty"`   // more about it, from an administrator: plain text
		Retry  bool      `json:"retry,omitempty"`  // trying again with the same link may work
		Until  time.Time `json:"until,omitzero"`   // when waiting ends by itself
	}
	// answer answers an offer, with all candidates: "answer".
	answer struct {
		SDP string `json:"sdp"`
	}
	// tiles says what each tile shows now, all of them: "tiles".
	tiles struct {
		Tiles []tile `json:"tiles"`
	}
	// people says who else is there, as far as the rule lets the guest know: "people".
	people struct {
		Count  int      `json:"count"`            // with the guest; 0: not to be known
		People []person `json:"people,omitempty"` // the others, in the order of their coming; nothing: not to be known
	}
	// speakers says who of the others is heard, the loudest first, by their seats: "speakers". It comes only where people has them.
	speakers struct {
		Seats []uint32 `json:"seats"`
	}
	// sending says what becomes of what the page sends: "sending".
	sending struct {
		Camera sendingState `json:"camera"`
		Screen sendingState `json:"screen"`
	}
	// microphoneState tells what the room has of the guest's microphone: "microphone".
	microphoneState struct {
		On   bool   `json:"on"`
		By   string `json:"by"`   // "self", "host"
		Free bool   `json:"free"` // the guest may open it
	}
	// handState tells whether the hand is up: "hand".
	handState struct {
		Up bool   `json:"up"`
		By string `json:"by"` // "self", "host"
	}
	// banner is text of the rule, from an administrator, that the page shows from now on, all the meeting long: "banner".
	banner struct {
		Text string `json:"text"` // plain text on one line, up to 200 characters; empty: none any more
	}
	// notice tells something in passing: "notice".
	notice struct {
		Name string `json:"name"` // "draining", "alone", "company", "recording", "recording_over"
	}
	// failure tells that a message had no effect: "error". The session goes on.
	failure struct {
		Code string `json:"code"` // see docs/signalling.md
		Text string `json:"text"` // for a developer: English
		To   string `json:"to"`   // type of the message
	}
	// pong answers ping: "pong".
	pong struct {
		ID uint32 `json:"id"`
	}
)

// Terms is what a link and the rule behind it offer, for the page to show before the guest joins. POST /api/v1/session answers it, too.
type Terms struct {
	Title    string      `json:"title,omitempty"`  // of the meeting
	Name     string      `json:"name,omitempty"`   // of the guest, fixed or proposed
	AskName  bool        `json:"ask_name"`         // the guest may choose another
	Hosted   string      `json:"hosted,omitempty"` // where the meeting is hosted: guests.hosted_in
	Foreign  bool        `json:"foreign"`          // what the guest hears and sees leaves national infrastructure
	Consent  string      `json:"consent"`          // further text to agree to: plain text
	Lobby    bool        `json:"lobby"`            // a host lets guests in
	Audio    string      `json:"audio"`            // none, send, receive, both: seen from the guest
	Video    string      `json:"video"`            // likewise
	Content  string      `json:"content"`          // likewise: shared screens
	Rate     int         `json:"rate,omitempty"`   // pictures a second that the guest may send, of each; 0: no bound. sending tells when it changes
	Names    bool        `json:"names"`            // the guest learns who is there
	Until    time.Time   `json:"until,omitzero"`   // the link ends then, and so does the call
	Servers  []iceServer `json:"ice_servers"`      // for RTCPeerConnection: our own TURN server, or nothing
	Language string      `json:"language"`         // to begin with where the browser's is none of ours
}

// iceServer is RTCIceServer.
type iceServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// sendingState is how it stands with the camera, or with a shared screen.
type sendingState struct {
	Allowed bool `json:"allowed"` // by the rule and the room
	Live    bool `json:"live"`    // the room has it
	// Wanted tells for each simulcast layer, from small to large, whether anybody watches it: the others need not be sent.
	Wanted [3]bool `json:"wanted"`
	Rate   int     `json:"rate,omitempty"` // pictures a second, at most: what is beyond is dropped, up to the next keyframe; 0: no bound
}

// tile is what one tile shows.
type tile struct {
	Mid      string `json:"mid"`
	Seat     uint32 `json:"seat,omitempty"`   // 0: nobody, or not to be known
	Source   string `json:"source,omitempty"` // "camera", "screen"; empty: nothing is shown
	Speaking bool   `json:"speaking,omitempty"`
	Width    int    `json:"width,omitempty"`   // of the whole picture as its sender announced it; 0: not known
	Height   int    `json:"height,omitempty"`  //
	Waiting  bool   `json:"waiting,omitempty"` // for bandwidth, or for the first picture: what is seen is old or black
	Unfit    bool   `json:"unfit,omitempty"`   // there is a picture, in a format that the browser did not offer
}

// person is somebody else in the room.
type person struct {
	Seat   uint32 `json:"seat"` // not used again in the room
	Name   string `json:"name"`
	Muted  bool   `json:"muted,omitempty"`
	Camera bool   `json:"camera,omitempty"` // can be shown
	Screen bool   `json:"screen,omitempty"` // can be shown
	Hand   bool   `json:"hand,omitempty"`
	Phone  bool   `json:"phone,omitempty"`
}
