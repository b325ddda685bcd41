package mix

import (
	"slices"
	"sync"

	"passerelle/transcode"
)

// How long an output keeps its own encoder when it does not need it any more, in ticks. The shared encoder has heard the same since then, but has
// not said quite the same: the far end's decoder takes a moment to get used to it. So the change waits for a pause in the room's sound, where
// nobody hears that moment.
const (
	keepOwn  = 40   // 0.8 s, at least
	waitCalm = 1500 // 30 s more, at most
	calmPeak = 200  // -44 dBov: what is quieter is a pause
)

// Output is what one leg hears. It belongs to one mixer at a time. Its methods may be called from any goroutine.
type Output struct {
	sink   FrameWriter
	meter  Meter      // sink, if it is one
	moving sync.Mutex // held while the mixer changes

	mu     sync.Mutex
	codec  transcode.Codec
	mixer  *Mixer // nil: nowhere
	self   *Input // what the leg itself says
	held   bool
	bridge bool // it leads into another room
	closed bool
	marker bool // the next frame is the first one of a talk spurt
	volume float64
	queue  []*Playback
	loops  []*Playback
	failed uint64

	shared  *line // of mixer
	own     *line // made when first needed
	running bool  // own encoded the last frame, or is ready for the next one
	talks   bool  // self, or another room that a bridge does not hear, has a part in this tick's sum
	keep    int   // ticks for which own is used
	limiter limiter
	room    float32 // factor of the room's sound at the end of the last frame
	heard   []int16 // the last frame, if running
	moved   move    // not nil: it has just come from another mixer
}

// NewOutput makes an output to a leg that wants to hear codec. It sends nothing until it is attached.
func NewOutput(codec transcode.Codec, sink FrameWriter) (*Output, error) {
	if err := usable(codec); err != nil {
		return nil, err
	}
	meter, _ := sink.(Meter)
	return &Output{sink: sink, meter: meter, codec: codec, marker: true, room: 1, limiter: limiter{gain: 1}}, nil
}

// usable tells whether frames can be made for a codec.
func usable(codec transcode.Codec) error {
	l, err := newLine(codec)
	if err == nil {
		l.close()
	}
	return err
}

// SetGain makes the room louder or quieter for this output, in dB from -40 to 20. Private sound stays as it is.
func (o *Output) SetGain(dB float64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.volume = min(max(dB, -40), 20)
}

// SetBridge says that the leg is another room, which hears no others: see AddBridge.
func (o *Output) SetBridge() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bridge = true
}

// SetHeld stops sending, or sends again. What is played meanwhile is not heard.
func (o *Output) SetHeld(held bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = held
}

// SetCodec changes what is sent, from the next tick on.
func (o *Output) SetCodec(codec transcode.Codec) error {
	if err := usable(codec); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.codec.Is(codec) {
		return nil
	}
	o.codec, o.marker = codec, true
	o.forget()
	if o.mixer != nil {
		o.mixer.stale.Store(true)
	}
	return nil
}

// needs is how many samples its mixer's frames must have, so that nothing is lost.
func (o *Output) needs() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch n := o.codec.SampleRate / 50; {
	case n <= narrowest:
		return narrowest
	case n <= 2*narrowest:
		return 2 * narrowest
	}
	return transcode.FrameSamples
}

// forget lets go of the lines. o.mu is held.
func (o *Output) forget() {
	if o.own != nil {
		o.own.close()
	}
	o.own, o.shared, o.running = nil, nil, false
}

// Chain describes what is done now, for operators: mix → 8 kHz → PCMA (shared).
func (o *Output) Chain() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.mixer == nil:
		return chain(o.codec, "off")
	case o.held:
		return chain(o.codec, "held")
	case o.running:
		return chain(o.codec, "own")
	}
	return chain(o.codec, "shared")
}

// Failed is how many frames could not be sent.
func (o *Output) Failed() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}

// Close takes the output out of its mixer and ends what it plays.
func (o *Output) Close() {
	o.Detach()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for _, p := range slices.Concat(o.queue, o.loops) {
		p.end()
	}
	o.queue, o.loops = nil, nil
	o.forget()
}
