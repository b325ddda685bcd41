package ivr

import (
	"fmt"
	"strings"
)

// ParseLanguage reads a language such as fr, en or fr-BE and writes it in small letters. It is the name of a directory of prompts too, so nothing
// else than letters, digits and single hyphens is accepted.
func ParseLanguage(s string) (string, error) {
	language := strings.ToLower(strings.ReplaceAll(s, "_", "-"))
	for i, part := range strings.Split(language, "-") {
		shortest, longest := 1, 8 // RFC 5646, section 2.1
		if i == 0 {
			shortest, longest = 2, 3
		}
		if len(part) < shortest || len(part) > longest || i > 3 || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return "", fmt.Errorf("language %q: expected one such as fr or en-gb", s)
		}
	}
	return language, nil
}
