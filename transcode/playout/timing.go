package playout

// How timing is learnt.
const (
	window    = 256  // packets that are remembered: 5 s of 20 ms packets
	lateRank  = 3    // the deadline is the third latest of them: 1.2 % come later
	learning  = 50   // packets until enough is known
	everyNote = 8    // packets between two looks at the window
	epochs    = 12   // periods over which drift is measured
	epochTime = 8000 // ms

	memory   = 10 * 48000  // 10 s: what is older says nothing, however few packets came since
	longest  = 300 * 48    // 300 ms: what jitter may cost at most
	backlog  = 2 * frame20 // how late a packet is, above the fastest, that may be one of many that were held up
	leniency = 100 * 48    // 100 ms after we were held up ourselves
)

// timing remembers how long the last packets were on their way. A transit is arrival minus timestamp, in samples; only differences mean anything.
type timing struct {
	transits [window]int64
	arrivals [window]int64
	count    int
	excused  int64 // packets that come before this and are late are so because we were held up
	noted    int
	start    int64 // extra delay while learning

	fastest int64 // the smallest transit of the window
	late    int64 // the deadline: nearly all packets are here by then

	sequence, arrival, transit int64 // of the last packet

	minima [epochs]epoch
	marks  int
}

// epoch is the fastest packet of a few seconds. Their slope is the difference of the clocks.
type epoch struct{ arrival, transit int64 }

// note adds a packet.
func (t *timing) note(sequence, at, arrival int64) {
	transit := arrival - at
	// After a stall its packets come all at once, or as fast as somebody takes them. That was one event, not as many as there are packets, and waiting
	// longer would not help.
	caught, step := t.transit-transit, at-(t.arrival-t.transit)
	draining := t.count > 0 && sequence > t.sequence && caught > step/2 && transit-t.fastest > backlog
	t.sequence, t.arrival, t.transit = sequence, arrival, transit
	if draining || arrival < t.excused && transit > t.late {
		return
	}
	t.transits[t.count%window], t.arrivals[t.count%window] = transit, arrival
	t.count++
	t.mark(arrival, transit)
	if t.noted++; t.noted >= everyNote || t.count < learning || transit > t.late || transit < t.fastest {
		t.look()
	}
}

// look finds the fastest packet and the deadline in the window.
func (t *timing) look() {
	t.noted = 0
	n := min(t.count, window)
	fastest, known := t.transit, 0
	latest := [lateRank]int64{-1 << 62, -1 << 62, -1 << 62}
	for i, v := range t.transits[:n] {
		if t.arrival-t.arrivals[i] > memory {
			continue
		}
		known++
		fastest = min(fastest, v)
		if v > latest[2] {
			switch {
			case v > latest[0]:
				latest = [lateRank]int64{v, latest[0], latest[1]}
			case v > latest[1]:
				latest = [lateRank]int64{latest[0], v, latest[1]}
			default:
				latest[2] = v
			}
		}
	}
	late := latest[lateRank-1]
	switch {
	case t.count < learning:
		late = latest[0] + t.start*int64(learning-t.count)/learning
	case known < lateRank:
		late = latest[0] + t.start
	}
	t.fastest, t.late = fastest, min(max(late, fastest), fastest+longest)
}

// excuse forgets how late the packets were that came from then on, because we were held up ourselves until now.
func (t *timing) excuse(from, now int64) {
	for i := range t.transits[:min(t.count, window)] {
		if t.arrivals[i] >= from {
			t.transits[i] = min(t.transits[i], t.fastest)
		}
	}
	t.excused = now + leniency
	if t.count > 0 {
		t.look()
	}
}

// mark keeps the fastest packet of each epoch.
func (t *timing) mark(arrival, transit int64) {
	e := &t.minima[(t.marks+epochs-1)%epochs]
	if t.marks == 0 || arrival-e.arrival > epochTime*48 {
		t.minima[t.marks%epochs] = epoch{arrival, transit}
		t.marks++
		return
	}
	// The epoch keeps the time at which it began: what is a few seconds off in time is little off in slope.
	e.transit = min(e.transit, transit)
}

// drift is by how much the sender's clock is faster than ours, in ppm. It needs some epochs: 0 before.
func (t *timing) drift() float64 {
	n := min(t.marks-1, epochs-1) // the running epoch is not over
	if n < 3 {
		return 0
	}
	newest, oldest := t.minima[(t.marks-2)%epochs], t.minima[(t.marks-1-n)%epochs]
	return -1e6 * float64(newest.transit-oldest.transit) / float64(newest.arrival-oldest.arrival)
}
