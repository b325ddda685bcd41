package policy

// Decide holds the rules against what is known of a call: the first rule that matches decides, and what none matches is refused.
//
// While the room is not known, rules that ask for it may match or not. Then the decision is Open: the call may go on under the most that those
// rules, and the first that surely matches, could give together, and is refused at once where none of them would take it. A rule that sends
// calls to a room of its own settles the question: the rules are held against the call again with that room.
func (s *Set) Decide(f Facts) Decision {
	d, _ := s.decide(&f)
	return d
}

// decide also tells by which rule a call was sent to a room while others still depended on it; -1: by none.
func (s *Set) decide(f *Facts) (d Decision, sentBy int) {
	sc := s.finder.scratch()
	defer s.finder.free(sc)
	k := newCall(s, f)
	o := open{set: s, seen: sc.seen, kinds: sc.kinds, asked: sc.asked}
	rules := s.finder.candidates(sc, &k)
	for i := rules.next(0); i >= 0; i = rules.next(i + 1) {
		switch s.quick[i].match(&k) {
		case no:
		case maybe:
			o.add(i, f)
		case yes:
			r := &s.rules[i]
			if o.rules == 0 {
				return r.outcome(s, f), -1
			}
			if r.grants && r.grant.Room != "" {
				return s.sent(f, r.grant.Room), i
			}
			o.add(i, f)
			return o.decision(), -1
		}
	}
	if o.rules == 0 {
		return Decision{Version: s.version, Refusal: unmatched()}, -1
	}
	o.refuse("", unmatched(), false)
	return o.decision(), -1
}

// sent decides about a call for which a rule has chosen the room: the rules about that room say how it may be there.
func (s *Set) sent(f *Facts, room string) Decision {
	in := *f
	in.Room = room
	d, _ := s.decide(&in)
	if d.Allowed {
		d.Grant.Room = room
	}
	return d
}

// outcome is what a rule that matches says to a call.
func (r *rule) outcome(s *Set, f *Facts) Decision {
	if refused, refusal := r.refuses(f); refused {
		return Decision{Rule: r.name, Version: s.version, Refusal: refusal}
	}
	return Decision{Rule: r.name, Version: s.version, Allowed: true, Grant: r.grant}
}

// refuses tells whether a rule that matches refuses the call, and why.
func (r *rule) refuses(f *Facts) (bool, Refusal) {
	if !r.grants {
		return true, r.refusal
	}
	return beyond(&r.grant, r.name, f)
}

// beyond tells whether a call is over what its grant permits: not encrypted, or one too many.
func beyond(g *Grant, rule string, f *Facts) (bool, Refusal) {
	switch {
	case g.Encryption == Require && !f.Encrypted:
		return true, Refusal{Reason: NotEncrypted, Text: "This call must be encrypted: use TLS and SRTP"}
	case g.MaxInRoom > 0 && f.Room != "" && f.InRoom >= g.MaxInRoom:
		return true, Refusal{Reason: TooMany, Text: "Too many calls are in this room"}
	case g.MaxSource > 0 && f.OfSource >= g.MaxSource:
		return true, Refusal{Reason: TooMany, Text: "Too many calls come from your address"}
	case g.MaxRule > 0 && f.OfRule[rule] >= g.MaxRule:
		return true, Refusal{Reason: TooMany, Text: "Too many calls of this kind are running"}
	}
	return false, Refusal{}
}

// unmatched is the refusal where no rule matches.
func unmatched() Refusal {
	return Refusal{Reason: Forbidden, Text: "No rule allows this call"}
}
