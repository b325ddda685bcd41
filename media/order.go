package media

import "time"

// The reordering window: packets after a missing one wait for it until there are this many of them or the first has waited this long.
const (
	orderPackets = 4
	orderWait    = 40 * time.Millisecond
)

// verdict is what became of a packet.
type verdict uint8

const (
	inOrder   verdict = iota // passed on, or held
	late                     // its turn is over
	duplicate                // it was there already
)

// order puts packets into the order of their sequence numbers. A packet in its turn passes at once. While exactly one packet is missing, the
// ones after it wait; a longer gap is loss and passes as a gap at once. The zero value takes the first packet as the first in order.
type order struct {
	started bool
	next    uint16 // the sequence number that is due
	seen    uint64 // bit i: next-1-i was passed on
	held    [orderPackets]*packet
	count   int       // packets in held, which hold consecutive numbers from next+1 on
	since   time.Time // arrival of the first held packet
}

// push appends what is due now to out. A packet that is not inOrder stays the caller's.
func (o *order) push(p *packet, out []*packet) ([]*packet, verdict) {
	if !o.started {
		o.started, o.next = true, p.sequence
	}
	ahead := int(int16(p.sequence - o.next))
	switch {
	case ahead < 0:
		if back := -ahead - 1; back < 64 && o.seen&(1<<back) != 0 {
			return out, duplicate
		}
		return out, late
	case ahead == 0:
		return o.drain(o.pass(p, out)), inOrder
	case ahead <= o.count:
		return out, duplicate
	case ahead > o.count+1: // a second one is missing
		return o.pass(p, o.drain(out)), inOrder
	}
	if o.count == 0 {
		o.since = p.arrival
	}
	o.held[o.count] = p
	if o.count++; o.count == orderPackets {
		out = o.drain(out)
	}
	return out, inOrder
}

// expire appends what has waited too long.
func (o *order) expire(now time.Time, out []*packet) []*packet {
	if o.count > 0 && now.Sub(o.since) >= orderWait {
		out = o.drain(out)
	}
	return out
}

// deadline says until when the held packets wait; false: there are none.
func (o *order) deadline() (time.Time, bool) {
	return o.since.Add(orderWait), o.count > 0
}

// flush appends what is held and forgets the rest: another source follows.
func (o *order) flush(out []*packet) []*packet {
	out = o.drain(out)
	*o = order{}
	return out
}

// drain passes all held packets on.
func (o *order) drain(out []*packet) []*packet {
	for i := range o.count {
		out = o.pass(o.held[i], out)
		o.held[i] = nil
	}
	o.count = 0
	return out
}

// pass appends one packet and counts up to it.
func (o *order) pass(p *packet, out []*packet) []*packet {
	o.seen = o.seen<<(p.sequence-o.next+1) | 1
	o.next = p.sequence + 1
	return append(out, p)
}
