package policy

import (
	"strings"
	"unicode/utf8"
)

// pattern is what a text is held against.
type pattern struct {
	kind    patternKind
	text    string // a prefix or suffix without its star
	written string // as in the file, for people
}

type patternKind uint8

const (
	exactly  patternKind = iota
	begins               // with text
	ends                 // with text
	globbed              // * is any number of characters, ? is one
	anything             // any text, but not none
	absent               // no text
)

// newName reads a glob.
func newName(s string) pattern {
	stars := strings.Count(s, "*") + strings.Count(s, "?")
	switch {
	case s == "*":
		return pattern{anything, "", s}
	case stars == 1 && s[len(s)-1] == '*':
		return pattern{begins, s[:len(s)-1], s}
	case stars == 1 && s[0] == '*':
		return pattern{ends, s[1:], s}
	case stars > 0:
		return pattern{globbed, s, s}
	}
	return pattern{exactly, s, s}
}

func isPlusDigits(s string) bool {
	if len(s) < 2 || s[0] != '+' {
		return false
	}
	return !strings.ContainsFunc(s[1:], func(r rune) bool { return r < '0' || r > '9' })
}

// match tells whether a text meets the pattern. An empty text is none: only absent is met by it.
func (p *pattern) match(s string) bool {
	switch p.kind {
	case absent:
		return s == ""
	case anything:
		return s != ""
	case exactly:
		return s == p.text && s != ""
	case begins:
		return strings.HasPrefix(s, p.text) && s != ""
	case ends:
		return strings.HasSuffix(s, p.text) && s != ""
	}
	return s != "" && glob(p.text, s, false)
}

// covers tells whether every text that meets q meets p. It may answer false where that is hard to see, never true where it is not so.
func (p *pattern) covers(q *pattern) bool {
	switch {
	case p.kind == absent || q.kind == absent:
		return p.kind == q.kind
	case p.kind == anything:
		return true
	}
	return glob(p.glob(), q.glob(), true)
}

func (p *pattern) glob() string {
	switch p.kind {
	case anything:
		return "*"
	case begins:
		return p.text + "*"
	case ends:
		return "*" + p.text
	}
	return p.text
}

// glob matches s against a pattern. Where s is a pattern itself, its stars and question marks stand for texts that are not known: a ? meets a ?
// but no star, a star meets a star. It takes at most len(p)·len(s) steps.
func glob(p, s string, symbolic bool) bool {
	star, retry := -1, 0 // where the last star of p is, and how far in s it has eaten
	i, j := 0, 0
	for j < len(s) {
		_, size := utf8.DecodeRuneInString(s[j:])
		switch {
		case i < len(p) && p[i] == '*':
			star, retry = i, j
			i++
		case i < len(p) && p[i] == '?' && !(symbolic && s[j] == '*'):
			i++
			j += size
		case i < len(p) && p[i] == s[j] && p[i] != '?':
			i++
			j++
		case star >= 0:
			_, size = utf8.DecodeRuneInString(s[retry:])
			retry += size
			i, j = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(p[i:], "*") == ""
}
