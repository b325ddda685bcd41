package mix

import (
	"math"

	"passerelle/transcode"
)

// When a source is read. Levels in dBov, times in ticks.
const (
	floor    = -60   // quieter than this is silence
	overs    = 6     // dB above its own noise that a source must be
	noiseCap = -45   // what is louder than this is no noise
	rise     = 0.01  // dB a tick that noise may grow: half a dB a second
	decay    = 1     // dB a tick by which a source counts as quieter after it was loud
	linger   = 25    // ticks for which a source is read after it fell silent
	settle   = 15    // ticks for which a source is read at least
	better   = 6     // dB by which a source must be louder to take another one's place
	nothing  = -127. // silence
)

// Input is one talker in a mixer.
type Input struct {
	source Source
	bridge bool    // it is another room
	level  float64 // how loud it counts, dBov
	noise  float64 // how loud it is when nobody talks
	chosen bool
	left   int // ticks that it is still read
	stay   int // ticks that it is read at least

	leaving  bool // this tick is its last: it fades out
	doubtful bool // chosen for a level that was guessed, and silent since: nobody talks
	heard    uint64
	agc      leveler
	gain     float32 // at the end of the last frame
	frame    []int16 // made when first chosen: most never are
	part     []int32 // what it added to the sum in the tick heard
}

func newInput(s Source) *Input {
	return &Input{source: s, level: nothing, noise: floor - overs, agc: newLeveler()}
}

// listen takes the level of this tick.
func (in *Input) listen() {
	now := float64(in.source.Level())
	in.level = max(now, in.level-decay)
	if now > nothing {
		in.noise = min(now, in.noise+rise, noiseCap)
	}
}

// loud tells whether there is something to be heard.
func (in *Input) loud() bool { return in.level > max(floor, in.noise+overs) }

// elect decides which sources are read in this tick.
func (m *Mixer) elect() {
	waiting := 0
	for _, in := range m.inputs {
		in.listen()
		if !in.chosen && in.loud() {
			waiting++
		}
	}
	for _, in := range m.chosen {
		in.stay--
		if in.left--; in.loud() {
			in.left = linger
		}
		in.leaving = in.left <= 0
	}
	for ; waiting > 0 && len(m.chosen) < m.options.Loudest; waiting-- {
		m.chosen = append(m.chosen, m.loudest().choose())
	}
	if waiting == 0 {
		return
	}
	// One in, one out: the place is free after this tick, in which the old one fades.
	weakest := m.chosen[0]
	for _, in := range m.chosen {
		if in.leaving {
			return
		}
		if in.level < weakest.level {
			weakest = in
		}
	}
	if weakest.stay <= 0 && m.loudest().level > weakest.level+better {
		weakest.leaving = true
	}
}

// loudest is the loudest source that is not read. There is one.
func (m *Mixer) loudest() *Input {
	var best *Input
	for _, in := range m.inputs {
		if !in.chosen && in.loud() && (best == nil || in.level > best.level) {
			best = in
		}
	}
	return best
}

func (in *Input) choose() *Input {
	if in.frame == nil {
		in.frame, in.part = make([]int16, transcode.FrameSamples), make([]int32, transcode.FrameSamples)
	}
	in.chosen, in.left, in.stay, in.leaving, in.doubtful, in.gain = true, linger, settle, false, true, 0
	return in
}

func (in *Input) leave() { in.chosen, in.leaving = false, false }

// read makes the source's part of the sum, in frames of n samples, and says whether it has one. A change of gain takes 5 ms.
func (in *Input) read(now uint64, n int, leveled bool) bool {
	frame, part, ramp := in.frame[:n], in.part[:n], n/4
	if !in.source.Read(frame) {
		return false
	}
	level := loudness(frame)
	if in.doubtful = in.doubtful && level < floor; in.doubtful {
		return false
	}
	in.heard = now
	gain := float32(1)
	if leveled {
		gain = in.agc.gain(level, in.noise)
	}
	if in.leaving {
		gain = 0
	}
	if gain == 1 && in.gain == 1 {
		for i, v := range frame {
			part[i] = int32(v)
		}
		return true
	}
	g, step := in.gain, (gain-in.gain)/float32(ramp)
	for i, v := range frame[:ramp] {
		g += step
		part[i] = int32(float32(v) * g)
	}
	for i, v := range frame[ramp:] {
		part[ramp+i] = int32(float32(v) * gain)
	}
	in.gain = gain
	return true
}

// loudness is the level of PCM in dBov.
func loudness(pcm []int16) float64 {
	sum := 0
	for _, v := range pcm {
		sum += int(v) * int(v)
	}
	if sum == 0 {
		return nothing
	}
	return max(nothing, 10*math.Log10(float64(sum)/float64(len(pcm))/(1<<30)))
}
