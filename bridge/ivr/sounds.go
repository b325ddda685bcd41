package ivr

import (
	"math"
	"math/cmplx"
	"sync"
	"time"

	"passerelle/transcode"
)

// note is one tone of a sound: several frequencies at once, which rises and falls without a click.
type note struct {
	at, rise, fall time.Duration // it sounds from at until at+rise+fall
	level          float64       // dBFS of each frequency's peak
	hz             []float64
}

// The sounds are the same for all callers, and made when they are first heard.
var (
	entryChime = sync.OnceValue(func() []int16 {
		return play(400*time.Millisecond,
			note{0, 10 * time.Millisecond, 190 * time.Millisecond, -18, []float64{523.25}},
			note{130 * time.Millisecond, 10 * time.Millisecond, 250 * time.Millisecond, -18, []float64{783.99}})
	})
	exitChime = sync.OnceValue(func() []int16 {
		return play(400*time.Millisecond,
			note{0, 10 * time.Millisecond, 190 * time.Millisecond, -18, []float64{783.99}},
			note{130 * time.Millisecond, 10 * time.Millisecond, 250 * time.Millisecond, -18, []float64{523.25}})
	})
	comfortTone = sync.OnceValue(func() []int16 {
		swell := 2500 * time.Millisecond
		return play(6*time.Second,
			note{0, swell, swell, -39, []float64{329.63, 493.88}},
			note{time.Second, swell, swell, -39, []float64{440, 659.26}})
	})
	reconnectTone = sync.OnceValue(func() []int16 {
		return play(2*time.Second,
			note{0, 20 * time.Millisecond, 130 * time.Millisecond, -24, []float64{440}},
			note{220 * time.Millisecond, 20 * time.Millisecond, 130 * time.Millisecond, -24, []float64{440}})
	})
	waitingMusic = sync.OnceValue(func() []int16 { return play(16*time.Second, music()...) })
)

// EntryChime sounds when somebody comes: two rising notes. As all sounds it is PCM at transcode.Rate in whole frames, not to be written to.
func EntryChime() []int16 { return entryChime() }

// ExitChime sounds when somebody leaves: the same notes, falling.
func ExitChime() []int16 { return exitChime() }

// ComfortTone tells somebody who is alone that the line lives: a soft chord that swells and fades, -40 dBFS on average. It is played again and
// again and begins as it ends, in silence.
func ComfortTone() []int16 { return comfortTone() }

// WaitingMusic is for who waits to be let in: 16 s of soft chords with single notes over them, about -30 dBFS, made here and owned by nobody. It is
// played again and again and begins as it ends, in silence. All of it lies between 300 and 2700 Hz, where every telephone has its ears, and no two
// notes are those of a key.
func WaitingMusic() []int16 { return waitingMusic() }

// music are four bars of four seconds: in each a chord that swells and fades, and its notes one by one, an octave higher.
func music() []note {
	const bar, beat = 4 * time.Second, 500 * time.Millisecond
	var notes []note
	for i, chord := range [...][4]float64{
		{329.63, 392, 493.88, 523.25}, // C major 7
		{329.63, 392, 493.88, 587.33}, // E minor 7
		{329.63, 392, 440, 523.25},    // A minor 7
		{329.63, 392, 493.88, 587.33}, // G 6
	} {
		start := time.Duration(i) * bar
		notes = append(notes, note{start, bar / 2, bar / 2, -36, chord[:]})
		for k, n := range [...]int{0, 2, 1, 3, 2, 1} { // two beats of rest: the last bar ends in silence, too
			at, hz := start+time.Duration(k)*beat, 2*chord[n]
			notes = append(notes, note{at, 15 * time.Millisecond, 1300 * time.Millisecond, -27, []float64{hz}})
			notes = append(notes, note{at, 10 * time.Millisecond, 300 * time.Millisecond, -43, []float64{2 * hz}})
		}
	}
	return notes
}

// ReconnectTone tells that the line is being restored: two soft notes, then a pause. It is played again and again.
func ReconnectTone() []int16 { return reconnectTone() }

// play mixes notes into PCM at transcode.Rate, in whole frames.
func play(length time.Duration, notes ...note) []int16 {
	pcm := wholeFrames(make([]int16, samples(length)))
	for _, n := range notes {
		start, rise, fall := samples(n.at), samples(n.rise), samples(n.fall)
		peak := math.MaxInt16 * math.Pow(10, n.level/20)
		for _, hz := range n.hz {
			// Oscillators that turn by a step for each sample: a sine of each would take a hundred times as long.
			tone, toneStep := complex(1, 0), cmplx.Rect(1, 2*math.Pi*hz/transcode.Rate)
			swell, up, down := complex(1, 0), cmplx.Rect(1, math.Pi/float64(rise)), cmplx.Rect(1, math.Pi/float64(fall))
			for i := range rise + fall {
				envelope := (1 - real(swell)) / 2
				pcm[start+i] += int16(math.Round(peak * envelope * imag(tone)))
				tone *= toneStep
				if i < rise {
					swell *= up
				} else {
					swell *= down
				}
			}
		}
	}
	return pcm
}

func samples(d time.Duration) int { return int(d * transcode.Rate / time.Second) }
