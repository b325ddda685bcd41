package policy

// open collects what rules would say that may match: all that is known of a call while its room is not.
type open struct {
	set *Set

	rules   int // that were added
	grants  int // of them
	grant   Grant
	by      string // who refuses
	refusal Refusal
	could   bool   // the refusal is that of a grant, under which the call could be
	seen    bitset // grants that were weighed
	kinds   bitset // kinds of grants that are in grant
	asked   bitset // what rules asked of the room
}

// add weighs what a rule would say that matches in some rooms. One that asks the same of the room as a rule before it never gets its turn. Many
// others grant the same, which is weighed once.
func (o *open) add(i int, f *Facts) {
	q := &o.set.quick[i]
	if o.rules == 0 {
		clear(o.seen)
		clear(o.kinds)
		clear(o.asked)
	}
	o.rules++
	if o.asked.has(int(q.rooms)) {
		return
	}
	o.asked.add(int(q.rooms))
	if q.plain && (o.seen.has(int(q.same)) || o.kinds.has(int(q.kind)) && o.grant.Room == "" && o.grant.Name == "" && o.grant.Banner == "") {
		return
	}
	o.seen.add(int(q.same))
	r := &o.set.rules[i]
	if refused, refusal := r.refuses(f); refused {
		o.refuse(r.name, refusal, r.grants)
		return
	}
	o.grants++
	switch {
	case o.grants == 1:
		o.grant = r.grant
	case o.kinds.has(int(q.kind)):
		o.grant.Room, o.grant.Name, o.grant.Banner = same(o.grant.Room, r.grant.Room), same(o.grant.Name, r.grant.Name), same(o.grant.Banner, r.grant.Banner)
	default:
		o.grant = union(o.grant, r.grant)
	}
	o.kinds.add(int(q.kind))
}

// refuse keeps the refusal of a grant under which the call could be, if it were encrypted or there were fewer others; else the last one, which is
// that of the rule that surely matches.
func (o *open) refuse(rule string, r Refusal, could bool) {
	if !o.could {
		o.by, o.refusal, o.could = rule, r, could
	}
}

// decision is what can be said.
func (o *open) decision() Decision {
	if o.grants > 0 {
		o.grant.MaxRule = 0 // of which rule?
		return Decision{Version: o.set.version, Allowed: true, Open: true, Grant: o.grant}
	}
	return Decision{Rule: o.by, Version: o.set.version, Refusal: o.refusal}
}
