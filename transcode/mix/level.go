package mix

import "math"

// How talkers are brought to one level. Levels in dBov, gains in dB, times in ticks.
const (
	target    = -23  // of speech while it lasts
	mostGain  = 12   // for a quiet talker
	leastGain = -10  // for a loud one
	inertia   = 0.03 // the share of one tick of speech in what is believed of a talker: a second and a half
	gainUp    = 0.06 // dB a tick: 3 dB a second
	gainDown  = 0.12
	overNoise = 9   // dB above the noise that speech is
	quietest  = -50 // dBov that speech is
	pause     = 8   // ticks without speech before gain is taken back
	retreat   = 3   // dB a tick by which it is
)

// leveler finds the gain of one talker, slowly. In pauses nothing is made louder than it came: noise stays where it is.
type leveler struct {
	speech  float64 // level of the talker's speech
	wanted  float64 // gain for speech
	applied float64 // gain now
	silent  int     // ticks without speech
}

func newLeveler() leveler { return leveler{speech: target, silent: pause} }

// gain is the factor for a frame of the given level, of a talker with that noise.
func (l *leveler) gain(level, noise float64) float32 {
	if level > max(noise+overNoise, quietest) {
		l.silent = 0
		l.speech += (level - l.speech) * inertia
		ideal := min(max(target-l.speech, leastGain), mostGain)
		l.wanted += min(max(ideal-l.wanted, -gainDown), gainUp)
		l.applied = l.wanted
	} else if l.silent++; l.silent > pause {
		l.applied = max(min(l.applied, 0), l.applied-retreat)
	}
	return float32(factor(l.applied))
}

// factor turns dB into a factor.
func factor(dB float64) float64 { return math.Pow(10, dB/20) }
