// Package playout turns one incoming stream of packets into an even flow of sound: the buffer in front of the mixer.
//
// A Buffer waits as little as the stream's own jitter allows. It knows the transit of each packet (arrival minus timestamp), takes the late ones
// among the last packets as the deadline, and moves its place in the stream to it: later by repeating a pitch period or lengthening a pause, as
// soon as packets come too late; earlier by leaving one out, slowly, or fast after a stall. The same correction keeps up with a sender whose
// clock is not ours. What is lost is concealed by the codec, or restored from the next packet (Opus FEC) when that is already there.
//
// Packets are kept as they came and decoded when they are read: a stream that nobody reads costs a copy. Time is counted in units of 1/48000 s,
// whatever the rate at which the sound is read.
package playout

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"passerelle/media"
	"passerelle/transcode"
)

// Config is what may be set. The zero value is right for calls.
type Config struct {
	Start time.Duration    // delay on top of the first packets', until enough is known of the jitter; default 20 ms
	Max   time.Duration    // most that is kept of a stream: what is older is dropped; default 600 ms
	Now   func() time.Time // default time.Now; the clock of Frame.Arrival
}

// Bounds of what is taken from a stream.
const (
	maxPayload = 1500  // bytes
	maxPacket  = 5760  // 120 ms, the longest packet
	frame20    = 960   // 20 ms, the frame of the mixer
	maxJump    = 1000  // packets
	maxSkew    = 96000 // 2 s: how far timestamps may part from time within one stream
	lateInARow = 50    // packets that are all too old are a stream that began anew
	silence    = -127  // dBov
)

// Buffer is the playout buffer of one stream. Frames are written by one goroutine and read by another one.
type Buffer struct {
	cfg   Config
	epoch time.Time
	given atomic.Int32 // the level of the next packet as its sender gave it, or noLevel
	level atomic.Int32 // the loudest packet since Level was last called, dBov

	mu     sync.Mutex
	ring   ring
	track  track
	timing timing
	unread int // packets written since the last Read
	hushed int // bytes of the longest Opus packet that held only silence
	stats  Stats

	reader // owned by the reading goroutine
}

// noLevel says that the sender gave no level.
const noLevel = 1

// track is where a stream is, by its newest packet.
type track struct {
	started    bool
	clock      int    // of its timestamps, Hz
	sequence   int64  // extended
	timestamp  uint32 // as it came
	at         int64  // the same in samples, extended
	arrival    int64
	suspect    uint16 // the sequence number of a packet that did not belong to the stream
	suspicious bool
	late       int // packets in a row that were too old
	generation int // counts the streams that there were
}

// Stats says how a stream is doing.
type Stats struct {
	Target    time.Duration // the delay that the jitter asks for
	Delay     time.Duration // from the arrival of the fastest packets to their sound being read
	Concealed time.Duration // sound that was made up, FEC not included
	Restored  time.Duration // sound that came from FEC
	Stretched time.Duration // sound that was added to wait longer, or to keep up with a slow clock
	Squeezed  time.Duration // sound that was left out to wait less, or to keep up with a fast clock
	Late      uint64        // packets that came when their time was over
	Duplicate uint64        // packets that had come before
	Dropped   uint64        // packets that found no room, or were too old when their turn came
	Invalid   uint64        // packets that were no packets of this stream or did not decode
	Restarts  uint64        // streams that began anew, after the first
	Drift     float64       // how much faster than ours the sender's clock is, in ppm
}

