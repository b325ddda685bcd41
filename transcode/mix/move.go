package mix

import "slices"

// moveTime is how long the sound of the old mixer takes to become that of the new one, in samples: 10 ms.
const moveTime = 480

// move is what goes on of the old mixer's sound: the last of it backwards and upside down, so that there is neither a step nor a kink. It fades
// into the new mixer's sound.
type move [moveTime]int32

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
	}
}

// drop lets an output go. Its own line takes over from the shared one, if it has not yet: it will speak in the next mixer's first frames.
func (m *Mixer) drop(o *Output) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.outputs, o); i >= 0 {
		m.outputs = slices.Delete(m.outputs, i, i+1)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	m.now++ // as begin is for the tick that comes
	if !o.running {
		o.begin(m)
		o.heard, o.limiter = m.past[preroll-1], m.limiter
	}
	m.now--
	o.moved = &move{}
	end := len(o.heard) - 1
	for i := range o.moved {
		o.moved[i] = 2*int32(o.heard[end]) - int32(o.heard[end-1-i])
	}
	o.mixer, o.self, o.shared = nil, nil, nil
}

// blend lets the old sound fade into acc, the first sound of the new mixer.
func (mv *move) blend(acc []int32) {
	for i, v := range mv {
		acc[i] = (acc[i]*int32(i) + v*int32(moveTime-i)) / moveTime
	}
}
