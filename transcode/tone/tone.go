// Package tone makes the tones of telephones and hears the keypad's among what people say.
package tone

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// fade is how long a tone takes to come and to go, so that it does not click.
const fade = 4 * time.Millisecond

// Make returns a sum of sines as mono PCM at rate Hz. level is what each of them has, in dBFS: 0 is a sine of full scale. Sums are clipped.
func Make(rate int, length time.Duration, level float64, hz ...float64) []int16 {
	pcm := make([]int16, samples(length, rate))
	amplitude := 32767 * math.Pow(10, level/20)
	edge := min(samples(fade, rate), len(pcm)/2)
	for i := range pcm {
		var sum float64
		for _, f := range hz {
			sum += math.Sin(2 * math.Pi * f * float64(i) / float64(rate))
		}
		if near := min(i, len(pcm)-1-i); near < edge {
			sum *= (1 - math.Cos(math.Pi*float64(near)/float64(edge))) / 2
		}
		pcm[i] = int16(max(math.MinInt16, min(math.MaxInt16, math.Round(amplitude*sum))))
	}
	return pcm
}

func samples(d time.Duration, rate int) int { return int(d * time.Duration(rate) / time.Second) }

// The keypad (ITU-T Q.23): rows of low tones and columns of high ones.
const keys = "123A456B789C*0#D"

var (
	rows    = [4]float64{697, 770, 852, 941}
	columns = [4]float64{1209, 1336, 1477, 1633}
)

// dtmfLevel is that of each of the two tones, in dBFS.
const dtmfLevel = -10

// DTMF returns the tones of digits (0-9 * # A-D) as mono PCM at rate Hz, each on for a time and followed by a pause.
func DTMF(rate int, on, off time.Duration, digits string) ([]int16, error) {
	var pcm []int16
	for _, d := range []byte(strings.ToUpper(digits)) {
		key := strings.IndexByte(keys, d)
		if key < 0 {
			return nil, fmt.Errorf("no tones for key %q", d)
		}
		pcm = append(pcm, Make(rate, on, dtmfLevel, rows[key/4], columns[key%4])...)
		pcm = append(pcm, make([]int16, samples(off, rate))...)
	}
	return pcm, nil
}
