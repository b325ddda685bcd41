package bridge

import (
	"crypto/rand"
	"strings"
)

// displayName is what the room sees of a caller: the name they gave, else their number without its middle, else "Phone".
func displayName(c Caller) string {
	if name := strings.TrimSpace(c.Name); name != "" && !looksLikeNumber(name) {
		return limit(name, 60)
	}
	for _, number := range []string{c.Number, c.Name} {
		if masked := maskNumber(number); masked != "" {
			return masked
		}
	}
	return "Phone"
}

// newIdentity makes a participant's identity: unique, and without anything of the caller in it.
func newIdentity() string { return "phone-" + strings.ToLower(rand.Text()[:12]) }

// limit cuts a text after n characters, and drops what does not print.
func limit(s string, n int) string {
	out := make([]rune, 0, n)
	for _, r := range s {
		if len(out) == n {
			break
		}
		if r >= ' ' && r != 0x7f && r != 0xfffd {
			out = append(out, r)
		}
	}
	return string(out)
}

// looksLikeNumber tells whether a display name is only the number again, as many PBXs send it.
func looksLikeNumber(s string) bool {
	digits := 0
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case !strings.ContainsRune("+ -.()/", r):
			return false
		}
	}
	return digits > 0
}

// maskNumber shows where a number is from and how it ends: "+33 1 •• •• •• 12". A number of five digits or fewer is an extension: only its
// last digit shows. What is not a number gives "".
func maskNumber(number string) string {
	if !looksLikeNumber(number) {
		return ""
	}
	var b strings.Builder
	for _, r := range number {
		if r >= '0' && r <= '9' {
			b.WriteRune(r)
		}
	}
	digits, international := b.String(), strings.HasPrefix(strings.TrimSpace(number), "+")
	if !international && strings.HasPrefix(digits, "00") {
		digits, international = digits[2:], true
	}
	n := len(digits)
	switch {
	case n == 0:
		return ""
	case n <= 5:
		return strings.Repeat("•", n-1) + digits[n-1:]
	case international && strings.HasPrefix(digits, "33") && n == 11:
		return "+33 " + digits[2:3] + " •• •• •• " + digits[9:]
	case international:
		cc := countryCodeLength(digits)
		return "+" + digits[:cc] + " " + dots(n-cc-2) + " " + digits[n-2:]
	default:
		return digits[:2] + " " + dots(n-4) + " " + digits[n-2:]
	}
}

// dots stands for n hidden digits, in pairs.
func dots(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 && (n-i)%2 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune('•')
	}
	return b.String()
}

// countryCodeLength is the number of digits of an E.164 country code (ITU-T E.164, annex to Operational Bulletin 1114): the first digits decide.
func countryCodeLength(digits string) int {
	switch {
	case digits[0] == '1' || digits[0] == '7':
		return 1
	case strings.Contains("20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 "+
		"81 82 84 86 90 91 92 93 94 95 98", digits[:2]):
		return 2
	}
	return 3
}
