package mix

import "slices"

// move is what goes on of the old mixer's sound, for 10 ms at that mixer's rate: the last of it backwards and upside down, so that there is neither a
// step nor a kink. It fades into the new mixer's sound.
type move []int32

// Attach lets the output hear a mixer, and not any more the one that it heard before. self is what the leg itself says there and will not hear;
// nil: nothing. The change makes no gap and no click, and takes effect between two ticks.
func (o *Output) Attach(m *Mixer, self *Input) {
	o.moving.Lock()
	defer o.moving.Unlock()
	m.hold(func() {
		if o.mixer != m {
			if o.mixer != nil {
				o.mixer.drop(o)
			}
			m.take(o)
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.self = self
	})
}

// Detach takes the output out of its mixer. It sends nothing then.
func (o *Output) Detach() {
	o.moving.Lock()
	defer o.moving.Unlock()
	m := o.mixer
	if m == nil {
		return
	}
	m.hold(func() { m.drop(o) })
	o.mu.Lock()
	defer o.mu.Unlock()
	o.moved, o.marker, o.running = nil, true, false
}

// take lets an output in.
func (m *Mixer) take(o *Output) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.mixer = m
		m.outputs = append(m.outputs, o)
		m.stale.Store(true)
	}
}

// drop lets an output go. Its own line takes over from the shared one, if it has not yet: it will speak in the next mixer's first frames.
func (m *Mixer) drop(o *Output) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.outputs, o); i >= 0 {
		m.outputs = slices.Delete(m.outputs, i, i+1)
		m.stale.Store(true)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	m.now++ // as begin is for the tick that comes
	if !o.running {
		o.begin(m)
		o.limiter = m.limiter
		copy(o.heard, m.past.frame(preroll-1))
	}
	m.now--
	o.moved = make(move, m.n/2)
	for i := range o.moved {
		o.moved[i] = 2*int32(o.heard[m.n-1]) - int32(o.heard[m.n-2-i])
	}
	o.mixer, o.self, o.shared = nil, nil, nil
}

// blend lets the old sound fade into acc, the first sound of the new mixer.
func (mv move) blend(acc []int32) {
	n := len(acc) / 2
	for i, v := range acc[:n] {
		acc[i] = (v*int32(i) + mv.at(i, n)*int32(n-i)) / int32(n)
	}
}

// at is the sound at the i-th of n steps.
func (mv move) at(i, n int) int32 {
	at := i * len(mv)
	k, rest := at/n, int32(at%n)
	next := mv[min(k+1, len(mv)-1)]
	return (mv[k]*(int32(n)-rest) + next*rest) / int32(n)
}
