package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestShadows(t *testing.T) {
	for _, c := range []struct {
		first, second string
		hidden        bool
	}{
		{"", "trunk: a", true},
		{"trunk: a", "trunk: a, encrypted: true", true},
		{"trunk: a, encrypted: true", "trunk: a", false},
		{"trunk: [a, b]", "trunk: b", true},
		{"trunk: [a, b]", "trunk: [b, c]", false},
		{"trunk: \"a*\"", "trunk: [\"ab*\", a]", true},
		{"trunk: any", "trunk: \"*\"", true},
		{"trunk: any", "trunk: [a, none]", false},
		{"trunk: [any, none]", "trunk: [a, none]", true},
		{"trunk: [any, none]", "link: x", false}, // it is, and nobody writes that
		{"caller: +33", "caller: +331", true},
		{"caller: +33", "caller: \"+33*99\"", true},
		{"caller: +331", "caller: +33", false},
		{"caller: withheld", "caller: withheld, trunk: a", true},
		{"caller_country: [FR, BE]", "caller_country: BE", true},
		{"caller_country: FR", "caller: +33", false},
		{"source: 10.0.0.0/8", "source: [10.1.0.0/16, 10.2.3.4]", true},
		{"source: 10.1.0.0/16", "source: 10.0.0.0/8", false},
		{"source: 0.0.0.0/0", "source: \"2001:db8::/32\"", false},
		{"encrypted: true", "encrypted: false", false},
		{"in_room: {at_least: 2}", "in_room: {at_least: 3}", true},
		{"in_room: {at_least: 2}", "in_room: {at_least: 3, below: 9}", true},
		{"in_room: {below: 5}", "in_room: {at_least: 3}", false},
		{"in_room: {below: 5}", "in_room: {below: 4}", true},
		{"from_source: {below: 5}", "in_room: {below: 4}", false},
		{"time: {days: mon-fri}", "time: {days: tue, from: \"08:00\", to: \"09:00\"}", true},
		{"time: {days: mon-fri}", "time: {days: [tue, sat]}", false},
		{"time: {days: mon-fri, holidays: except}", "time: {days: tue}", false},
		{"time: {days: mon-fri}", "time: {days: tue, holidays: only}", true},
		{"time: {from: \"20:00\", to: \"07:00\"}", "time: {from: \"22:00\", to: \"06:00\"}", true},
		{"time: {from: \"20:00\", to: \"07:00\"}", "time: {from: \"22:00\", to: \"08:00\"}", false},
		{"time: [{days: mon}, {days: tue}]", "time: {days: tue, zone: UTC}", false},
		{"time: [{days: mon}, {days: tue}]", "time: {days: tue}", true},
		{"room: \"cab*\"", "room: cabinet-1", true},
		{"room: \"cabinet-*\"", "class: restricted", false},
		{"class: [restricted, none]", "class: none", true},
		{"protocol: [sip, webrtc], direction: in", "direction: in, protocol: sip, trunk: x", true},
	} {
		when := ""
		if c.first != "" {
			when = "when: {" + c.first + "}, "
		}
		_, err := Parse("r", []byte(head+"  - {name: other, when: {link: \"z*\", platform: z}, refuse: x}\n  - {name: one, "+when+"refuse: x}\n  - {name: two, when: {"+
			c.second+"}, refuse: x}\n"))
		if !c.hidden {
			if err != nil {
				t.Errorf("%s; %s: %v", c.first, c.second, err)
			}
			continue
		}
		if want := `r:8:5: rule "two": it can never match: rule "one" of line 7 takes all of its calls`; err == nil || err.Error() != want {
			t.Errorf("%s; %s: got %v, want %s", c.first, c.second, err, want)
		}
	}
}

// TestShadowsHold looks for calls of rules that are said to have none, and for shadows that the index does not find.
func TestShadowsHold(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	found := 0
	for range 150 {
		text := randomRules(r)
		_, err := Parse("r", []byte(text))
		said := err != nil && strings.Contains(err.Error(), "it can never match")
		p := &parser{reader: reader{file: "r"}, set: &Set{version: "v"}, zones: map[string]int{}}
		p.read([]byte(text))
		if len(p.problems) > 0 {
			continue
		}
		p.set.prepare()
		some := false
		for j := range p.set.rules {
			for i := range j {
				o, hidden := &p.set.rules[i], &p.set.rules[j]
				if !o.hides(hidden) {
					continue
				}
				some = true
				for range 30 {
					f := randomFacts(r)
					k := newCall(p.set, &f)
					if was := hidden.match(&k); was > o.match(&k) {
						t.Fatalf("%s does not hide %s: %+v\n%s", o.name, hidden.name, f, text)
					}
				}
			}
		}
		if some != said {
			t.Fatalf("a shadow: %v, with the index: %v (%v)\n%s", some, said, err, text)
		}
		if some {
			found++
		}
	}
	if found < 15 {
		t.Fatalf("only %d sets with a shadow", found)
	}
}

// TestHugeFiles: what cannot be looked at quickly is refused, or is said not to have been looked at.
func TestHugeFiles(t *testing.T) {
	file := func(n int, rule func(i int) string) (*Set, error) {
		var b strings.Builder
		b.WriteString(head)
		for i := range n {
			fmt.Fprintf(&b, "  - {name: r%d, when: {%s}, refuse: x}\n", i, rule(i))
		}
		return Parse("r", []byte(b.String()))
	}
	s, err := file(2100, func(i int) string { return fmt.Sprintf("in_room: {at_least: %d, below: %d}", i+1, i+3) })
	if err != nil || !strings.Contains(strings.Join(s.Warnings(), "\n"), "too many rules are alike") {
		t.Errorf("%v", err)
	}
	_, err = file(maxGlobs+1, func(i int) string { return fmt.Sprintf("caller: \"*%d*\"", i+100_000) })
	if err == nil || !strings.Contains(err.Error(), "r:1:1: caller: 1001 patterns with a star elsewhere") {
		t.Errorf("%v", err)
	}
	if _, err = file(maxRules+1, func(i int) string { return fmt.Sprintf("caller: +%d", i+100_000) }); err == nil || !strings.Contains(err.Error(), "20001 rules") {
		t.Errorf("%v", err)
	}
	_, err = Parse("r", []byte(head+"  - {name: a, when: {caller: ["+strings.Repeat("x, ", maxList)+"x]}, refuse: x}\n"))
	if err == nil || !strings.Contains(err.Error(), "10001 entries") {
		t.Errorf("%v", err)
	}
}
