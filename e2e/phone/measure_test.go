//go:build e2e

package phone_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"passerelle/internal/testpeer/speech"
	"passerelle/transcode"
	"passerelle/transcode/level"
)

// clip is d of speech at 48 kHz, which begins where something is said.
func clip(t *testing.T, voice string, d time.Duration) []int16 {
	t.Helper()
	text := speech.English
	if voice[:2] == "fr" {
		text = speech.French
	}
	return speech.Say(t, voice, text, transcode.Rate)[:samples(d)]
}

const (
	piece = 500 * time.Millisecond // how much of a clip is looked for at once: a playout buffer stretches time in pauses
	slack = 250 * time.Millisecond // how far one piece may be from where the one before it was
	same  = 0.6                    // correlation of a piece that says the same
)

// match says how a clip arrived in a recording.
type match struct {
	mean, worst float64       // correlation of the pieces
	share       float64       // how much of it is surely the same, 0 to 1: see speech.Heard
	at          time.Duration // where in the recording the clip begins
	drift       time.Duration // by how much later the last piece came than it should have, after the first
	level       float64       // of what was heard where the clip is, dBFS
	gain        float64       // dB, heard over said
	gaps        int           // frames of 20 ms in which something was said and nothing heard
	frames      int           // frames in which something was said
	treble      float64       // dB: energy above 4.5 kHz, heard over said, beyond gain: how much of it the codecs took away
}

func (m match) String() string {
	return fmt.Sprintf("%.0f%% of it, correlation %.3f (worst %.3f), at %v, drift %v, level %.1f dBFS, gain %+.1f dB, gaps %d of %d, treble %+.1f dB",
		100*m.share, m.mean, m.worst, m.at.Round(time.Millisecond), m.drift.Round(time.Millisecond), m.level, m.gain, m.gaps, m.frames, m.treble)
}

// good tells whether it is what was said: more than half of it must be found. A playout buffer may move its place in the midst of a piece.
func (m match) good() bool { return m.share > 0.5 }

// TestFind has the measure tell what was said from what was not.
func TestFind(t *testing.T) {
	fr, en := clip(t, "fr", 3*time.Second), clip(t, "en", 3*time.Second)
	for _, c := range []struct {
		name  string
		heard []int16
		good  bool
	}{
		{"the same", slices.Concat(make([]int16, 12345), fr, make([]int16, 24000)), true},
		{"a third of it", slices.Concat(make([]int16, 12345), fr[:len(fr)/3], make([]int16, 120000)), false},
		{"other speech", slices.Concat(make([]int16, 12345), en, make([]int16, 24000)), false},
		{"silence", make([]int16, len(fr)), false},
		{"nothing", nil, false},
	} {
		m := find(c.heard, fr)
		t.Logf("%s: %v", c.name, m)
		if m.good() != c.good {
			t.Errorf("%s is found: %v", c.name, m.good())
		}
	}
}

// find looks for a clip in a recording, both 48 kHz: where it begins, then piece by piece.
func find(heard, said []int16) match {
	at, share := speech.Heard(heard, said, transcode.Rate)
	if share == 0 || len(heard) < samples(at+slack)+len(said) { // not there, or not over yet
		return match{}
	}
	m := match{worst: 1, at: at, share: share}
	pieces := 0
	var saidThen, heardThen []int16
	for start := 0; start+samples(piece) <= len(said); start += samples(piece) {
		p := said[start : start+samples(piece)]
		if level.RMS(p) < -35 {
			continue // next to nothing is said
		}
		from := min(max(0, samples(at-slack)+start), len(heard))
		window := heard[from:min(len(heard), from+samples(piece+2*slack))]
		offset, c := speech.Find(window, p, transcode.Rate)
		pieces++
		m.mean += c
		m.worst = min(m.worst, c)
		found := from + samples(offset)
		if c > same {
			at = time.Duration(found-start) * time.Second / transcode.Rate
		}
		h := heard[min(found, len(heard)):min(len(heard), found+len(p))]
		saidThen, heardThen = append(saidThen, p[:len(h)]...), append(heardThen, h...)
	}
	m.mean /= float64(max(pieces, 1))
	m.drift = at - m.at
	m.level = level.RMS(heardThen)
	m.gain = m.level - level.RMS(saidThen)
	m.treble = level.RMS(treble(heardThen)) - level.RMS(treble(saidThen)) - m.gain
	m.countGaps(heardThen, saidThen)
	return m
}

// countGaps looks for frames that were said and not heard. A frame's neighbours may have part of it.
func (m *match) countGaps(heard, said []int16) {
	const n = transcode.FrameSamples
	for start := n; start+2*n <= len(said); start += n {
		if loud := level.RMS(said[start : start+n]); loud > -35 {
			m.frames++
			if level.RMS(heard[start-n/2:start+n+n/2]) < loud+m.gain-20 {
				m.gaps++
			}
		}
	}
}

// treble is what of a sound lies above 4.5 kHz: four Butterworth sections, 48 dB an octave.
func treble(pcm []int16) []int16 {
	out := make([]int16, len(pcm))
	x := make([]float64, len(pcm))
	for i, s := range pcm {
		x[i] = float64(s)
	}
	w := 2 * math.Pi * 4500 / transcode.Rate
	for k := range 4 {
		q := 1 / (2 * math.Cos(math.Pi*float64(2*k+1)/16))
		alpha, cos := math.Sin(w)/(2*q), math.Cos(w)
		b0, b1, a0, a1, a2 := (1+cos)/2, -(1 + cos), 1+alpha, -2*cos, 1-alpha
		var x1, x2, y1, y2 float64
		for i, v := range x {
			y := (b0*v + b1*x1 + b0*x2 - a1*y1 - a2*y2) / a0
			x2, x1, y2, y1 = x1, v, y1, y
			x[i] = y
		}
	}
	for i, v := range x {
		out[i] = int16(max(-32768, min(32767, math.Round(v))))
	}
	return out
}
