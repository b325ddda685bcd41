package ivr

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxNumber is the highest number that can be said.
const MaxNumber = 999

func numberName(n int) Name { return Name(fmt.Sprintf("n%d", n)) }

// number is the number that a recording says; n21 says 21.
func (name Name) number() (int, bool) {
	digits, ok := strings.CutPrefix(string(name), "n")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n >= 0 && n <= MaxNumber && numberName(n) == name
}

// Number says a number from 0 to MaxNumber; what is beyond is said as the nearest of them.
//
// A language needs no rules for it, only recordings. One that says the number itself is played; else its hundreds, then its tens, or the tens
// below where it has none, and then what remains. So 75 is "seventy", "five" in English, and "soixante", "quinze" in French, which has no n70,
// while a Belgian admin who records n70 gets "septante", "cinq". Numbers that join in another way, as "vingt et un", have their own recording.
func (p *Prompts) Number(language string, n int) []int16 {
	clips, _ := p.compose(p.match(language), max(0, min(n, MaxNumber)))
	return slices.Concat(clips...)
}

// compose finds the recordings that make a number. missing is one that would help, or -1.
func (p *Prompts) compose(language string, n int) (clips [][]int16, missing int) {
	recorded := p.clips[language]
	for recorded[numberName(n)] == nil {
		part := n / 100 * 100
		if n < 100 {
			part = n / 10 * 10
			if recorded[numberName(part)] == nil {
				part -= 10
			}
		}
		if part <= 0 || recorded[numberName(part)] == nil {
			return nil, max(part, n%100)
		}
		clips = append(clips, recorded[numberName(part)])
		n -= part
	}
	return append(clips, recorded[numberName(n)]), -1
}

// Count says how many participants there are.
func (p *Prompts) Count(language string, n int) []int16 {
	if n == 1 {
		return p.Clip(language, CountOne)
	}
	return slices.Concat(p.Clip(language, CountBefore), p.Number(language, n), p.Clip(language, CountAfter))
}
