package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"passerelle/internal/yamldoc"
)

// Parse reads a file of rules, whose name stands at the front of each error. All that is wrong is told at once, with line and column.
func Parse(name string, data []byte) (*Set, error) {
	p := &parser{reader: reader{file: name}, set: &Set{name: name, source: slices.Clone(data), version: hash(data)}, zones: map[string]int{}}
	p.read(data)
	if len(p.problems) == 0 {
		p.set.prepare()
		p.globs()
	}
	if len(p.problems) == 0 {
		p.shadows()
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	p.set.warnings = p.warnings
	return p.set, nil
}

// globs bounds the patterns for which there is no index.
func (p *parser) globs() {
	for k, x := range p.set.finder.texts {
		if x != nil && len(x.globs) > maxGlobs {
			p.refuse(&yaml.Node{Line: 1, Column: 1}, "%s: %d patterns with a star elsewhere than at one end: expected at most %d", key(k), len(x.globs), maxGlobs)
		}
	}
}

// parser builds a set.
type parser struct {
	reader
	set     *Set
	zone    *yaml.Node     // of windows that name none
	zones   map[string]int // in set.zones; -1: there is no such zone
	classes map[string]bool
}

// read reads the text.
func (p *parser) read(data []byte) {
	root, err := yamldoc.Parse(data)
	var at *yamldoc.Error
	switch {
	case errors.As(err, &at):
		p.refuse(&yaml.Node{Line: max(at.Line, 1), Column: max(at.Column, 1)}, "%s", at.Text)
	case err != nil:
		p.refuse(&yaml.Node{Line: 1, Column: 1}, "%v", err)
	case root == nil:
		p.file(&yaml.Node{Kind: yaml.MappingNode, Line: 1, Column: 1})
	default:
		p.file(root)
	}
}

// file reads the whole. What rules refer to is read before them, wherever it stands.
func (p *parser) file(root *yaml.Node) {
	var version, holidays, rooms, rules *yaml.Node
	hold := func(to **yaml.Node) func(*yaml.Node) {
		return func(n *yaml.Node) { *to = n }
	}
	p.mapping(root, entry{"version", hold(&version)}, entry{"zone", hold(&p.zone)}, entry{"holidays", hold(&holidays)},
		entry{"rooms", hold(&rooms)}, entry{"rules", hold(&rules)})
	if version == nil {
		p.refuse(root, "expected version: 1 at the top")
	} else if version.Value != "1" {
		p.refuse(version, "expected version: 1")
	}
	if p.zone != nil {
		p.zoneOf(p.zone)
	}
	if holidays != nil && !none(holidays) {
		p.holidays(holidays)
	}
	if rooms != nil {
		p.rooms(rooms)
	}
	switch {
	case rules == nil || none(rules):
		p.refuse(root, "expected rules: with at least one rule; an empty file would refuse every call")
	case rules.Kind != yaml.SequenceNode:
		p.refuse(rules, "expected a list of rules: - name: …")
	case len(rules.Content) == 0 || len(rules.Content) > maxRules:
		p.refuse(rules, "%d rules: expected 1 to %d", len(rules.Content), maxRules)
	default:
		p.rules(rules)
	}
}

// zoneOf reads the name of a time zone.
func (p *parser) zoneOf(n *yaml.Node) int {
	if i, known := p.zones[n.Value]; known {
		return i
	}
	p.zones[n.Value] = -1
	loc, err := time.LoadLocation(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode || n.Value == "" || n.Value == "Local" || err != nil:
		p.refuse(n, "expected a time zone such as Europe/Paris or UTC")
	case len(p.set.zones) == maxZones:
		p.refuse(n, "expected at most %d time zones", maxZones)
	default:
		p.zones[n.Value] = len(p.set.zones)
		p.set.zones = append(p.set.zones, loc)
	}
	return p.zones[n.Value]
}

// holidays reads days: 12-25 is each year, 2026-04-06 once.
func (p *parser) holidays(n *yaml.Node) {
	p.set.holidays = map[holiday]struct{}{}
	for _, item := range p.list(n) {
		day, ok := parseHoliday(item.Value)
		if !ok || item.Kind != yaml.ScalarNode {
			p.refuse(item, "expected a day such as 12-25, or 2026-04-06 for once")
			continue
		}
		if _, twice := p.set.holidays[day]; twice {
			p.refuse(item, "this holiday was given before")
		}
		p.set.holidays[day] = struct{}{}
	}
}

func parseHoliday(s string) (holiday, bool) {
	if t, err := time.Parse("2006-01-02", s); err == nil && t.Year() > 0 {
		return holiday{t.Year(), t.Month(), t.Day()}, true
	}
	t, err := time.Parse("2006-01-02", "2000-"+s) // a leap year: 02-29 is a day
	return holiday{0, t.Month(), t.Day()}, err == nil
}

// rooms reads which class rooms have: patterns of names, of which the first that matches gives the class.
func (p *parser) rooms(n *yaml.Node) {
	p.classes = map[string]bool{}
	if n.Kind != yaml.MappingNode {
		if !none(n) {
			p.refuse(n, "expected rooms with their class, such as \"cabinet-*\": restricted")
		}
		return
	}
	if len(n.Content) > 2*maxList {
		p.refuse(n, "%d rooms: expected at most %d", len(n.Content)/2, maxList)
		return
	}
	taken := newIndex(len(n.Content) / 2)
	before := newBitset(taken.n)
	for i := 0; i+1 < len(n.Content); i += 2 {
		room, okRoom := p.text(n.Content[i], maxText)
		class, okClass := p.text(n.Content[i+1], maxName)
		if !okRoom || !okClass {
			continue
		}
		if class == "none" || class == "any" {
			p.refuse(n.Content[i+1], "expected a class of your own: none and any have a meaning in rules")
		}
		c := classified{newName(room), class}
		clear(before)
		taken.find(before, c.room.sample())
		for j := before.next(0); j >= 0; j = before.next(j + 1) {
			if p.set.rooms[j].room.covers(&c.room) {
				p.refuse(n.Content[i], "this can never match: a line before it takes these rooms already")
				break
			}
		}
		taken.add(len(p.set.rooms), []pattern{c.room})
		if len(taken.globs) > maxGlobs {
			p.refuse(n, "expected at most %d rooms with a star elsewhere than at one end", maxGlobs)
			return
		}
		p.set.rooms = append(p.set.rooms, c)
		p.classes[class] = true
	}
	p.set.classes = taken
}

// rules reads the list of rules.
func (p *parser) rules(list *yaml.Node) {
	p.set.rules = make([]rule, 0, len(list.Content))
	lines := map[string]int{} // of each name
	for i, n := range list.Content {
		p.rule = fmt.Sprintf("#%d", i+1)
		r := p.readRule(n)
		if first := lines[r.name]; first != 0 {
			p.refuse(n, "the rule of line %d has this name, too", first)
		} else if r.name != "" {
			lines[r.name] = n.Line
		}
		p.set.rules = append(p.set.rules, r)
	}
	p.rule = ""
}

// readRule reads one rule.
func (p *parser) readRule(n *yaml.Node) rule {
	r := rule{line: n.Line, col: n.Column}
	if n.Kind != yaml.MappingNode {
		p.refuse(n, "expected a rule: name, when, and grant or refuse")
		return r
	}
	// The name stands in the errors of all the rest, so it is wanted first.
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "name" {
			if s, ok := p.text(n.Content[i+1], maxName); ok {
				r.name, p.rule = s, s
			}
			break
		}
	}
	var when, grant, refuse *yaml.Node
	named := false
	p.mapping(n,
		entry{"name", func(*yaml.Node) { named = true }},
		entry{"when", func(n *yaml.Node) {
			when = n
			r.conditions = p.when(n)
			for _, c := range r.conditions {
				r.keys |= 1 << c.key
			}
		}},
		entry{"grant", func(n *yaml.Node) { grant = n }},
		entry{"refuse", func(n *yaml.Node) { refuse = n }})
	if !named {
		p.refuse(n, "expected a name: logs and records tell by which rule a call was taken")
	}
	switch {
	case grant != nil && refuse != nil:
		p.refuse(refuse, "expected grant or refuse, not both")
	case grant != nil:
		r.grants = true
		r.grant = p.grant(grant, &r)
	case refuse != nil:
		r.refusal = p.refusal(refuse, &r)
	default:
		p.refuse(n, "expected grant or refuse")
	}
	p.contradictions(when, &r)
	return r
}