// New makes a buffer. Its stream may turn to any other codec later.
func New(codec transcode.Codec, cfg Config) (*Buffer, error) {
	if cfg.Start == 0 {
		cfg.Start = 20 * time.Millisecond
	}
	if cfg.Max == 0 {
		cfg.Max = 600 * time.Millisecond
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	b := &Buffer{cfg: cfg, epoch: cfg.Now()}
	b.timing.start = samples(cfg.Start)
	b.ring.slots = make([]slot, few)
	b.ring.clear(1 << 16) // sequence numbers are counted from there
	b.given.Store(noLevel)
	b.level.Store(silence)
	b.reader.init()
	if _, ok := transcode.Lookup(codec.Name, codec.ClockRate); !ok {
		return nil, fmt.Errorf("playout: no decoder for %q", codec.Name)
	}
	return b, nil
}

// SetLevel gives the level of the packet that is written next, in dBov from -127 to 0 (RFC 6464, which sends it with the sign turned). It is for
// the writing goroutine.
func (b *Buffer) SetLevel(dBov int) { b.given.Store(int32(min(max(dBov, silence), 0))) }

// Level is the loudest that was written since it was last called, in dBov: -127 is silence. It knows before the sound is read, and decodes nothing.
func (b *Buffer) Level() int { return int(b.level.Swap(silence)) }

// WriteFrame takes one packet. It keeps a copy of the payload.
func (b *Buffer) WriteFrame(f *media.Frame) {
	given := int(b.given.Swap(noLevel))
	if f.Codec == nil || f.Codec.ClockRate < 8000 || f.Codec.ClockRate > 192000 || len(f.Payload) == 0 || len(f.Payload) > maxPayload {
		b.mu.Lock()
		b.stats.Invalid++
		b.mu.Unlock()
		return
	}
	arrival := f.Arrival
	if arrival.IsZero() {
		arrival = b.cfg.Now()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.place(f, samples(arrival.Sub(b.epoch))) {
		if b.unread = min(b.unread+1, unreadFrames); b.unread == unreadFrames {
			b.ring.resize(few)
		}
		b.hear(f, given)
	}
}

// place puts a packet where it belongs in the stream, and says whether there is such a place.
func (b *Buffer) place(f *media.Frame, arrival int64) bool {
	t := &b.track
	if !t.started {
		b.begin(f, arrival)
	}
	step := int64(int16(f.Sequence - uint16(t.sequence)))
	at := t.at + int64(int32(f.Timestamp-t.timestamp))*transcode.Rate/int64(t.clock)
	old := step < 0 && step > -3*maxJump && at <= t.at && f.Codec.ClockRate == t.clock
	skew := (at - t.at) - (arrival - t.arrival)
	switch {
	case old && (step <= -int64(len(b.ring.slots)) || skew < -maxSkew):
		b.stats.Late++
		if t.late++; t.late < lateInARow {
			return false
		}
		b.begin(f, arrival)
		step, at = 0, 0
	case !old && (f.Codec.ClockRate != t.clock || step > maxJump || step < -maxJump || skew > maxSkew || skew < -maxSkew):
		// One stray packet does not end a stream; two that follow each other begin a new one.
		if !t.suspicious || f.Sequence != t.suspect+1 {
			t.suspicious, t.suspect = true, f.Sequence
			b.stats.Invalid++
			return false
		}
		b.begin(f, arrival)
		step, at = 0, 0
	}
	t.suspicious = false
	sequence := t.sequence + step
	switch b.ring.put(sequence, at, f) {
	case duplicate:
		b.stats.Duplicate++
		return false
	case tooLate:
		b.stats.Late++
		t.late++
		b.timing.note(sequence, at, arrival)
		return false
	case overrun:
		b.stats.Dropped++
	}
	t.late = 0
	b.timing.note(sequence, at, arrival)
	if step > 0 {
		t.sequence, t.timestamp, t.at, t.arrival = sequence, f.Timestamp, at, arrival
	}
	return true
}

// begin forgets the stream so far and takes f as the first packet of a new one.
func (b *Buffer) begin(f *media.Frame, arrival int64) {
	if b.track.started {
		b.stats.Restarts++
	}
	b.track = track{
		started: true, clock: f.Codec.ClockRate, sequence: int64(f.Sequence) + 1<<16, timestamp: f.Timestamp, arrival: arrival,
		generation: b.track.generation + 1,
	}
	b.ring.clear(b.track.sequence - 1)
	b.timing = timing{start: b.timing.start}
}

// Stats is the state of the stream.
func (b *Buffer) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Drift = b.timing.drift()
	return s
}

// Close frees what the decoders hold. It must not be called while Read runs.
func (b *Buffer) Close() { b.reader.close() }

// samples is a duration in samples at 48 kHz.
func samples(d time.Duration) int64 {
	return int64(d) * (transcode.Rate / 1000) / int64(time.Millisecond)
}

// duration is the inverse of samples.
func duration(n int64) time.Duration {
	return time.Duration(n) * time.Millisecond / (transcode.Rate / 1000)
}
