package ivr

import "time"

const (
	sameTime = 300 * time.Millisecond // in which a press comes by all its ways
	maxWays  = 4
)

// Dedup finds the presses that come more than once, because a phone or a gateway sends them in several ways: as telephone-events, in INFO
// requests, as a tone. Each way counts the presses of a digit, and a press is new when its way is ahead of all others.
type Dedup struct {
	digits [16]presses
}

// presses are the recent ones of one digit; they are counted anew after a pause of more than sameTime.
type presses struct {
	last time.Time
	most int // of the way that is ahead
	ways [maxWays]struct {
		name  string
		count int
	}
}

// Accept tells whether a digit is a new press. The same digit by another way within 300 ms is the same press; by the same way it is a new one.
func (d *Dedup) Accept(way string, digit byte, at time.Time) bool {
	i, ok := digitIndex(digit)
	if !ok {
		return false
	}
	p := &d.digits[i]
	if at.Sub(p.last).Abs() > sameTime {
		*p = presses{}
	}
	p.last = at
	for i := range p.ways {
		w := &p.ways[i]
		if w.count > 0 && w.name != way {
			continue
		}
		w.name = way
		w.count++
		if w.count <= p.most {
			return false
		}
		p.most = w.count
		return true
	}
	return false // a fifth way: the press has come by the others
}

func digitIndex(digit byte) (int, bool) {
	switch {
	case digit >= '0' && digit <= '9':
		return int(digit - '0'), true
	case digit >= 'A' && digit <= 'D':
		return int(digit-'A') + 10, true
	case digit == '*':
		return 14, true
	case digit == '#':
		return 15, true
	}
	return 0, false
}
