// Package mix makes one mix of a room and gives it to everybody who listens to the room through this node.
//
// Work is done once per room: the loudest few sources are read, brought to one level and added up. Outputs whose own source is silent share one
// encoded stream for each codec. Who talks, or is spoken to in private, gets an encoder of their own for as long, and hears the mix minus self.
//
//	sources → loudest → level → sum ─┬─ limiter → 8, 16, 48 kHz → codec (shared) → outputs
//	                                 └─ minus self → private sound → limiter → … → codec (own) → one output
//
// A room is mixed at the widest rate that one of its outputs needs: where there are only telephones, 8 kHz cost a fifth of 48.
//
// A Clock ticks all mixers of a node every 20 ms. Everything that a tick needs is made beforehand: it allocates nothing.
package mix

import (
	"slices"
	"sync"
	"sync/atomic"

	"passerelle/transcode"
)

// Source is the sound of one talker. Implemented by playout.Buffer.
type Source interface {
	// Read fills frame, 20 ms at 8, 16 or 48 kHz by its length, with what is to be heard now. False means silence. It is only called while the source is
	// among the loudest.
	Read(frame []int16) bool
	// Level is the loudest that came since it was last called, in dBov: 0 to -127, which is silence. It is called once each tick.
	Level() int
}

// FrameWriter takes encoded frames. Implemented by every bridge.Audio, such as media.Stream.
type FrameWriter interface {
	// WriteFrame sends one frame of 20 ms; samples counts them in units of the codec's RTP clock. It does not block and keeps nothing of payload.
	WriteFrame(payload []byte, samples int, marker bool) error
}

// Meter is a FrameWriter that wants to know how loud each frame is. Implemented by federation's voices.
type Meter interface {
	// Meter is called before WriteFrame, with the frame's level in dBov: 0 to -127, which is silence.
	Meter(dBov int)
}

// Options is how a room is mixed. The zero value is right for calls.
type Options struct {
	Loudest    int  // how many sources are read at most; default 6
	NoLeveling bool // leave quiet phones quiet, and loud browsers loud
}

// Mixer is the mix of one room. Its methods may be called from any goroutine; none of them waits for longer than a tick takes.
type Mixer struct {
	options Options
	clock   atomic.Pointer[Clock] // that ticks it; nil: somebody does so by hand

	stale atomic.Bool // outputs came, went or changed their codec: another rate may do

	mu      sync.Mutex
	now     uint64 // ticks so far
	n       int    // samples in a frame: 160, 320 or 960
	needs   int    // the most that an output needs
	spare   int    // ticks for which less would have done
	inputs  []*Input
	chosen  []*Input // those that are read
	outputs []*Output
	lines   []*line // shared, one for each codec that is listened to

	sum     [transcode.FrameSamples]int32 // of all parts
	active  bool                          // sum is not silent
	apart   []*Input                      // that have a part in sum and are not for bridges
	program [transcode.FrameSamples]int16 // what listeners hear
	nothing bool                          // every sample of it is 0
	limiter limiter
	before  limiter // as it was before this tick
	past    history // programs before this one
	calm    int     // ticks in a row in which program was next to silent

	acc  [transcode.FrameSamples]int32 // of the output that is being made
	reel reel                          // what it plays
	own  int                           // outputs that had an encoder of their own in the last tick
}

// narrowest is the number of samples in a frame of a room that nobody listens to, or only telephones.
const narrowest = 160

// patience is how long nobody must have needed a wide room before it becomes a narrower one, in ticks: 10 s. It does in a pause.
const patience = 500

// New makes a mixer. A Clock, or a test, ticks it.
func New(o Options) *Mixer {
	if o.Loudest <= 0 {
		o.Loudest = 6
	}
	m := &Mixer{
		options: o, n: narrowest, needs: narrowest, chosen: make([]*Input, 0, o.Loudest), apart: make([]*Input, 0, o.Loudest),
		limiter: limiter{gain: 1}, before: limiter{gain: 1},
	}
	m.past.n = m.n
	return m
}

// AddSource brings a talker into the room.
func (m *Mixer) AddSource(s Source) *Input { return m.add(newInput(s)) }

