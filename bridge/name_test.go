package bridge

import (
	"strings"
	"testing"

	"passerelle/bridge/policy"
)

func TestDisplayName(t *testing.T) {
	for _, c := range []struct{ name, number, want string }{
		{"Ambassade à Rome", "+390612345678", "Ambassade à Rome"},
		{"", "+33123456712", "+33 1 •• •• •• 12"},
		{"", "0033123456712", "+33 1 •• •• •• 12"},
		{"+33 1 23 45 67 12", "+33123456712", "+33 1 •• •• •• 12"},
		{"0123456789", "0123456789", "01 •• •• •• 89"},
		{"", "+12025550143", "+1 •• •• •• •• 43"},
		{"", "+442079460958", "+44 •• •• •• •• 58"},
		{"", "+352661234567", "+352 • •• •• •• 67"},
		{"", "1042", "•••2"},
		{"", "anonymous", "Phone"},
		{"", "", "Phone"},
		{"  ", "7", "7"},
		{"a\x00b\nc", "", "abc"},
		{strings.Repeat("é", 100), "", strings.Repeat("é", 60)},
	} {
		if got := displayName(Caller{Name: c.name, Number: c.number}, policy.Masked); got != c.want {
			t.Errorf("name %q number %q: %q, want %q", c.name, c.number, got, c.want)
		}
	}
}

// FuzzMaskNumber proves that no more than four digits after the country code survive, and that nothing makes it fail.
func FuzzMaskNumber(f *testing.F) {
	for _, s := range []string{"+33123456712", "00441", "+", "12345", "123456", "+999999999999999999999999", "(0) 1-2/3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, number string) {
		masked := maskNumber(number)
		shown := strings.Count(masked, "•")
		digits := 0
		for _, r := range number {
			if r >= '0' && r <= '9' {
				digits++
			}
		}
		if masked == "" || digits < 2 {
			return
		}
		if hidden := digits - shown; hidden > 6 && digits > 6 {
			t.Errorf("%q: %q shows %d digits", number, masked, hidden)
		}
		if shown == 0 {
			t.Errorf("%q: %q hides nothing", number, masked)
		}
	})
}

func TestIdentitiesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := newIdentity("phone")
		if seen[id] {
			t.Fatalf("%s came twice", id)
		}
		seen[id] = true
	}
}
