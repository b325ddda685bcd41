package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"passerelle/internal/yamldoc"
)

// Set is a file of rules that can be used: all of it was read and checked. It never changes, and its methods may be called from any goroutine.
type Set struct {
	name     string
	source   []byte
	version  string
	warnings []string

	rules    []rule
	quick    []quick // of each rule
	finder   *finder
	rooms    []classified
	classes  *index // of rooms
	holidays holidays
	zones    []*time.Location
	origins  []string // of web pages that any rule takes, in order
}

// classified gives rooms a class.
type classified struct {
	room  pattern
	class string
}

// rule is one rule of a set.
type rule struct {
	name       string
	line, col  int
	keys       uint32      // of its conditions, a bit each
	conditions []condition // all must hold; none: always
	grants     bool
	grant      Grant
	refusal    Refusal
}

// quick is what a decision needs of each rule, close together.
type quick struct {
	keys  uint32
	plain bool        // a grant of which nothing depends on the rule's name
	same  int32       // number of the grant among those that differ
	kind  int32       // and among those that differ in more than words
	rooms int32       // number of what it asks of the room among those that differ
	rest  []condition // those that have no index
}

// Bounds of a file of rules.
const (
	maxFile  = 8 << 20 // bytes
	maxRules = 20_000
	maxName  = 64 // characters of a rule's name
	maxText  = 200
	maxList  = 10_000 // entries of one list
	maxGlobs = 1000   // different patterns of one condition with wildcards that have no index
	maxZones = 32
)

// ReadFile reads a file of rules, of at most 8 MiB.
func ReadFile(path string) (*Set, error) {
	b, err := yamldoc.ReadFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	return Parse(path, b)
}

// Version is the SHA-256 of the source, in hexadecimal.
func (s *Set) Version() string { return s.version }

// Source is the text of the file, comments and all.
func (s *Set) Source() []byte { return s.source }

// Len is the number of rules.
func (s *Set) Len() int { return len(s.rules) }

// Warnings tell what is permitted and probably not meant, with name of the file, line and column.
func (s *Set) Warnings() []string { return s.warnings }

func hash(source []byte) string {
	sum := sha256.Sum256(source)
	return hex.EncodeToString(sum[:])
}

// prepare makes what decisions need once the rules are read.
func (s *Set) prepare() {
	if s.classes == nil {
		s.classes = newIndex(0)
	}
	s.finder = newFinder(s.rules, len(s.rooms))
	s.gatherOrigins()
	s.quick = make([]quick, len(s.rules))
	grants, kinds, rooms := map[string]int32{}, map[string]int32{}, map[string]int32{}
	for i := range s.rules {
		r := &s.rules[i]
		q := quick{keys: r.keys, plain: r.grants && r.grant.MaxRule == 0}
		about := ""
		for _, c := range r.conditions {
			if c.key > lastIndexed {
				q.rest = append(q.rest, c)
			}
			if c.key == keyRoom || c.key == keyClass || c.key == keyInRoom {
				about += fmt.Sprintf("%#v", c)
			}
		}
		q.rooms = number(rooms, about)
		g := r.grant
		q.same = number(grants, fmt.Sprintf("%#v", g))
		g.Room, g.Name, g.Banner = "", "", ""
		q.kind = number(kinds, fmt.Sprintf("%#v", g))
		s.quick[i] = q
	}
}

// number numbers texts from 0 on.
func number(seen map[string]int32, text string) int32 {
	if _, known := seen[text]; !known {
		seen[text] = int32(len(seen))
	}
	return seen[text]
}

// class is the first that the list of rooms gives to a room; empty: none.
func (s *Set) class(room string) string {
	sc := s.finder.scratch()
	defer s.finder.free(sc)
	clear(sc.rooms)
	s.classes.find(sc.rooms, room)
	if i := sc.rooms.next(0); i >= 0 {
		return s.rooms[i].class
	}
	return ""
}

// UnknownTrunks warns of trunks in rules that are none of those that there are.
func (s *Set) UnknownTrunks(trunks []string) []string {
	var warnings []string
	seen := map[string]bool{}
	for i := range s.rules {
		r := &s.rules[i]
		c := r.about(keyTrunk)
		if c == nil {
			continue
		}
		for j := range c.texts {
			p := &c.texts[j]
			if p.kind == absent || p.kind == anything || seen[p.written] || slices.ContainsFunc(trunks, p.match) {
				continue
			}
			seen[p.written] = true
			warnings = append(warnings, fmt.Sprintf("%s:%d:%d: rule %q: trunk: there is no trunk %q", s.name, r.line, r.col, r.name, p.written))
		}
	}
	return warnings
}
