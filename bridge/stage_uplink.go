package bridge

// uplinkLayer gives what a leg sends in one layer numbers that go on in the room, whatever the leg's: a page that was loaded anew begins its own anew, and an
// SFU takes such packets for old ones and drops them. It is for one goroutine at a time.
type uplinkLayer struct {
	flow   *flow // that the last packet went to
	top    int64 // highest number of the leg, without wraps
	number renumber
	pace   pace
	in     packet
	out    VideoPacket
	own    *scratch
}

// pass answers the packet as the room gets it, which is good until the next one; nil: it is of no use there.
func (u *uplinkLayer) pass(f *flow, p *VideoPacket) *VideoPacket {
	if len(p.Payload) > maxVideoPacket || len(p.Dependency) > len(u.own.dependency) {
		return nil
	}
	u.in = packet{
		number: u.top + int64(int16(p.Sequence-uint16(u.top))), timestamp: p.Timestamp, marker: p.Marker, marks: inspect(p.Codec.Kind, p.Payload, p.Dependency),
		codec: p.Codec, payload: p.Payload, dependency: p.Dependency, arrival: p.Arrival,
	}
	ok, gap := u.pace.admit(&u.in, int(f.rate.Load()))
	if !ok {
		u.top = max(u.top, u.in.number)
		return nil
	}
	if f != u.flow {
		if u.own == nil {
			u.own = new(scratch)
		}
		u.flow, u.top = f, u.in.number
		u.number.restart(&u.in, false)
	} else if gap {
		u.number.restart(&u.in, true)
	}
	u.top = max(u.top, u.in.number)
	if !u.number.apply(&u.in, &u.out, u.own) {
		return nil
	}
	return &u.out
}
