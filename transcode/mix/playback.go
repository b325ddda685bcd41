package mix

import (
	"slices"

	"passerelle/transcode"
	"passerelle/transcode/resample"
)

// PlayOptions is how a clip is played.
type PlayOptions struct {
	Duck    float64 // dB by which the room gets quieter meanwhile, 0 to 60
	Gain    float64 // dB, -60 to 20
	Loop    bool    // again and again, until it is stopped: beside the clips that are played one after the other, without a Duck
	Replace bool    // instead of what is being played and waits, not after it; loops go on
}

// Bounds of what is played.
const (
	fadeOut   = transcode.Rate / 100 // 10 ms
	queueRoom = 64                   // clips; one more replaces the newest that waits
)

// Playback is one clip on its way to one output.
type Playback struct {
	out     *Output
	options PlayOptions
	gain    float32
	clip    []int16
	at      int                 // samples of it that were played, and then of the silence that brings its end out of down
	fade    int                 // samples of clip until it ends because it was stopped; 0: it was not
	rate    int                 // Hz to which down goes; 0: it has not begun
	down    *resample.Resampler // nil with rate 0
	done    chan struct{}
}

// reel is room for 20 ms of a clip, as it is and at the mixer's rate.
type reel struct{ in, out [transcode.FrameSamples]int16 }

// Done is closed when the clip has been played, stopped or replaced, or when its output was closed.
func (p *Playback) Done() <-chan struct{} { return p.done }

// Stop ends the clip, with a short fade if it is being played.
func (p *Playback) Stop() {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	p.out.stop(p)
}

// Play plays a clip (48 kHz, mono) to this output alone, after those that it plays already. The clip is read while it is played and must not
// change.
func (o *Output) Play(clip []int16, options PlayOptions) *Playback {
	options.Duck = min(max(options.Duck, 0), 60)
	options.Gain = min(max(options.Gain, -60), 20)
	p := &Playback{out: o, options: options, gain: float32(factor(options.Gain)), clip: clip, done: make(chan struct{})}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || len(clip) == 0 {
		p.end()
		return p
	}
	if options.Loop {
		o.loops = append(o.loops, p)
		return p
	}
	if options.Replace {
		for len(o.queue) > 1 {
			o.stop(o.queue[1])
		}
		if len(o.queue) == 1 {
			o.stop(o.queue[0])
		}
	} else if len(o.queue) >= queueRoom {
		o.stop(o.queue[len(o.queue)-1])
	}
	o.queue = append(o.queue, p)
	return p
}

// Hush ends every clip that is played or waits. Loops go on.
func (o *Output) Hush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := len(o.queue) - 1; i >= 0; i-- {
		o.stop(o.queue[i])
	}
}

// stop ends a clip: at once when it waits, with a fade when it is being played. o.mu is held.
func (o *Output) stop(p *Playback) {
	i := slices.Index(o.queue, p)
	switch {
	case p.fade > 0:
	case slices.Contains(o.loops, p) || i == 0 && p.at > 0:
		p.fade = fadeOut
	case i < 0:
	default:
		o.queue = slices.Delete(o.queue, i, i+1)
		p.end()
	}
}

// end is its end.
func (p *Playback) end() {
	if p.down != nil {
		p.down.Close()
	}
	close(p.done)
}

// plays tells whether there is something for play to add. o.mu is held.
func (o *Output) plays() bool { return len(o.queue)+len(o.loops) > 0 }

// play adds what is played in this tick to the mixer's acc. o.mu is held.
func (o *Output) play(m *Mixer) {
	acc := m.acc[:m.n]
	for i := 0; i < len(o.loops); i++ {
		p := o.loops[i]
		if _, over := p.mix(acc, 50*m.n, &m.reel); over {
			o.loops = slices.Delete(o.loops, i, i+1)
			p.end()
			i--
		}
	}
	for len(acc) > 0 && len(o.queue) > 0 {
		p := o.queue[0]
		n, over := p.mix(acc, 50*m.n, &m.reel)
		acc = acc[n:]
		if over {
			o.queue = slices.Delete(o.queue, 0, 1)
			p.end()
		}
	}
}

// mix adds the next samples to acc, says how many, and whether the clip is over.
func (p *Playback) mix(acc []int32, rate int, r *reel) (n int, over bool) {
	if p.rate != rate && !p.turn(rate, r) {
		return 0, true
	}
	each, n := transcode.Rate/rate, len(acc)
	if left := len(p.clip) + p.down.Delay()*each - p.at; !p.options.Loop && left <= each*n {
		n, over = (max(left, 0)+each-1)/each, true // less than 0: a rate with a shorter delay has come in the last moment
	}
	p.next(r.in[:each*n])
	p.down.Process(r.out[:n], r.in[:each*n])
	for i, v := range r.out[:n] {
		v := float32(v) * p.gain
		if p.fade > 0 {
			v *= float32(p.fade) / fadeOut
			if p.fade -= each; p.fade <= 0 {
				return i, true
			}
		}
		acc[i] += int32(v)
	}
	return n, over
}

// turn goes on at another rate.
func (p *Playback) turn(rate int, r *reel) bool {
	down, err := resample.New(transcode.Rate, rate)
	if err != nil {
		return false // never: it is one of the mixer's rates
	}
	if p.down != nil {
		p.down.Close()
	}
	p.rate, p.down = rate, down
	heard := p.clip[:min(p.at, len(p.clip))]
	p.down.Process(r.out[:], heard[max(0, len(heard)-fadeOut):])
	return true
}

// next is what comes of the clip, and silence after it.
func (p *Playback) next(in []int16) {
	for len(in) > 0 {
		n := copy(in, p.clip[min(p.at, len(p.clip)):])
		in, p.at = in[n:], p.at+n
		if p.at < len(p.clip) {
			continue
		}
		if !p.options.Loop {
			clear(in)
			p.at += len(in)
			return
		}
		p.at = 0
	}
}
