package playout

import (
	"slices"

	"passerelle/media"
	"passerelle/transcode"
)

// How many packets a ring has room for: 2.5 s of 20 ms packets, and while nobody reads 0.6 s. Most streams are silent most of the time, and what they keep
// then is memory that no cache holds.
const (
	slots = 128
	few   = 32 // slots is a multiple of it
)

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
	slots []slot // few or slots of them
	taken int64  // the newest packet that was taken or given up
	last  int64  // the newest packet that came
}

// What put did with a packet.
type verdict int

const (
	stored verdict = iota
	overrun
	duplicate
	tooLate
)

func (r *ring) slot(sequence int64) *slot { return &r.slots[sequence%int64(len(r.slots))] }

// resize makes room for n packets, few or slots. The newest stay.
func (r *ring) resize(n int) {
	if n == len(r.slots) {
		return
	}
	all := slices.Grow(r.slots, max(0, n-len(r.slots)))[:max(n, len(r.slots))]
	for q := r.last - few + 1; q <= r.last; q++ {
		from, to := q%int64(len(r.slots)), q%int64(n)
		all[from], all[to] = all[to], all[from]
	}
	for i := n; i < len(all); i++ {
		all[i].full, all[i].sequence = false, 0 // its memory will be used again
	}
	r.slots, r.taken = all[:n], max(r.taken, r.last-int64(n))
}

// put stores a packet. sequence must not be older than the ring is long.
func (r *ring) put(sequence, at int64, f *media.Frame) verdict {
	s := r.slot(sequence)
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
	if oldest := r.last - int64(len(r.slots)); r.taken < oldest {
		r.taken = oldest
	}
	*s = slot{sequence: sequence, at: at, full: true, codec: *f.Codec, payload: append(s.payload[:0], f.Payload...)}
	return v
}

// next is the oldest packet that is there, or nil.
func (r *ring) next() *slot {
	for q := r.taken + 1; q <= r.last; q++ {
		if s := r.slot(q); s.full && s.sequence == q {
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
