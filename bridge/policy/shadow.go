package policy

import "go.yaml.in/yaml/v3"

// shadows refuses rules that can never match, because a rule before them takes all of their calls: each of its conditions is implied by one of
// theirs. Rules that only several others together hide are not found.
func (p *parser) shadows() {
	sc := p.set.finder.scratch()
	for j := range p.set.rules {
		r := &p.set.rules[j]
		hiders := p.set.finder.hiders(sc, r)
		for i := hiders.next(0); i >= 0 && i < j; i = hiders.next(i + 1) {
			o := &p.set.rules[i]
			if !o.hides(r) {
				continue
			}
			p.rule = r.name
			p.refuse(&yaml.Node{Line: r.line, Column: r.col}, "it can never match: rule %q of line %d takes all of its calls", o.name, o.line)
			p.rule = ""
			break
		}
	}
}

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
