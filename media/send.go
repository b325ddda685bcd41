package media

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// ErrFrame says that a frame cannot be one of the agreed codec's.
var ErrFrame = errors.New("media: not a frame of the stream's codec")

// sender is the way out. Everything is under mu.
type sender struct {
	mu        sync.Mutex
	to        netip.AddrPort
	ssrc      uint32
	sequence  uint16    // of the next packet
	timestamp uint32    // of the next unit of audio that is written
	due       time.Time // when that unit's time has come, by the frames so far; zero: nothing was sent yet
	pause     bool      // something was left out: the next packet is the first of a talk spurt
	digit     bool      // a telephone-event is being sent instead of audio

	buf       [maxPacket]byte // header, then payload, then room for SRTP's tag
	filled    int             // payload bytes that wait for a full packet
	filledAt  uint32          // their timestamp
	filledNew bool            // their marker

	typing  chan struct{} // holds a token while a digit is being sent
	packets uint64
	octets  uint64 // of payload (RFC 3550, section 6.4.1)
	bytes   uint64
}

// WriteFrame sends one encoded frame. samples is its duration in units of Codec().ClockRate: 20 ms of G.722 are 160, of Opus 960. marker begins
// a talk spurt: the time in which nothing was written is left out of the timestamps then. An empty payload says that so much time passes in
// silence. G.711, G.722 and L16 are cut and joined to the agreed packet time; an Opus frame is one packet. While nothing can be sent (no terms
// yet, hold, no address, no key, a telephone-event) the frame is dropped and its time passes. It keeps nothing of payload.
func (s *Stream) WriteFrame(payload []byte, samples int, marker bool) error {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	t := s.terms.Load()
	if t == nil {
		return nil
	}
	if err := t.check(payload, samples); err != nil {
		return err
	}
	o.catchUp(t, samples, marker, time.Now())
	return s.write(t, payload, samples, marker)
}

// check refuses what cannot be a frame of the codec.
func (t *terms) check(payload []byte, samples int) error {
	fits := len(payload) <= maxPayload
	if t.unit != 0 {
		fits = len(payload) == 0 || len(payload) == samples*t.unit
	}
	if samples <= 0 || samples > t.Codec.ClockRate || !fits {
		return fmt.Errorf("%w: %d bytes for %d samples of %s", ErrFrame, len(payload), samples, t.Codec.Name)
	}
	return nil
}

// write does WriteFrame's work on a checked frame.
func (s *Stream) write(t *terms, payload []byte, samples int, marker bool) error {
	o := &s.out
	at := o.timestamp
	o.timestamp += uint32(samples)
	o.due = o.due.Add(units(samples, t.Codec.ClockRate))
	if !t.SendEnabled || o.digit || !usable(o.to) || t.protected && t.keys() == nil {
		o.filled, o.pause = 0, true
		return nil
	}
	if marker || len(payload) == 0 {
		if err := s.flush(t); err != nil {
			return err
		}
	}
	marker = marker || o.pause
	o.pause = len(payload) == 0
	if len(payload) == 0 {
		return nil
	}
	if t.unit == 0 {
		copy(o.buf[headerSize:], payload)
		return s.emit(t, t.SendPT, marker, at, len(payload))
	}
	for len(payload) > 0 {
		if o.filled == 0 {
			o.filledAt, o.filledNew, marker = at, marker, false
		}
		n := copy(o.buf[headerSize+o.filled:headerSize+t.chunk], payload)
		payload = payload[n:]
		at += uint32(n / t.unit)
		if o.filled += n; o.filled == t.chunk {
			if err := s.flush(t); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush sends the bytes that wait for a full packet.
func (s *Stream) flush(t *terms) error {
	n := s.out.filled
	if n == 0 {
		return nil
	}
	s.out.filled = 0
	return s.emit(t, t.SendPT, s.out.filledNew, s.out.filledAt, n)
}

// catchUp moves the timestamp over a silence in which nothing was written, by whole frames. Within a talk spurt a late frame is only late,
// unless it is so late that nobody could take it for that.
func (o *sender) catchUp(t *terms, samples int, marker bool, now time.Time) {
	if o.due.IsZero() {
		o.due = now
	}
	frame := units(samples, t.Codec.ClockRate)
	if late := now.Sub(o.due); late > time.Second || marker && late > frame {
		frames := late / frame
		o.timestamp += uint32(int64(frames) * int64(samples))
		o.due = o.due.Add(frames * frame)
	}
}

// clock is the timestamp of this moment.
func (o *sender) clock(now time.Time, rate int) uint32 {
	if o.due.IsZero() {
		o.due = now
	}
	late := max(now.Sub(o.due), 0)
	return o.timestamp + uint32(int64(late/time.Microsecond)*int64(rate)/1e6)
}

// units is the duration of so many units of a clock.
func units(n, rate int) time.Duration {
	return time.Duration(n) * time.Second / time.Duration(rate)
}

// emit sends the n payload bytes that are in the buffer. o.mu is held.
func (s *Stream) emit(t *terms, pt uint8, marker bool, timestamp uint32, n int) error {
	o := &s.out
	putHeader(o.buf[:], pt, marker, o.sequence, timestamp, o.ssrc)
	o.sequence++
	b := o.buf[:headerSize+n]
	if t.protected {
		k := t.keys()
		if k == nil {
			return nil
		}
		var err error
		if b, err = k.encryptRTP(b); err != nil {
			return err
		}
	}
	o.packets++
	o.octets += uint64(n)
	o.bytes += uint64(len(b))
	return s.rtp.send(b, o.to) // the address was permitted when it was set or learnt
}
