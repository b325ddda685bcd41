package mix

import "passerelle/transcode"

// duckStep is by how much the factor of the room's sound may change within a frame.
const duckStep = 0.5

// prepare decides whether the next frame is one of the output's own, and has its line ready.
func (o *Output) prepare(m *Mixer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.talks = o.self != nil && o.self.heard == m.now || o.bridge && len(m.apart) > 0
	switch {
	case o.talks || o.plays() || o.volume != 0 || o.moved != nil:
		o.keep = keepOwn + waitCalm
	case o.keep > waitCalm || o.keep > 0 && o.own != nil && m.calm < o.own.calm():
		o.keep--
	default:
		o.keep = 0
	}
	if o.keep > 0 && !o.running && !o.held {
		o.begin(m)
	}
}

// send sends the next frame.
func (o *Output) send(m *Mixer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held {
		o.play(m) // time passes; what is in acc is not used
		o.running, o.moved, o.marker = false, nil, true
		return
	}
	var payload []byte
	switch {
	case o.keep == 0:
		payload = o.public(m)
	case o.running:
		payload = o.private(m)
	}
	if o.meter != nil {
		made := m.program[:m.n]
		if o.running {
			made = o.heard[:m.n]
		}
		o.meter.Meter(int(loudness(made)))
	}
	if len(payload) == 0 || o.sink.WriteFrame(payload, o.codec.ClockRate/50, o.marker) != nil {
		o.failed++
		return
	}
	o.marker = false
}

// public is the frame that all listeners share.
func (o *Output) public(m *Mixer) []byte {
	if o.shared == nil {
		var err error
		if o.shared, err = m.shared(o.codec); err != nil {
			return nil
		}
	}
	var from *line
	if o.running {
		from = o.own
	}
	o.running = false
	return m.encoded(o.shared, from)
}

// private is a frame of this output's own: the room without the leg itself, and what is played to it.
func (o *Output) private(m *Mixer) []byte {
	m.own++
	acc := m.acc[:m.n]
	switch {
	case !m.active:
		clear(acc)
	default:
		copy(acc, m.sum[:])
		if o.self != nil && o.self.heard == m.now {
			o.self.takeOut(acc)
		}
		for _, in := range m.apart {
			if o.bridge && in != o.self {
				in.takeOut(acc)
			}
		}
	}
	o.turn(acc)
	if o.moved != nil {
		o.moved.blend(acc)
		o.moved = nil
	}
	o.play(m)
	peak := o.limiter.limit(o.heard[:m.n], acc)
	return o.own.encode(o.heard[:m.n], &m.past, peak == 0)
}

// takeOut takes the input's part out of a sum.
func (in *Input) takeOut(acc []int32) {
	part := in.part[:len(acc)]
	for i := range acc {
		acc[i] -= part[i]
	}
}

// begin lets the own line go on where the shared one is.
func (o *Output) begin(m *Mixer) {
	if o.own == nil {
		var err error
		if o.own, err = newLine(o.codec); err != nil {
			o.own = nil
			return // nothing is sent, and counted as failed
		}
	}
	var from *line
	if o.shared != nil && o.shared.at+1 == m.now {
		from = o.shared
	}
	if o.heard == nil {
		o.heard = make([]int16, transcode.FrameSamples)
	}
	o.own.begin(&m.past, from)
	o.running, o.limiter, o.room = true, m.before, 1
}

// turn makes the room as loud as it has to be, without a step.
func (o *Output) turn(acc []int32) {
	dB := o.volume
	if len(o.queue) > 0 {
		dB -= o.queue[0].options.Duck
	}
	want := float32(1)
	if dB != 0 {
		want = float32(factor(dB))
	}
	if want == 1 && o.room == 1 {
		return
	}
	want = min(max(want, o.room-duckStep), o.room+duckStep)
	g, step := o.room, (want-o.room)/float32(len(acc))
	for i, v := range acc {
		g += step
		acc[i] = int32(float32(v) * g)
	}
	o.room = want
}
