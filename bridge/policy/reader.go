package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"passerelle/internal/yamldoc"
)

// reader walks the tree of a file of rules and keeps what is wrong with it.
type reader struct {
	file     string
	rule     string // that is being read
	problems []error
	more     int // problems that are only counted
	warnings []string
}

// maxProblems is how many are told.
const maxProblems = 50

// at says where something stands: rules.yaml:12:5: rule "night":
func (r *reader) at(line, column int, text string) string {
	where := fmt.Sprintf("%s:%d:%d: ", r.file, line, column)
	if r.rule != "" {
		where += fmt.Sprintf("rule %q: ", r.rule)
	}
	return where + text
}

func (r *reader) refuse(n *yaml.Node, format string, args ...any) {
	if len(r.problems) >= maxProblems {
		r.more++
		return
	}
	r.problems = append(r.problems, errors.New(r.at(n.Line, n.Column, fmt.Sprintf(format, args...))))
}

func (r *reader) warn(n *yaml.Node, format string, args ...any) {
	if len(r.warnings) < maxProblems {
		r.warnings = append(r.warnings, r.at(n.Line, n.Column, fmt.Sprintf(format, args...)))
	}
}

func (r *reader) err() error {
	if r.more > 0 {
		r.problems = append(r.problems, fmt.Errorf("%s: and %d more", r.file, r.more))
		r.more = 0
	}
	return errors.Join(r.problems...)
}

// entry is one key of a mapping and who reads its value.
type entry struct {
	key  string
	read func(n *yaml.Node)
}

// mapping hands each value of a mapping to the reader of its key.
func (r *reader) mapping(n *yaml.Node, entries ...entry) {
	if none(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.refuse(n, "expected keys with values, each on a line of its own and indented")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		j := slices.IndexFunc(entries, func(e entry) bool { return e.key == key.Value })
		switch {
		case j < 0:
			r.refuse(key, "unknown key%s%s", shownWord(key.Value), yamldoc.Hint(key.Value, names(entries)))
		case seen[key.Value]:
			r.refuse(key, "%s: this key was given before", key.Value)
		default:
			seen[key.Value] = true
			entries[j].read(value)
		}
	}
}

func names(entries []entry) []string {
	var list []string
	for _, e := range entries {
		list = append(list, e.key)
	}
	return list
}

// none tells whether nothing stands behind a key.
func none(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// list returns the entries of a list, which may be written as one word.
func (r *reader) list(n *yaml.Node) []*yaml.Node {
	switch {
	case n.Kind == yaml.SequenceNode && len(n.Content) > maxList:
		r.refuse(n, "%d entries: expected at most %d", len(n.Content), maxList)
	case n.Kind == yaml.SequenceNode:
		return n.Content
	case n.Kind == yaml.ScalarNode && !none(n):
		return []*yaml.Node{n}
	default:
		r.refuse(n, "expected a word, or a list such as [a, b]")
	}
	return nil
}

// text reads one line of text of at most limit characters; ok: it is one.
func (r *reader) text(n *yaml.Node, limit int) (s string, ok bool) {
	switch {
	case n.Kind != yaml.ScalarNode || none(n) || n.Value == "":
		r.refuse(n, "expected a text")
	case !utf8.ValidString(n.Value) || strings.ContainsFunc(n.Value, func(c rune) bool { return !unicode.IsPrint(c) }):
		r.refuse(n, "expected text on one line, without control characters")
	case utf8.RuneCountInString(n.Value) > limit:
		r.refuse(n, "expected at most %d characters", limit)
	default:
		return n.Value, true
	}
	return "", false
}

// ascii reads a text that a SIP header can carry.
func (r *reader) ascii(n *yaml.Node) string {
	s, ok := r.text(n, maxText)
	if ok && strings.ContainsFunc(s, func(c rune) bool { return c > unicode.MaxASCII }) {
		r.refuse(n, "expected ASCII: the text goes into a SIP header, which has no accents")
	}
	return s
}

// word reads one of the words of a scale.
func word[T ~string](r *reader, n *yaml.Node, to *T, known ...T) {
	if n.Kind == yaml.ScalarNode && slices.Contains(known, T(n.Value)) {
		*to = T(n.Value)
		return
	}
	r.refuse(n, "expected %s%s", oneOf(known), insteadOf(n))
}

// words reads a list of words. all, where it is not nil, is what the single word "all" stands for; "none" is the empty list.
func words[T ~string](r *reader, n *yaml.Node, to *[]T, known ...T) {
	if n.Kind == yaml.ScalarNode && (n.Value == "all" || n.Value == "none") {
		*to = []T{}
		if n.Value == "all" {
			*to = known
		}
		return
	}
	out := []T{}
	for _, item := range r.list(n) {
		var w T
		word(r, item, &w, known...)
		if slices.Contains(out, w) && w != "" {
			r.refuse(item, "%s: expected each once", w)
		}
		out = append(out, w)
	}
	*to = out
}

func (r *reader) boolean(n *yaml.Node, to *bool) {
	switch {
	case n.Kind == yaml.ScalarNode && n.Value == "true":
		*to = true
	case n.Kind == yaml.ScalarNode && n.Value == "false":
		*to = false
	default:
		r.refuse(n, "expected true or false%s", insteadOf(n))
	}
}

func (r *reader) number(n *yaml.Node, to *int, low, high int) {
	v, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || v < low || v > high {
		r.refuse(n, "expected a whole number, %d to %d", low, high)
		return
	}
	*to = v
}

func (r *reader) duration(n *yaml.Node, to *time.Duration) {
	v, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || v < time.Second || v > 30*24*time.Hour {
		r.refuse(n, "expected a duration such as 90s, 30m or 2h, up to 720h")
		return
	}
	*to = v
}

// oneOf lists words: "a, b or c".
func oneOf[T ~string](known []T) string {
	var b strings.Builder
	for i, k := range known {
		switch {
		case i > 0 && i == len(known)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(string(k))
	}
	return b.String()
}

// insteadOf shows what was written, where it is a mere word: a number may be personal, and anything longer a secret that went astray.
func insteadOf(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		return ", not a list or keys"
	}
	if none(n) {
		return "; there is no value"
	}
	if w := shownWord(n.Value); w != "" {
		return ", not" + w
	}
	return ""
}

func shownWord(s string) string {
	if len(s) == 0 || len(s) > 20 || strings.ContainsFunc(s, func(c rune) bool { return (c < 'a' || c > 'z') && c != '_' && c != '-' && c != ' ' }) {
		return ""
	}
	return " " + strconv.Quote(s)
}
