package policy

import (
	"encoding/json"
	"slices"
)

// Explanation is what the rules say about a call, and why.
type Explanation struct {
	Call     Facts    `json:"call"`
	File     string   `json:"file"`
	Passes   []Pass   `json:"passes"` // two, where a rule sends the call to a room that other rules are about
	Decision Decision `json:"decision"`
}

// Pass is one run through the rules, up to the one that surely matches.
type Pass struct {
	Room  string  `json:"room"` // empty: not known
	Class string  `json:"class"`
	Rules []Tried `json:"rules"`
}

// Tried is one rule that was held against the call.
type Tried struct {
	Rule       string    `json:"rule"`
	Line       int       `json:"line"`
	Verdict    string    `json:"verdict"` // yes, no, maybe (that depends on the room)
	Grants     bool      `json:"grants"`  // else it refuses
	Conditions []Checked `json:"conditions"`
}

// Checked is one condition that was looked at: all of a rule that matches, and of another one up to the first that does not.
type Checked struct {
	Key     string `json:"key"`
	Verdict string `json:"verdict"`
	Text    string `json:"text"`
}

// Explain decides as Decide does, and tells how it came to that. It looks at every rule up to the one that decides, one by one.
func (s *Set) Explain(f Facts) Explanation {
	d, sentBy := s.decide(&f)
	e := Explanation{Call: f, File: s.name, Decision: d, Passes: []Pass{s.pass(&f)}}
	if sentBy >= 0 {
		f.Room = s.rules[sentBy].grant.Room
		e.Passes = append(e.Passes, s.pass(&f))
	}
	return e
}

// pass holds the rules against a call, until one surely matches.
func (s *Set) pass(f *Facts) Pass {
	k := newCall(s, f)
	p := Pass{Room: f.Room, Class: k.classOf(), Rules: []Tried{}}
	for i := range s.rules {
		r := &s.rules[i]
		t := Tried{Rule: r.name, Line: r.line, Grants: r.grants, Conditions: []Checked{}}
		v := yes
		for j := range r.conditions {
			c := &r.conditions[j]
			one := c.match(&k)
			t.Conditions = append(t.Conditions, Checked{c.key.String(), one.String(), c.why(&k, one)})
			if v = min(v, one); v == no {
				break
			}
		}
		t.Verdict = v.String()
		p.Rules = append(p.Rules, t)
		if v == yes {
			break
		}
	}
	return p
}

// MarshalJSON writes durations as a file of rules does: "1h30m0s". 0s is no bound.
func (g Grant) MarshalJSON() ([]byte, error) {
	type plain Grant
	return json.Marshal(struct {
		plain
		Duration string `json:"duration"`
		Idle     string `json:"idle"`
	}{plain(g), g.Duration.String(), g.Idle.String()})
}

// Notices lists the recordings that the rules name, each once and in order.
func (s *Set) Notices() []string {
	var names []string
	for i := range s.rules {
		r := &s.rules[i]
		names = append(append(append(names, r.grant.Notices.Caller...), r.grant.Notices.Room...), r.refusal.Notice)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(n string) bool { return n == "" })
}
