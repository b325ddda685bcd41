package speech

import (
	"slices"
	"testing"
	"time"
)

func TestHeard(t *testing.T) {
	const rate = 8000
	said, other := Say(t, "en", English, rate)[:4*rate], Say(t, "fr", French, rate)
	at := 3*rate + 100
	place := time.Duration(at) * time.Second / rate
	quiet := make([]int16, at)
	cut := 1500 * rate / 1000 // a playout buffer drops 30 ms here
	for name, c := range map[string]struct {
		heard       []int16
		least, most float64
	}{
		"all":        {slices.Concat(quiet, said, quiet), 1, 1},
		"cut once":   {slices.Concat(quiet, said[:cut], said[cut+240:], quiet), 0.8, 1},
		"stopped":    {slices.Concat(quiet, said[:cut], make([]int16, rate/2), said[cut:], quiet), 0.8, 1},
		"half of it": {slices.Concat(quiet, said[:2*rate], quiet), 0.5, 0.5},
		"in pieces":  {slices.Concat(quiet, said[:rate], quiet, said[2*rate:3*rate], quiet, said[rate:2*rate], quiet), 0, 0.3},
		"other":      {slices.Concat(quiet, other), 0, 0},
		"nothing":    {nil, 0, 0},
		"silence":    {make([]int16, 8*rate), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			offset, share := Heard(c.heard, append(slices.Clone(said), quiet...), rate) // silence behind it is not missed
			if share < c.least || share > c.most {
				t.Errorf("heard %.2f of it, want %.2f to %.2f", share, c.least, c.most)
			}
			if c.least > 0.4 && (offset-place).Abs() > 50*time.Millisecond {
				t.Errorf("at %v, want %v", offset, place)
			}
		})
	}
}
