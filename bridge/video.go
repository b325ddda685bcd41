package bridge

import (
	"context"
	"strings"
	"time"
)

// Pictures cross as they come: a packet is given new header fields and nothing else. The way in is leg → VideoTrack → SFU; the way out is
// SFU → stage, which watches each track once for all legs of a room on this node → Screen.

// VideoKind is a format of video.
type VideoKind string

// The formats. Each has a clock of 90 kHz.
const (
	VP8  VideoKind = "VP8"  // RFC 7741
	VP9  VideoKind = "VP9"  // RFC 9628
	H264 VideoKind = "H264" // RFC 6184
	AV1  VideoKind = "AV1"  // https://aomediacodec.github.io/av1-rtp-spec
)

// VideoCodec is a format with what both ends have to agree on.
type VideoCodec struct {
	Kind VideoKind
	Fmtp string // as in SDP: "profile-id=0", "packetization-mode=1;profile-level-id=42e01f"; may be empty
}

// VideoRate is the clock of every format, per second.
const VideoRate = 90000

// VideoCodecs are the formats that the SFU side takes, best first. What is not among them (Same) cannot be published.
func VideoCodecs() []VideoCodec {
	const h264 = "level-asymmetry-allowed=1;"
	return []VideoCodec{
		{VP8, ""},
		{VP9, "profile-id=0"},
		{H264, h264 + "packetization-mode=1;profile-level-id=42e01f"},
		{H264, h264 + "packetization-mode=0;profile-level-id=42e01f"},
		{H264, h264 + "packetization-mode=1;profile-level-id=42001f"},
		{H264, h264 + "packetization-mode=0;profile-level-id=42001f"},
		{H264, h264 + "packetization-mode=1;profile-level-id=640032"},
		{AV1, ""},
	}
}

// Same tells whether two codecs can be taken for each other: levels and the like do not matter, profiles and packetization do.
func (c VideoCodec) Same(o VideoCodec) bool {
	if c.Kind != o.Kind {
		return false
	}
	switch c.Kind {
	case VP9: // RFC 9628, section 6
		return c.parameter("profile-id", "0") == o.parameter("profile-id", "0")
	case AV1:
		return c.parameter("profile", "0") == o.parameter("profile", "0")
	case H264: // RFC 6184, section 8.1: profile_idc and profile-iop, without the level
		mine, theirs := c.parameter("profile-level-id", "42000a"), o.parameter("profile-level-id", "42000a")
		return len(mine) == 6 && len(theirs) == 6 && strings.EqualFold(mine[:4], theirs[:4]) &&
			c.parameter("packetization-mode", "0") == o.parameter("packetization-mode", "0")
	}
	return true
}

// parameter is one of Fmtp's, or otherwise.
func (c VideoCodec) parameter(name, otherwise string) string {
	for p := range strings.SplitSeq(c.Fmtp, ";") {
		if k, v, _ := strings.Cut(strings.TrimSpace(p), "="); strings.EqualFold(k, name) {
			return v
		}
	}
	return otherwise
}

// Source says what a picture is of.
type Source string

// The sources.
const (
	Camera  Source = "camera"
	Content Source = "content" // a shared screen
)

// Layer is one size of a track that is sent in several (simulcast), or the only one.
type Layer struct {
	RID           string // RFC 8851; empty where it is the only one. LiveKit knows q, h and f, from small to large
	Width, Height int    // pixels; 0: not known
	Kbps          int    // at most; 0: not known
}

// MaxLayers is how many layers a track may have.
const MaxLayers = 3

// VideoPacket is one RTP packet of video. Nobody keeps it, or its slices, after the call that handed it over, nor writes into them.
type VideoPacket struct {
	Codec      *VideoCodec
	Sequence   uint16
	Timestamp  uint32 // 90 kHz
	Marker     bool   // last of a picture
	Payload    []byte // with the format's payload descriptor; empty: a number and nothing else (padding)
	Dependency []byte // the dependency descriptor header extension, where there is one (AV1)
	Arrival    time.Time
}

// VideoSink takes packets in the order of their arrival: numbers may be missing, and come late. It must not block. Implemented by the stage.
type VideoSink interface {
	WriteVideo(p *VideoPacket)
}

// VideoSession is the part of a Session that carries pictures. Its methods may be called from any goroutine. Implemented by livekit.Session.
type VideoSession interface {
	// PublishVideo makes a track of this participant: one per source. The error wraps ErrForbidden when the room does not let us show it.
	PublishVideo(ctx context.Context, p Publication) (VideoTrack, error)
	// Watch has another participant's video track (Track SID) go to sink, in a layer that is fit for the height (pixels; 0: none for now, but stay
	// subscribed) and for so many pictures a second (0: all), where its sender has layers for that. Called again it changes height, rate and sink; a
	// nil sink ends it. Like Subscribe it is a wish that outlives the link.
	Watch(trackSID string, height, rate int, sink VideoSink) error
	// WantKeyframe asks for a keyframe of a watched track. The caller limits how often.
	WantKeyframe(trackSID string)
}

// Taker is a VideoSession that knows in which formats the room takes pictures of it, as it was told when it joined. Implemented by livekit.Session.
type Taker interface{ VideoCodecs() []VideoCodec }

