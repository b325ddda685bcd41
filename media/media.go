// Package media is the RTP side of a leg: ports, SRTP, RTCP, order, statistics and telephone-events. SIP and H.323 share it.
//
// The way in is: socket → source → SRTP → RTCP aside, telephone-events aside → order → Sink. The way out is: WriteFrame → packet time → RTP
// header → SRTP → socket. Nothing is decoded here.
//
// A Stream has no goroutine of its own. A few readers, one for each processor, read the sockets of all streams.
package media

import (
	"net/netip"
	"time"

	"passerelle/transcode"
)

// Frame is one received audio packet. Payload is only valid until the sink returns.
type Frame struct {
	Codec     *transcode.Codec
	Payload   []byte
	Sequence  uint16 // comfort noise and telephone-events have numbers, too, and are left out
	Timestamp uint32 // in units of Codec.ClockRate; a gap stays a gap
	Marker    bool   // first of a talk spurt
	Arrival   time.Time
}

// Sink takes a stream's frames in the order in which they were sent, one after the other. It is implemented by bridge's uplink and by the
// playout buffer. It must not block.
type Sink interface {
	WriteFrame(f *Frame)
}

// Stats is the quality of one stream so far, by our own count and by the far end's reports.
type Stats struct {
	PacketsSent, PacketsReceived uint64
	BytesSent, BytesReceived     uint64
	Lost                         uint64        // packets that never came, by sequence number
	Late, Duplicate, Invalid     uint64        // packets that were dropped, and why
	Foreign                      uint64        // dropped: from another source than the agreed one
	Flooded                      uint64        // dropped: more than any codec sends, and digits more than a hand types
	Jitter                       time.Duration // RFC 3550, section 6.4.1
	FarLost                      uint32        // lost on the way to the far end, as it reports
	FarJitter                    time.Duration
	RoundTrip                    time.Duration  // 0: no report yet
	Encryption                   string         // the SRTP profile's name, or "none"
	Remote                       netip.AddrPort // where packets go now; the zero value: nowhere yet
}
