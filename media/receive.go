package media

import (
	"net/netip"
	"sync"
	"time"

	"passerelle/internal/egress"
)

// receiver is the way in. Only who holds the RTP socket's reading changes it, but for what Set resets; others read it under mu.
type receiver struct {
	mu     sync.Mutex
	latch  latch
	source source
	order  order
	digits digits
	rate   bucket
	stats  Stats

	due    [2*orderPackets + 1]*packet // scratch, as is frame
	frame  Frame
	waking *time.Timer // calls expire while packets wait for a missing one
	awake  bool        // it is set
}

// over tells whether the stream is closed.
func (s *Stream) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// sleep waits, and tells whether the stream is still open.
func (s *Stream) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.done:
		return false
	}
}

// receive is the RTP socket's handler.
func (s *Stream) receive(p *packet, n int, from netip.AddrPort, now time.Time) *packet {
	t := s.terms.Load()
	if t == nil {
		return p
	}
	switch class := classify(p.buf[:n]); {
	case class == classRTP:
		return s.receiveRTP(t, p, n, from, now)
	case class == classRTCP && t.RTCPMux:
		s.receiveRTCP(t, p.buf[:n], from, now)
	case class == classDTLS && t.dtls != nil:
		s.receiveDTLS(t, p.buf[:n], from)
	default:
		s.in.count(&s.in.stats.Invalid)
	}
	return p
}

// count adds one to a counter.
func (in *receiver) count(counter *uint64) {
	in.mu.Lock()
	*counter++
	in.mu.Unlock()
}

// receiveRTP judges one packet, puts it in order, and delivers what is due.
func (s *Stream) receiveRTP(t *terms, p *packet, n int, from netip.AddrPort, now time.Time) *packet {
	in := &s.in
	in.mu.Lock()
	due, digit, kept := s.judge(t, p, n, from, now)
	in.mu.Unlock()
	if digit != 0 && t.ReceiveEnabled {
		if f := s.onDigit.Load(); f != nil {
			(*f)(digit)
		}
	}
	if kept {
		p = nil
	}
	s.wait(now)
	return s.deliver(t, due, p)
}

// wait has expire called when the packets that wait have waited long enough.
func (s *Stream) wait(now time.Time) {
	deadline, held := s.in.order.deadline()
	if held && !s.in.awake {
		s.in.waking.Reset(deadline.Sub(now))
	}
	s.in.awake = held
}

// judge finds out what a packet is worth. in.mu is held. kept: the packet is in due, or waits.
func (s *Stream) judge(t *terms, p *packet, n int, from netip.AddrPort, now time.Time) (due []*packet, digit byte, kept bool) {
	in := &s.in
	known := from == in.latch.from
	if !in.latch.admits(from, t.Remote, now) || !known && !t.Pass.Permits(from.Addr(), egress.RTP) {
		in.stats.Foreign++
		return nil, 0, false
	}
	if !s.open(t, p, n) || t.kinds[p.pt] == kindUnknown {
		in.stats.Invalid++
		return nil, 0, false
	}
	if !in.rate.take(now, t.floodRate, t.floodRate) {
		in.stats.Flooded++
		return nil, 0, false
	}
	p.kind, p.codec, p.arrival = t.kinds[p.pt], t.codecs[p.pt], now
	if !known {
		in.source.forget()
	}
	due = in.due[:0]
	switch in.source.admit(p.ssrc, p.sequence, now) {
	case refused:
		in.stats.Foreign++
		return nil, 0, false
	case restarted:
		due = in.order.flush(due)
	}
	if in.latch.learn(from, now) && t.Symmetric {
		s.learnt(t, from)
	}
	s.heard(now)
	in.stats.PacketsReceived++
	in.stats.BytesReceived += uint64(n)
	var v verdict
	due, v = in.order.push(p, due)
	switch v {
	case duplicate:
		in.stats.Duplicate++
		return due, 0, false
	case late:
		in.stats.Late++
	}
	in.source.received++
	if p.kind == kindAudio {
		in.source.measure(p.timestamp, p.codec.ClockRate, now, s.opened)
	}
	if p.kind == kindEvent {
		digit = in.press(p, now)
	}
	return due, digit, v == inOrder
}

// open decrypts where that was agreed, and reads the header.
func (s *Stream) open(t *terms, p *packet, n int) bool {
	if !t.protected {
		return p.parse(n)
	}
	k := t.keys()
	if k == nil { // DTLS is not done: what comes now could be anyone's
		return false
	}
	n, err := k.decryptRTP(p.buf[:n])
	return err == nil && p.parse(n)
}

// press decodes a telephone-event.
func (in *receiver) press(p *packet, now time.Time) byte {
	e, ok := parseEvent(p.payload)
	if !ok {
		in.stats.Invalid++
		return 0
	}
	digit, ok, flooded := in.digits.press(e, p.ssrc, p.timestamp, now)
	if flooded {
		in.stats.Flooded++
	}
	if !ok {
		return 0
	}
	return digit
}

// learnt sends to where valid packets come from (RFC 4961).
func (s *Stream) learnt(t *terms, from netip.AddrPort) {
	s.out.mu.Lock()
	s.out.to = from
	s.out.mu.Unlock()
	if t.RTCPMux {
		s.reports.mu.Lock()
		s.reports.to = from
		s.reports.mu.Unlock()
	}
}

// expire delivers what has waited too long for a missing packet.
func (s *Stream) expire() {
	s.rtp.reading.Lock()
	defer s.rtp.reading.Unlock()
	t, now := s.terms.Load(), time.Now()
	if t == nil || s.over() {
		return
	}
	s.in.mu.Lock()
	due := s.in.order.expire(now, s.in.due[:0])
	s.in.mu.Unlock()
	s.in.awake = false
	s.wait(now)
	packets.Put(s.deliver(t, due, nil))
}

// deliver hands packets to the sink and returns one that is free: the given one, or one of those.
func (s *Stream) deliver(t *terms, due []*packet, free *packet) *packet {
	sink := s.sink.Load()
	for i, p := range due {
		due[i] = nil
		if p.kind == kindAudio && t.ReceiveEnabled && sink != nil && len(p.payload) > 0 {
			s.in.frame = Frame{p.codec, p.payload, p.sequence, p.timestamp, p.marker, p.arrival}
			(*sink).WriteFrame(&s.in.frame)
		}
		if free == nil {
			free = p
		} else {
			packets.Put(p)
		}
	}
	if free == nil {
		free = packets.Get().(*packet)
	}
	return free
}