// Publication is a video track that is to be published.
type Publication struct {
	Source Source
	Name   string
	Codec  VideoCodec
	Layers []Layer // from small to large; at least one
	// WantKeyframe is called, from any goroutine, when the SFU needs a keyframe of a layer (index into Layers).
	WantKeyframe func(layer int)
	// WantLayers is called, from any goroutine, when it changes which layers anybody watches; nil: nobody has to know.
	WantLayers func(wanted [MaxLayers]bool)
}

// VideoTrack is a published video track. It outlives the link: after an outage it is published again by itself. Implemented by livekit.VideoTrack.
type VideoTrack interface {
	// WriteVideo sends one packet of a layer. Numbers and timestamps are the caller's, and go on within a layer. Calls for one layer are made one after
	// the other. While the SFU is away packets are dropped without an error.
	WriteVideo(layer int, p *VideoPacket) error
	// SetMuted tells the room that the picture is off for now, or on again.
	SetMuted(ctx context.Context, muted bool) error
	// Unpublish takes the track out of the room.
	Unpublish()
}

// Screen is a leg that shows and sends pictures, besides being a Leg. Implemented by guest.Leg and federation.Leg.
type Screen interface {
	// Codecs are what it can show, best first. They do not change while it is attached.
	Codecs() []VideoCodec
	// Attach gives the leg its place in front of the room's stage when the call has entered a room, and nil when it leaves: nothing of the old place
	// is used after Attach(nil) has returned.
	Attach(p Place)
	// Show tells how everything is now. It is called from one goroutine at a time, no more than five times a second, and must not block. One call may still
	// come after Attach(nil).
	Show(s *Scene)
	// WriteVideo is a packet for a tile (index into View.Tiles). What a tile shows changes only with a keyframe, and then numbers, timestamps and picture
	// ids go on without a gap; the format may change then. It is called from one goroutine at a time, and should not block: while it does, packets up
	// to the next keyframe are dropped.
	WriteVideo(tile int, p *VideoPacket)
	// WantKeyframe asks the far end for a keyframe of what it sends. It may be called from any goroutine, and no more than twice a second per layer.
	WantKeyframe(source Source, layer int)
}

// Place is what a Screen talks to. No method blocks; all may be called from any goroutine. Implemented by the stage's place.
type Place interface {
	// Start says that the far end sends its camera, or shares its screen, and how. A Start for a source that runs replaces it. ErrForbidden: the grant or
	// the room does not allow it; it says so in Scene, too.
	Start(source Source, codec VideoCodec, layers []Layer) error
	// WriteVideo is a packet that the far end sent. What was not started is dropped. Packets of one layer come one after the other; after a Start that
	// follows a Stop their numbers, timestamps and picture ids may be others: in the room they go on.
	WriteVideo(source Source, layer int, p *VideoPacket)
	// Stop says that it does not any more. A camera stays in the room as muted, a shared screen is taken out of it.
	Stop(source Source)
	// View says what the far end wants to see from now on.
	View(v View)
	// WantKeyframe says that the far end needs a keyframe for a tile (PLI, FIR). It may be called for every such request.
	WantKeyframe(tile int)
}

// MaxTiles is how many tiles a far end may have.
const MaxTiles = 25

// View is what a far end wants to see.
type View struct {
	Tiles []Tile // at most MaxTiles; the first is the most important one
	Kbps  int    // what all tiles together may take, by the leg's estimate of its path; 0: no bound
	Rate  int    // pictures a second of each; 0: no bound
}

// Tile is one picture of a View.
type Tile struct {
	// Seat is whom to show. 0 leaves it to the stage: shared screens first, then who speaks, then who spoke before. No two such tiles show the same.
	Seat   SeatID
	Source Source // with a Seat: Camera or Content; empty: Content if there is, else Camera. Without: Camera leaves shared screens out, Content all else
	Height int    // pixels on the page; 0: nothing for now
	Rest   bool   // it is chosen and told, but not sent for now: nobody looks
}

// SeatID names one participant to the far end. It is not told to anybody else, and not used for anybody else in the room:
// who comes back has the same.
type SeatID uint32

// Scene is what a far end may know of its room. Nobody changes one that has been shown.
type Scene struct {
	People   int      // in the room, this guest included; 0: not to be known
	Seats    []Seat   // all others, in the order of their coming; nil: not to be known
	Edition  uint64   // changes when Seats does
	Speakers []SeatID // who speaks, the loudest first; nil without Seats
	Tiles    []Shown  // what each tile of the View shows
	Camera   Sending
	Content  Sending
}

// Seat is another participant.
type Seat struct {
	ID      SeatID
	Name    string
	Phone   bool
	Muted   bool // no open microphone
	Hand    bool // raised
	Camera  bool // can be shown
	Content bool // can be shown
}

// Shown is what a tile shows.
type Shown struct {
	Seat     SeatID // 0: nobody, or not to be known
	Source   Source // empty: nothing is shown
	Speaking bool
	// Width and Height are those of the whole picture as its sender announced it; 0: not known.
	Width, Height int
	Waiting       bool // for bandwidth, or for the first keyframe: what is seen is old or black
	Unfit         bool // there is a picture, in a format that the far end cannot show
}

// Sending says how it stands with what the far end may send.
type Sending struct {
	Allowed bool            // by grant and room
	Live    bool            // it is in the room
	Wanted  [MaxLayers]bool // which layers anybody watches: the others need not be sent
	Height  int             // lines, at most; 0: no bound
	Rate    int             // pictures a second, at most; 0: no bound
	Kbps    int             // at most; 0: no bound
}
