package media

import "time"

// When a packet belongs to the stream that is heard (after RFC 3550, appendix A.1, made harder to fool).
const (
	maxDropout  = 1000                  // a longer jump forwards is a restart, not loss
	maxMisorder = 100                   // the same backwards
	pause       = 50 * time.Millisecond // before another source can take over with two packets in a row
	silence     = 2 * time.Second       // after which whoever comes first is taken
)

// admission is what a source says to a packet.
type admission uint8

const (
	refused admission = iota
	accepted
	restarted // accepted, and nothing before it counts: another source, or a sequence that began anew
)

// source follows the one SSRC that is heard: its sequence numbers, losses and jitter. The zero value takes the first packet's.
type source struct {
	active   bool
	ssrc     uint32
	base     uint32 // first extended sequence number
	highest  uint32 // highest extended sequence number: wraps in the upper half
	received uint32 // packets since base, without duplicates
	lost     uint64 // of earlier sources and sequences
	last     time.Time

	candidate, candidateSeq uint32 // SSRC and the sequence number that would prove it; candidateSeq 1<<16: none
	badSeq                  uint32 // the sequence number that would prove a jump; 1<<16: none

	rate    int // of transit
	transit time.Duration
	jitter  time.Duration

	expectedPrior, receivedPrior uint32 // at the last report
}

// admit judges a packet by its SSRC and sequence number.
func (s *source) admit(ssrc uint32, seq uint16, now time.Time) admission {
	quiet := now.Sub(s.last)
	if !s.active || quiet >= silence && (ssrc != s.ssrc || s.jump(seq)) {
		return s.restart(ssrc, seq, now)
	}
	if ssrc != s.ssrc {
		if s.candidate == ssrc && s.candidateSeq == uint32(seq) && quiet >= pause {
			return s.restart(ssrc, seq, now)
		}
		s.candidate, s.candidateSeq = ssrc, uint32(seq+1)
		return refused
	}
	if s.jump(seq) {
		if s.badSeq == uint32(seq) {
			return s.restart(ssrc, seq, now)
		}
		s.badSeq = uint32(seq + 1)
		return refused
	}
	s.badSeq, s.last = 1<<16, now
	if ahead := seq - uint16(s.highest); ahead <= maxDropout {
		s.highest += uint32(ahead)
	}
	return accepted
}

// jump tells whether the number is too far from the highest to be loss or reordering.
func (s *source) jump(seq uint16) bool {
	ahead := int(int16(seq - uint16(s.highest)))
	return ahead > maxDropout || ahead < -maxMisorder
}

// restart begins to count anew.
func (s *source) restart(ssrc uint32, seq uint16, now time.Time) admission {
	*s = source{
		active: true, ssrc: ssrc, base: uint32(seq), highest: uint32(seq), lost: s.totalLost(), last: now,
		candidateSeq: 1 << 16, badSeq: 1 << 16,
	}
	return restarted
}

// forget lets the next packet be the first.
func (s *source) forget() { *s = source{lost: s.totalLost()} }

// expected counts the packets that were sent, by their numbers.
func (s *source) expected() uint32 {
	if !s.active {
		return 0
	}
	return s.highest - s.base + 1
}

// missing counts those of them that did not come.
func (s *source) missing() uint32 {
	if e := s.expected(); e > s.received {
		return e - s.received
	}
	return 0
}

// totalLost counts what never came, of this source and those before it.
func (s *source) totalLost() uint64 { return s.lost + uint64(s.missing()) }

// measure updates the jitter with an audio packet (RFC 3550, appendix A.8). Only differences count, so that the timestamp's start and wraps
// do not matter.
func (s *source) measure(timestamp uint32, rate int, arrival time.Time, epoch time.Time) {
	sent := time.Duration(timestamp) * time.Second / time.Duration(rate)
	transit := arrival.Sub(epoch) - sent
	d := (transit - s.transit).Abs()
	known := s.rate == rate
	s.rate, s.transit = rate, transit
	if !known || d > time.Second { // the first one, a wrapped timestamp, or a sender that started anew
		return
	}
	s.jitter += (d - s.jitter) / 16
}

// lossSince gives the loss fraction since the last report in 1/256 (RFC 3550, section 6.4.1), and the total.
func (s *source) lossSince() (fraction uint8, total uint32) {
	expected := s.expected()
	expectedNow, receivedNow := expected-s.expectedPrior, s.received-s.receivedPrior
	s.expectedPrior, s.receivedPrior = expected, s.received
	if expectedNow > receivedNow && expectedNow < 1<<24 {
		fraction = uint8(min(255, (expectedNow-receivedNow)<<8/expectedNow))
	}
	return fraction, min(s.missing(), 1<<23-1)
}
