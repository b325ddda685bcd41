package bridge

import (
	"time"

	"passerelle/media"
	"passerelle/transcode"
)

// timeline carries a leg's sequence numbers and timestamps over to the track that it is published on. Steps are kept: a gap of 60 ms on one
// side is a gap of 60 ms on the other. A jump that is no gap, as after a transfer in the carrier's network, becomes the time that really passed.
type timeline struct {
	out      uint32 // where the next packet would begin, 48 kHz
	sequence uint16 // of the last packet sent
	marker   bool   // the next packet begins a talk spurt

	started   bool
	next      uint32 // the timestamp that the next packet should have, in the leg's clock
	last      uint16 // the leg's last sequence number
	lastAt    time.Time
	clockRate int
}

// longestGap is the longest step that is still taken for a gap.
const longestGap = 10 * time.Second

// place finds where a packet begins on the track, in 48 kHz units, and how many packets were lost just before it. samples is its duration at 48 kHz.
func (t *timeline) place(f *media.Frame, samples int) (at uint32, lost int) {
	ticks := int64(transcode.Rate / f.Codec.ClockRate)
	step := int64(int32(f.Timestamp-t.next)) * ticks
	missing := int(f.Sequence - t.last - 1)
	switch {
	case !t.started:
		step, missing = 0, 0
		t.marker = true
	case t.clockRate != f.Codec.ClockRate || abs(step) > int64(longestGap.Seconds()*transcode.Rate):
		step, missing = max(0, int64(f.Arrival.Sub(t.lastAt).Seconds()*transcode.Rate)-int64(samples)), 0
		t.marker = true
	case missing > int(longestGap/(10*time.Millisecond)):
		missing = 0
	}
	at = t.out + uint32(step)
	t.out = at + uint32(samples)
	t.next = f.Timestamp + uint32(int64(samples)/ticks)
	t.started, t.last, t.lastAt, t.clockRate = true, f.Sequence, f.Arrival, f.Codec.ClockRate
	return at, missing
}

// advance takes samples of time for a packet of our own.
func (t *timeline) advance(samples int) uint32 {
	at := t.out
	t.out += uint32(samples)
	return at
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}
