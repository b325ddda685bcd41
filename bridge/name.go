package bridge

import (
	"crypto/rand"
	"strings"

	"passerelle/bridge/policy"
)

// name is what the room sees of the caller: what the rule says, else the name they gave, else as much of their number as the rule shows, else "Phone".
// Who is outside is marked.
func (c *call) name() string {
	g := c.decision.Grant
	name := displayName(c.who, g.ShowNumber)
	if g.Name != "" {
		name = limit(strings.TrimSpace(strings.NewReplacer(
			"{name}", displayName(Caller{Name: c.who.Name}, policy.Hidden), "{number}", shownNumber(c.who.Number, g.ShowNumber), "{trunk}", c.who.Trunk,
			"{platform}", c.who.Platform,
		).Replace(g.Name)), maxDisplay)
	}
	if g.Foreign {
		name += foreignMark
	}
	return name
}

const (
	maxDisplay  = 60        // characters of a name
	foreignMark = " (ext.)" // short for "external" and "externe"
	noName      = "Phone"
)

// displayName is what a caller is called where the rule says nothing.
func displayName(c Caller, shown policy.Shown) string {
	if name := strings.TrimSpace(c.Name); name != "" && !looksLikeNumber(name) {
		return limit(name, maxDisplay)
	}
	for _, number := range []string{c.Number, c.Name} {
		if s := shownNumber(number, shown); s != "" {
			return s
		}
	}
	return noName
}

// shownNumber is as much of a number as a rule shows. The zero value shows what Masked does.
func shownNumber(number string, shown policy.Shown) string {
	switch {
	case shown == policy.Hidden:
		return ""
	case shown == policy.Full && looksLikeNumber(number):
		return limit(number, maxDisplay)
	}
	return maskNumber(number)
}

// newIdentity makes a participant's identity: unique, and without anything of the caller in it.
func newIdentity(kind string) string { return kind + "-" + strings.ToLower(rand.Text()[:12]) }

// identityKind begins the identity of a leg in its room.
func identityKind(protocol string) string {
	switch protocol {
	case "webrtc", "whip":
		return "guest"
	case "livekit":
		return "site"
	}
	return "phone"
}

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
