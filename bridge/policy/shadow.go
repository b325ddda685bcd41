package policy

import "go.yaml.in/yaml/v3"

// maxCompared is how many pairs of rules are held against each other. What has an index is no part of it: only thousands of rules that differ in
// nothing but times and counts come this far.
const maxCompared = 2_000_000

// shadows refuses rules that can never match, because a rule before them takes all of their calls: each of its conditions is implied by one of
// theirs. Rules that only several others together hide are not found.
func (p *parser) shadows() {
	sc := p.set.finder.scratch()
	left := maxCompared
	for j := range p.set.rules {
		r := &p.set.rules[j]
		p.rule = r.name
		hiders := p.set.finder.hiders(sc, r)
		for i := hiders.next(0); i >= 0 && i < j; i = hiders.next(i + 1) {
			if left--; left < 0 {
				p.warn(r.node(), "from here on, too many rules are alike to find those that can never match")
				return
			}
			if o := &p.set.rules[i]; o.hides(r) {
				p.refuse(r.node(), "it can never match: rule %q of line %d takes all of its calls", o.name, o.line)
				break
			}
		}
	}
	p.rule = ""
}

// node is where the rule stands.
func (r *rule) node() *yaml.Node { return &yaml.Node{Line: r.line, Column: r.col} }

// hides tells whether every call that meets r meets o.
func (o *rule) hides(r *rule) bool {
	if o.keys&^r.keys != 0 {
		return false
	}
	for i := range o.conditions {
		if !r.about(o.conditions[i].key).implies(&o.conditions[i]) {
			return false
		}
	}
	return true
}