// AddBridge is AddSource for the sound of another room. Outputs that lead into other rooms do not hear it, so that no sound goes round.
func (m *Mixer) AddBridge(s Source) *Input {
	in := newInput(s)
	in.bridge = true
	return m.add(in)
}

func (m *Mixer) add(in *Input) *Input {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inputs = append(m.inputs, in)
	return in
}

// Remove takes a talker out. Its source is not read any more when Remove returns.
func (m *Mixer) Remove(in *Input) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.inputs, in); i >= 0 {
		m.inputs = slices.Delete(m.inputs, i, i+1)
	}
	if i := slices.Index(m.chosen, in); i >= 0 {
		m.chosen = slices.Delete(m.chosen, i, i+1)
	}
}

// Tick makes the next 20 ms of the room and sends them.
func (m *Mixer) Tick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now++
	m.tune()
	m.elect()
	m.sumUp()
	m.before = m.limiter
	peak := m.limiter.limit(m.program[:m.n], m.sum[:m.n])
	if m.nothing = peak == 0; peak < calmPeak {
		m.calm++
	} else {
		m.calm = 0
	}
	m.own = 0
	for _, o := range m.outputs {
		o.prepare(m) // before any shared line moves on
	}
	for _, o := range m.outputs {
		o.send(m)
	}
	m.past.add(m.program[:m.n])
}

// tune finds the rate: more as soon as an output needs it; less when none has for some time, and nobody can hear the change.
func (m *Mixer) tune() {
	if m.stale.Swap(false) {
		m.needs = narrowest
		for _, o := range m.outputs {
			m.needs = max(m.needs, o.needs())
		}
	}
	if m.spare++; m.needs >= m.n {
		m.spare = 0
	}
	if m.needs > m.n || m.spare > patience && m.calm > 0 {
		m.past.turn(m.needs)
		m.n = m.needs
		clear(m.sum[:])
	}
}

// sumUp reads the chosen sources and adds them up.
func (m *Mixer) sumUp() {
	if m.active {
		clear(m.sum[:m.n])
	}
	m.active, m.apart = false, m.apart[:0]
	for i := 0; i < len(m.chosen); i++ {
		in := m.chosen[i]
		if in.read(m.now, m.n, !m.options.NoLeveling) {
			m.active = true
			if in.bridge {
				m.apart = append(m.apart, in)
			}
			for j, v := range in.part[:m.n] {
				m.sum[j] += v
			}
		}
		if in.leaving {
			in.leave()
			m.chosen = slices.Delete(m.chosen, i, i+1)
			i--
		}
	}
}

// shared is the line that all listeners of a codec share. It is made when it is first asked for.
func (m *Mixer) shared(codec transcode.Codec) (*line, error) {
	for _, l := range m.lines {
		if l.codec.Is(codec) {
			return l, nil
		}
	}
	l, err := newLine(codec)
	if err == nil {
		m.lines = append(m.lines, l)
	}
	return l, err
}

// encoded is the program of this tick in the words of a shared line, which works once for all listeners. A line that nobody listened to in the
// tick before goes on where the listener's own one is, if it had one.
func (m *Mixer) encoded(l, own *line) []byte {
	if l.at == m.now {
		return l.payload[:l.size]
	}
	if l.at+1 != m.now {
		l.begin(&m.past, own)
	}
	l.at = m.now
	return l.encode(m.program[:m.n], &m.past, m.nothing)
}

// Stats says what a room costs.
type Stats struct {
	Inputs, Read int // sources, and how many of them are read now
	Outputs, Own int // and how many of them have an encoder of their own now
	Rate         int // Hz at which the room is mixed
}

// Stats is how it was in the last tick.
func (m *Mixer) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Stats{Inputs: len(m.inputs), Read: len(m.chosen), Outputs: len(m.outputs), Own: m.own, Rate: 50 * m.n}
}

// Close frees what the shared encoders hold. There must be no outputs any more, and nobody must tick it.
func (m *Mixer) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.lines {
		l.close()
	}
	m.lines = nil
}

// hold runs f while no mixer of the clock ticks, so that an output that moves from one to another misses no frame and gets none twice.
func (m *Mixer) hold(f func()) {
	if c := m.clock.Load(); c != nil {
		c.Hold(f)
		return
	}
	f()
}
