package media

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// ErrNoEvents says that the far end takes no telephone-events.
var ErrNoEvents = errors.New("media: the far end takes no telephone-events")

// How digits are sent (RFC 4733, sections 2.5.1.3 and 2.5.1.4).
const (
	digitEvery  = 20 * time.Millisecond
	digitVolume = 10 // -dBm0
	digitEnds   = 3  // packets that say the end, so that one arrives
	digitPause  = 60 * time.Millisecond
)

// SendDigit presses a key for so long, 40 ms to 1.3 s, and returns when the next may be pressed. Audio is left out meanwhile. Calls at the same
// time wait for each other.
func (s *Stream) SendDigit(ctx context.Context, digit byte, duration time.Duration) error {
	code := strings.IndexByte(digitKeys, digit)
	if code < 0 {
		return fmt.Errorf("media: %q is not a key of a telephone", digit)
	}
	select {
	case s.out.typing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return net.ErrClosed
	}
	defer func() { <-s.out.typing }()
	t := s.terms.Load()
	if t == nil || t.EventRate == 0 {
		return ErrNoEvents
	}
	duration = min(max(duration, 40*time.Millisecond), 1300*time.Millisecond)
	start, err := s.beginDigit(t)
	if err != nil {
		return err
	}
	defer s.endDigit()
	return s.sendEvent(ctx, event{code: uint8(code), volume: digitVolume}, start, duration)
}

// beginDigit stops the audio and gives the event its timestamp: the audio's, now.
func (s *Stream) beginDigit(t *terms) (uint32, error) {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	err := s.flush(t)
	o.digit = true
	return o.clock(time.Now(), t.Codec.ClockRate), err
}

// endDigit lets audio through again.
func (s *Stream) endDigit() {
	s.out.mu.Lock()
	s.out.digit = false
	s.out.mu.Unlock()
}

// sendEvent sends one event's packets on their times and waits the pause after it.
func (s *Stream) sendEvent(ctx context.Context, e event, start uint32, duration time.Duration) error {
	tick := time.NewTicker(digitEvery)
	defer tick.Stop()
	var sent time.Duration
	for ends := 0; ends < digitEnds; {
		if !e.end {
			sent = min(sent+digitEvery, duration)
			e.end = sent == duration || ctx.Err() != nil
		}
		if e.end {
			ends++
		}
		if err := s.emitEvent(e, start, sent); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-s.done:
			return net.ErrClosed
		}
	}
	if !s.sleep(digitPause) {
		return net.ErrClosed
	}
	return ctx.Err()
}

// emitEvent sends one packet of an event that has lasted for so long. The first of them has the marker.
func (s *Stream) emitEvent(e event, start uint32, sent time.Duration) error {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	t := s.terms.Load()
	if !t.SendEnabled || t.EventRate == 0 || !usable(o.to) {
		return nil
	}
	e.duration = uint16(min(int64(sent)*int64(t.EventRate)/int64(time.Second), 0xffff))
	e.put(o.buf[headerSize:])
	return s.emit(t, t.EventPT, sent == digitEvery, start, 4)
}
