package media

import (
	"encoding/binary"
	"time"
)

// keys of a telephone by event code (RFC 4733, section 3.2).
const digitKeys = "0123456789*#ABCD"

// Digits are believed as often as a machine dials them; a storm is not.
const (
	digitRate  = 20.0
	digitBurst = 20.0
)

// event is one telephone-event payload (RFC 4733, section 2.3).
type event struct {
	code     uint8
	end      bool
	volume   uint8  // -dBm0
	duration uint16 // so far, in units of the event's clock
}

// parseEvent reads the 4 bytes of an event.
func parseEvent(b []byte) (event, bool) {
	if len(b) < 4 {
		return event{}, false
	}
	return event{code: b[0], end: b[1]&0x80 != 0, volume: b[1] & 0x3f, duration: binary.BigEndian.Uint16(b[2:])}, true
}

// put writes the 4 bytes.
func (e event) put(b []byte) {
	b[0], b[1] = e.code, e.volume&0x3f
	if e.end {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], e.duration)
}

// digits turns events into key presses. A press is known by the timestamp of its beginning, which all its packets repeat, so it is reported
// once and at its first packet that comes, whichever that is. The zero value is ready.
type digits struct {
	started   bool
	ssrc      uint32
	timestamp uint32 // of the last press, or of its last segment
	code      uint8
	ended     bool
	last      time.Time
	storm     bucket
}

// Limits of what belongs together.
const (
	eventGap      = 500 * time.Millisecond // an older timestamp after this long is a new start, not a late packet
	segmentLength = 0xff00                 // a long press goes on in a new segment about here (RFC 4733, section 2.5.1.3)
)

// press takes one packet and tells the digit that it begins. flooded: it would be one too many.
func (d *digits) press(e event, ssrc, timestamp uint32, now time.Time) (digit byte, ok, flooded bool) {
	ahead := int32(timestamp - d.timestamp)
	known := d.started && d.ssrc == ssrc
	recent := known && now.Sub(d.last) < eventGap
	switch {
	case known && ahead == 0:
		d.ended, d.last = d.ended || e.end, now
		return 0, false, false
	case recent && ahead < 0: // a late packet of an earlier press
		return 0, false, false
	}
	continued := recent && !d.ended && e.code == d.code && ahead >= segmentLength && ahead <= 0xffff
	d.started, d.ssrc, d.timestamp, d.code, d.ended, d.last = true, ssrc, timestamp, e.code, e.end, now
	if continued || int(e.code) >= len(digitKeys) {
		return 0, false, false
	}
	if !d.storm.take(now, digitRate, digitBurst) {
		return 0, false, true
	}
	return digitKeys[e.code], true, false
}
