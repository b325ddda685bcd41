package ivr

import (
	"fmt"
	"io"
	"log/slog"
)

// MaxPIN is the length of the longest PIN, in digits.
const MaxPIN = 32

// hidden is what is shown instead of a PIN.
const hidden = "•••"

// PIN is what a caller typed. It does not show itself: in logs, messages and JSON it is "•••", and printed as a part of something else it is an
// address.
type PIN struct{ digits *string }

// NewPIN makes a PIN that did not come from a keypad.
func NewPIN(digits string) PIN { return PIN{&digits} }

// Reveal returns the digits.
func (p PIN) Reveal() string {
	if p.digits == nil {
		return ""
	}
	return *p.digits
}

// String hides the digits.
func (PIN) String() string { return hidden }

// Format hides the digits from every verb of fmt, the wrong ones too.
func (PIN) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hidden) }

// LogValue hides the digits from slog.
func (PIN) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the digits from JSON and its like.
func (PIN) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Collector puts the digits of a PIN together. # ends it, * begins it anew; where PINs have a fixed length, the last digit ends it too, and the #
// that some type behind it is ignored.
type Collector struct {
	length int
	typed  []byte
}

// NewCollector makes a collector of PINs of the given length, of any length up to MaxPIN where it is 0.
func NewCollector(length int) *Collector {
	if length <= 0 || length > MaxPIN {
		length = MaxPIN
	}
	return &Collector{length: length, typed: make([]byte, 0, length)}
}

// Press takes one key, and returns the PIN when it is complete. The next key begins another one.
func (c *Collector) Press(key byte) (pin PIN, complete bool) {
	switch {
	case key >= '0' && key <= '9':
		c.typed = append(c.typed, key)
		complete = len(c.typed) == c.length
	case key == '#':
		complete = len(c.typed) > 0
	case key == '*':
		c.Clear()
	}
	if complete {
		pin = NewPIN(string(c.typed))
		c.Clear()
	}
	return pin, complete
}

// Len is how many digits have been typed so far.
func (c *Collector) Len() int { return len(c.typed) }

// Clear forgets what was typed.
func (c *Collector) Clear() {
	clear(c.typed)
	c.typed = c.typed[:0]
}
