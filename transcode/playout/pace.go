package playout

// When the pace changes.
const (
	guard     = 96  // 2 ms that packets are expected before they are needed
	margin    = 48  // 1 ms: with less than that, time is gained before a packet is late
	worth     = 240 // 5 ms of delay too much are worth a change in speech
	much      = 480 // 10 ms are worth one soon,
	tooMuch   = 2880
	patience  = 5   // frames between two changes that are not urgent
	restless  = 100 // frames after which a change need not sound perfect any more
	waterfall = 16  // frames: the reserve is the least of the last one or two times as many
)

// pace watches the reserve: how much earlier than needed the packets at the deadline are there.
type pace struct {
	current, previous int64 // the least reserve, not counting the deadline, of the running frames and of those before
	frames            int   // in current
	since             int   // frames since the last change
	urgent            int64 // of the last two frames only
	before            int64
}

const farAway = 1 << 60

func (p *pace) reset() {
	*p = pace{current: farAway, previous: farAway, urgent: farAway, before: farAway}
}

// note adds a frame. A late tick makes the reserve look larger than it is, never smaller: so the least counts.
func (p *pace) note(reserve int64) {
	p.since++
	p.before, p.urgent = p.urgent, reserve
	p.current = min(p.current, reserve)
	if p.frames++; p.frames >= waterfall {
		p.previous, p.current, p.frames = p.current, farAway, 0
	}
}

// shift follows a change of the place in the stream.
func (p *pace) shift(by int64) {
	for _, v := range []*int64{&p.current, &p.previous, &p.urgent, &p.before} {
		if *v != farAway {
			*v += by
		}
	}
	p.since = 0
}

func (p *pace) least() int64  { return min(p.current, p.previous) }
func (p *pace) recent() int64 { return min(p.urgent, p.before) }

// grid is the step in which packets and frames meet: places in the stream that are a multiple of it apart need the same packets.
func (r *reader) grid() int64 {
	a, b := int64(frame20), int64(r.packet)
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// required is how long after its packet's timestamp a sample is to be read, at least: the deadline, and what a frame needs beyond its first packet.
func (b *Buffer) required() int64 { return b.timing.late + frame20 - b.grid() }

// slack is how much later the packets could come (less than 0: how much earlier they ought to come), and how many samples may be left out.
//
// A frame that begins within a packet needs the next one too. So the part of fifo that is not a whole number of grid steps is a delay that helps
// nobody (idle): without it the very same packets would be in time.
func (b *Buffer) slack(now int64) (slack, room int64) {
	slack = now - b.head() - b.idle() - b.required()
	return slack, b.room(slack)
}

// room is how many samples may be left out.
func (b *Buffer) room(slack int64) int64 {
	if slack < 0 {
		return 0
	}
	g := b.grid()
	room := b.idle()
	if spare := slack - guard - (b.timing.late-b.timing.fastest)/16; spare >= g {
		room += spare / g * g
	}
	return room
}

// keepPace leaves sound out or adds some, so that the delay becomes what it has to be.
func (b *Buffer) keepPace(now int64) {
	slack, _ := b.slack(now)
	b.stats.Target = duration(b.required() - b.timing.fastest)
	if b.run > 0 || b.owed > 0 {
		return // it is not known where we are
	}
	b.stats.Delay = duration(max(0, now-b.head()-b.timing.fastest))
	b.pace.note(slack + b.required())
	slack = b.pace.least() - b.required()
	if b.room(b.pace.recent()-b.required()) > tooMuch {
		slack = b.pace.recent() - b.required()
	}
	room := b.room(slack)
	switch {
	case slack < margin:
		if b.pace.since >= 2 {
			b.lookAhead(now)
			b.lengthen(b.grid() - b.idle()) // less would gain nothing
		}
	case room > tooMuch:
		b.lookAhead(now)
		b.shorten(room, 0.2)
	case room > much && b.pace.since >= 2:
		b.lookAhead(now)
		b.shorten(room, 0.6)
	case room > worth && b.pace.since >= patience:
		b.lookAhead(now)
		good := 0.85
		if b.pace.since > restless {
			good = 0.5
		}
		b.shorten(room, good)
	}
}

// lookAhead decodes what a change of pace needs, if it is there.
func (b *Buffer) lookAhead(now int64) {
	for b.held() < frame20+lookahead {
		s := b.ring.next()
		if s == nil || s.at-b.tail > blend || s.at < b.tail-blend {
			return
		}
		b.decode(s, 0)
	}
}

// shorten leaves out up to room samples if that can be done well.
func (b *Buffer) shorten(room int64, good float64) {
	before := b.idle()
	n := b.grain.squeeze(b.fifo, b.count(room), good)
	if n == 0 {
		return
	}
	b.fifo = b.fifo[:len(b.fifo)-n]
	b.stats.Squeezed += duration(b.units(n))
	b.pace.shift(before - b.idle() - b.units(n))
}

// lengthen adds samples, about as many as wanted.
func (b *Buffer) lengthen(wanted int64) {
	before := b.idle()
	n := b.grain.stretch(b.fifo, max(b.count(wanted), b.grain.minLag()))
	if n == 0 {
		return
	}
	b.fifo = b.fifo[:len(b.fifo)+n]
	b.stats.Stretched += duration(b.units(n))
	b.pace.shift(before - b.idle() + b.units(n))
}

func (b *Buffer) idle() int64 { return b.held() % b.grid() }
