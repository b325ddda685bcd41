package playout

import (
	"passerelle/media"
	"passerelle/transcode"
)

// slots is how many packets a ring has room for: 2.5 s of 20 ms packets.
const slots = 128

// slot is the place of one packet. Its memory is used again and again, and grows to the longest payload of the stream.
type slot struct {
	sequence int64
	at       int64 // media time of its first sample
	full     bool
	codec    transcode.Codec
	payload  []byte
}

// ring keeps packets by their sequence number until they are taken, in order.
type ring struct {
	slots [slots]slot
	taken int64 // the newest packet that was taken or given up
	last  int64 // the newest packet that came
}

// What put did with a packet.
type verdict int

const (
	stored verdict = iota
	overrun
	duplicate
	tooLate
)

// put stores a packet. sequence must not be older than the ring is long.
func (r *ring) put(sequence, at int64, f *media.Frame) verdict {
	s := &r.slots[sequence%slots]
	if s.sequence == sequence {
		return duplicate
	}
	if sequence <= r.taken {
		if !s.full {
			s.sequence = sequence // its duplicate will be known
		}
		return tooLate
	}
	v := stored
	if s.full {
		if s.sequence > sequence {
			return tooLate
		}
		v = overrun
	}
	r.last = max(r.last, sequence)
	if oldest := r.last - slots; r.taken < oldest {
		r.taken = oldest
	}
	*s = slot{sequence: sequence, at: at, full: true, codec: *f.Codec, payload: append(s.payload[:0], f.Payload...)}
	return v
}

// next is the oldest packet that is there, or nil.
func (r *ring) next() *slot {
	for q := r.taken + 1; q <= r.last; q++ {
		if s := &r.slots[q%slots]; s.full && s.sequence == q {
			return s
		}
	}
	return nil
}

// take removes the packet that next returned.
func (r *ring) take(s *slot) {
	s.full = false
	r.taken = s.sequence
}

// clear empties the ring. The packet after taken is the first that it will hold.
func (r *ring) clear(taken int64) {
	for i := range r.slots {
		r.slots[i].full, r.slots[i].sequence = false, 0
	}
	r.taken, r.last = taken, taken
}
