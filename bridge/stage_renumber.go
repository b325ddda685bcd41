package bridge

import "time"

// renumber gives the packets of one tile, or of one layer towards the SFU, numbers, timestamps and picture ids that go on whatever is shown. It changes
// what it adds only where something else begins, and between two such points losses stay losses: a number that never came is one that the receiver can
// ask for.
type renumber struct {
	begun bool
	first int64 // number in the source, of the packet at which what is shown now began
	top   int64 // highest number in the source since

	seq      uint16   // added to numbers
	time     uint32   // added to timestamps
	count    counters // added to picture ids
	lastSeq  uint16   // highest that was sent
	lastTime uint32   // of that packet
	lastAt   time.Time
	last     counters // of the newest picture
}

// scratch is where a packet's picture ids are changed: the packet itself is shared.
type scratch struct {
	payload    [maxVideoPacket]byte
	dependency [256]byte
}

// restart begins anew at a packet: with another source, or the same after a gap.
func (r *renumber) restart(p *packet, sameSource bool) {
	r.first, r.top = p.number, p.number
	if !r.begun {
		r.begun, r.lastAt = true, p.arrival
		r.lastSeq, r.lastTime = uint16(p.number)-1, p.timestamp
		return
	}
	r.seq = r.lastSeq + 1 - uint16(p.number)
	if !sameSource {
		ticks := max(p.arrival.Sub(r.lastAt).Seconds()*VideoRate, 1)
		r.time = r.lastTime + uint32(min(ticks, 1<<31-1)) - p.timestamp
	}
	r.count = r.last.plus(counters{1, 1, 1}).minus(p.marks.read(p.payload, p.dependency))
}

// apply fills out from a packet, with the help of own, or answers false for one from before the restart.
func (r *renumber) apply(p *packet, out *VideoPacket, own *scratch) bool {
	if p.number < r.first {
		return false
	}
	out.Codec, out.Marker, out.Arrival = p.codec, p.marker, p.arrival
	out.Sequence, out.Timestamp = uint16(p.number)+r.seq, p.timestamp+r.time
	out.Payload, out.Dependency = p.payload, nil
	if len(p.dependency) > 0 {
		out.Dependency = p.dependency
	}
	if p.number >= r.top {
		r.top, r.lastSeq, r.lastTime, r.lastAt = p.number, out.Sequence, out.Timestamp, p.arrival
	}
	if len(p.payload) == 0 {
		return true
	}
	count := p.marks.read(p.payload, p.dependency).plus(r.count)
	if p.number == r.first || count.after(r.last) {
		r.last = count
	}
	if r.count != (counters{}) {
		out.Payload = own.payload[:copy(own.payload[:], p.payload)]
		if out.Dependency != nil {
			out.Dependency = own.dependency[:copy(own.dependency[:], p.dependency)]
		}
		p.marks.write(out.Payload, out.Dependency, count)
	}
	return true
}
