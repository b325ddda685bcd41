package sip

import (
	"strings"
	"unicode"

	sipgo "github.com/emiago/sipgo/sip"
)

const (
	maxName   = 64 // runes
	maxNumber = 32 // bytes
)

// identity says who calls: from P-Asserted-Identity (RFC 3325) where the trunk is trusted, else from From. Both are empty where the caller
// wants to stay unknown (RFC 3323, 3325: Privacy; an anonymous From). proven: the trunk vouches for the number.
func identity(req *sipgo.Request, trusted bool) (name, number string, proven bool) {
	if withheld(req) {
		return "", "", false
	}
	if trusted {
		for _, h := range req.GetHeaders("p-asserted-identity") {
			for _, v := range splitList(h.Value()) {
				n, num := address(v)
				if name == "" {
					name = n
				}
				if number == "" || !strings.HasPrefix(number, "+") && strings.HasPrefix(num, "+") {
					number = num
				}
			}
		}
		if number != "" {
			return name, number, true
		}
	}
	from := req.From()
	if from == nil {
		return "", "", false
	}
	if strings.EqualFold(from.Address.User, "anonymous") || strings.EqualFold(from.Address.Host, "anonymous.invalid") {
		return "", "", false
	}
	return cleanName(from.DisplayName), cleanNumber(user(&from.Address)), false
}

// withheld tells whether the caller asked for privacy.
func withheld(req *sipgo.Request) bool {
	for _, h := range req.GetHeaders("privacy") {
		for _, v := range strings.FieldsFunc(h.Value(), func(r rune) bool { return r == ';' || r == ',' || r == ' ' }) {
			switch strings.ToLower(v) {
			case "id", "user", "full":
				return true
			}
		}
	}
	return false
}

// address reads one name-addr or addr-spec.
func address(s string) (name, number string) {
	var uri sipgo.Uri
	var params sipgo.HeaderParams
	n, err := sipgo.ParseAddressValue(strings.TrimSpace(s), &uri, &params)
	if err != nil {
		return "", ""
	}
	return cleanName(n), cleanNumber(user(&uri))
}

// user is the user part of a SIP URI or the number of a tel URI, without parameters.
func user(u *sipgo.Uri) string {
	s := u.User
	if strings.EqualFold(u.Scheme, "tel") {
		s = u.Raw()
	}
	s, _, _ = strings.Cut(s, ";")
	return s
}

// cleanName leaves one line of printable text.
func cleanName(s string) string {
	s = strings.ReplaceAll(strings.Trim(strings.TrimSpace(s), `"`), `\`, "")
	var b strings.Builder
	n := 0
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			continue
		}
		if n++; n > maxName {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// cleanNumber drops visual separators (RFC 3966, section 5.1.1) of what is a number, and anything that is no part of a user name.
func cleanNumber(s string) string {
	digits := strings.NewReplacer("-", "", ".", "", "(", "", ")", "", " ", "").Replace(s)
	if d := strings.TrimPrefix(digits, "+"); d != "" && strings.Trim(d, "0123456789") == "" {
		s = digits
	}
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune(`"<>\@`, r) {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), maxNumber)]
}

// splitList cuts a header value at the commas outside quotes and angle brackets.
func splitList(s string) []string {
	var out []string
	quoted, bracket, start := false, false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && c == '<':
			bracket = true
		case !quoted && c == '>':
			bracket = false
		case !quoted && !bracket && c == ',':
			out = append(out, strings.TrimSpace(s[start:i]))
			start = i + 1
		}
	}
	return append(out, strings.TrimSpace(s[start:]))
}
