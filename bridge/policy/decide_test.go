package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	const rules = head + `
  - {name: clear, when: {class: restricted, encrypted: false}, refuse: {reason: not_encrypted, text: Encrypt}}
  - {name: few, when: {class: restricted}, grant: {encryption: require, lobby: ask, max_in_room: 2, keys: [mute]}}
  - {name: limited, when: {trunk: limited}, grant: {max_source: 2, max_rule: 3}}
  - {name: encrypted, when: {trunk: encrypted}, grant: {encryption: require}}
  - {name: device, when: {trunk: device}, grant: {room: blue}}
  - {name: vip, when: {trunk: vip}, grant: {room: cabinet-1}}
  - {name: open, when: {trunk: open}, grant: {learn: count}}
  - {name: out, when: {trunk: out}, refuse: {text: Out, notice: out}}
`
	for _, c := range []struct {
		name  string
		facts Facts
		rule  string
		open  bool
		want  Reason // empty: allowed
		check func(g Grant) bool
	}{
		{"no rule", Facts{Trunk: "?", Room: "x"}, "", false, Forbidden, nil},
		{"a rule refuses", Facts{Trunk: "out", Room: "x"}, "out", false, Forbidden, nil},
		{"a rule grants", Facts{Trunk: "open", Room: "x"}, "open", false, "", func(g Grant) bool { return g.Learn == LearnCount && g.Lobby == NoLobby }},
		{"the first one", Facts{Trunk: "open", Room: "cabinet-1", Encrypted: true}, "few", false, "", func(g Grant) bool { return g.Lobby == AskHost }},
		{"the directory's class", Facts{Trunk: "open", Room: "x", Class: "restricted", Encrypted: true}, "few", false, "", nil},
		{"in the clear", Facts{Trunk: "open", Room: "cabinet-1"}, "clear", false, NotEncrypted, nil},

		{"not known, encrypted", Facts{Trunk: "open", Encrypted: true}, "", true, "", func(g Grant) bool {
			return g.Learn == LearnCount && g.Lobby == NoLobby && g.Encryption == Optional && len(g.Keys) == 4 && g.MaxInRoom == 0
		}},
		{"not known, in the clear", Facts{Trunk: "open"}, "", true, "", func(g Grant) bool { return reflect.DeepEqual(g.Keys, allKeys()) }},
		{"not known, no other rule", Facts{Trunk: "?", Encrypted: true}, "", true, "", func(g Grant) bool { return g.Encryption == Require && g.Lobby == AskHost }},
		{"not known, nobody grants", Facts{Trunk: "?"}, "", false, Forbidden, nil},
		{"not known, all refuse", Facts{Trunk: "out"}, "out", false, Forbidden, nil},
		{"not known, all require", Facts{Trunk: "encrypted", Encrypted: true}, "", true, "", func(g Grant) bool { return g.Encryption == Require }},
		{"not known, all require what is not there", Facts{Trunk: "encrypted"}, "encrypted", false, NotEncrypted, nil},
		{"not known, a limit", Facts{Trunk: "limited", OfSource: 2}, "limited", false, TooMany, nil},
		{"class alone", Facts{Trunk: "open", Class: "open"}, "open", false, "", nil},

		{"encryption is required", Facts{Trunk: "encrypted", Room: "x"}, "encrypted", false, NotEncrypted, nil},
		{"and there", Facts{Trunk: "encrypted", Room: "x", Encrypted: true}, "encrypted", false, "", nil},
		{"room full", Facts{Room: "cabinet-1", Encrypted: true, InRoom: 2}, "few", false, TooMany, nil},
		{"room not full", Facts{Room: "cabinet-1", Encrypted: true, InRoom: 1}, "few", false, "", nil},
		{"source full", Facts{Trunk: "limited", Room: "x", OfSource: 2}, "limited", false, TooMany, nil},
		{"rule full", Facts{Trunk: "limited", Room: "x", OfRule: map[string]int{"limited": 3}}, "limited", false, TooMany, nil},
		{"rule not full", Facts{Trunk: "limited", Room: "x", OfRule: map[string]int{"limited": 2, "open": 9}}, "limited", false, "", nil},

		{"a room of its own", Facts{Trunk: "device"}, "device", false, "", func(g Grant) bool { return g.Room == "blue" }},
		{"a restricted room of its own", Facts{Trunk: "vip", Encrypted: true}, "few", false, "", func(g Grant) bool { return g.Room == "cabinet-1" && g.Lobby == AskHost }},
		{"a restricted room of its own, in the clear", Facts{Trunk: "vip"}, "clear", false, NotEncrypted, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := parsed(t, rules)
			d := s.Decide(c.facts)
			if d.Rule != c.rule || d.Open != c.open || d.Allowed != (c.want == "") || d.Refusal.Reason != c.want || d.Version != s.Version() {
				t.Fatalf("got %+v", d)
			}
			if c.check != nil && !c.check(d.Grant) {
				t.Fatalf("grant: %+v", d.Grant)
			}
			if !d.Allowed && (d.Refusal.Text == "" || strings.ContainsFunc(d.Refusal.Text, func(r rune) bool { return r > '~' || r < ' ' })) {
				t.Fatalf("text: %q", d.Refusal.Text)
			}
			if d.Allowed != (d.Refusal == Refusal{}) {
				t.Fatalf("both: %+v", d)
			}
		})
	}
}

// TestOpenHasNoLimitOfARule: which rule's calls would be counted?
func TestOpenHasNoLimitOfARule(t *testing.T) {
	s := parsed(t, head+"  - {name: a, when: {room: x}, grant: {max_rule: 1}}\n  - {name: b, grant: {max_rule: 1}}\n")
	d := s.Decide(Facts{OfRule: map[string]int{"": 5}})
	if !d.Open || d.Grant.MaxRule != 0 {
		t.Fatalf("%+v", d)
	}
	if d = s.Decide(Facts{OfRule: map[string]int{"a": 1}}); !d.Allowed {
		t.Fatalf("b could still take it: %+v", d)
	}
	if d = s.Decide(Facts{OfRule: map[string]int{"a": 1, "b": 1}}); d.Allowed || d.Refusal.Reason != TooMany {
		t.Fatalf("neither takes it: %+v", d)
	}
}

// randomRules makes a file of rules that has no mistake but shadows, and few texts, so that calls often meet it.
func randomRules(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("version: 1\nzone: Europe/Paris\nholidays: [12-25]\nrooms: {\"c*\": restricted, \"x?\": open, xyz: secret}\nrules:\n")
	list := func(words ...string) string {
		picked := some(r, words...)
		if len(picked) == 0 {
			return words[0]
		}
		return "[" + strings.Join(picked, ", ") + "]"
	}
	for i := range 1 + r.IntN(12) {
		when := some(
			r,
			"direction: "+pick(r, "in", "out"),
			"protocol: "+list("sip", "webrtc"),
			"trunk: "+pick(r, "any", "none", list("a", "b"), "[a, none]", "\"a*\"", "\"*b\"", "\"?\""),
			"source: "+pick(r, "10.0.0.0/8", "10.1.0.0/16", "\"::ffff:10.1.2.3\"", "[192.0.2.1, \"2001:db8::/32\"]"),
			"transport: "+list("udp", "tls"),
			"encrypted: "+pick(r, "true", "false"),
			"caller: "+pick(r, "withheld", "+33", "\"+33*9\"", "[+32, +331]", "\"????\""),
			"called: "+pick(r, "+33", "\"*@x\"", "any"),
			"caller_country: "+pick(r, "FR", "[BE, unknown]", "[US, CA]"),
			"identity: "+pick(r, "any", "none", "\"*b\""),
			"room: "+pick(r, "cab", "\"c*\"", "\"*y*\""),
			"class: "+pick(r, "restricted", "[open, none]", "any"),
			"link: "+pick(r, "any", "none"),
			"time: "+pick(r, "{days: mon-wed}", "{from: \"20:00\", to: \"07:00\"}", "{holidays: only}", "{days: fri, from: \"10:00\"}"),
			"in_room: "+pick(r, "{below: 2}", "{at_least: 1}", "{at_least: 1, below: 3}"),
			"from_source: "+pick(r, "{below: 2}", "{at_least: 1}"),
		)
		when = when[:min(len(when), r.IntN(4))]
		if i < 3 && pick(r, true, false) { // the room decides often, and early
			when = []string{"class: " + pick(r, "restricted", "open"), "in_room: {below: " + pick(r, "1", "2", "3") + "}"}[:1+r.IntN(2)]
		}
		fmt.Fprintf(&b, "  - name: r%d\n", i)
		conditions := strings.Join(when, ", ")
		if conditions != "" {
			fmt.Fprintf(&b, "    when: {%s}\n", conditions)
		}
		if pick(r, true, false, false) {
			fmt.Fprintf(&b, "    refuse: {reason: %s, text: T%d}\n", pick(r, "forbidden", "too_many"), i)
			continue
		}
		grant := some(
			r, "lobby: "+pick(r, "host", "ask"), "video: both", "learn: "+pick(r, "count", "names"), "name: "+pick(r, "A", "B"),
			"encryption: "+pick(r, "prefer", "require"), "max_rule: 1", "max_source: 1", "max_in_room: 1", "recording: false", "duration: 1h",
			"codecs: "+pick(r, "opus", "[PCMA, opus]"), "networks: "+pick(r, "192.0.2.0/24", "198.51.100.1"), "notices: {room: [n1, n2]}",
		)
		if !strings.Contains(conditions, "room") && !strings.Contains(conditions, "class") && pick(r, true, false) {
			grant = append(grant, "room: "+pick(r, "cab", "y"))
		}
		fmt.Fprintf(&b, "    grant: {%s}\n", strings.Join(grant, ", "))
	}
	return b.String()
}

func randomFacts(r *rand.Rand) Facts {
	f := Facts{
		At:        time.Date(2026, pick(r, time.March, time.December), pick(r, 4, 25, 26), r.IntN(24), r.IntN(60), 0, 0, time.UTC),
		Direction: pick(r, In, Out), Protocol: pick(r, "sip", "webrtc"), Trunk: pick(r, "", "a", "b", "ab"), Transport: pick(r, "udp", "tls"),
		Encrypted: pick(r, true, false), Caller: pick(r, "", "+331", "+3319", "+32211", "4711", "+14165550123"), Called: pick(r, "+331", "a@x", ""),
		Identity: pick(r, "", "ab"), Link: pick(r, "", "l"), Room: pick(r, "", "", "cab", "xy", "xyz", "y"), Class: pick(r, "", "", "", "open"),
		InRoom: r.IntN(4), OfSource: r.IntN(3), OfRule: map[string]int{"r0": r.IntN(3), "r1": r.IntN(2)},
	}
	if s := pick(r, "", "10.1.2.3", "::ffff:10.1.9.9", "192.0.2.1", "2001:db8::7"); s != "" {
		f.Source = netip.MustParseAddr(s)
	}
	return f
}

// randomSet makes a set; some files that come out have a shadow or a contradiction.
func randomSet(t *testing.T, r *rand.Rand) *Set {
	for range 1000 {
		text := randomRules(r)
		s, err := Parse("random", []byte(text))
		if err == nil {
			return s
		}
		for _, line := range strings.Split(err.Error(), "\n") {
			if !strings.Contains(line, "can never match") && !strings.Contains(line, "takes this already") && !strings.Contains(line, "room sends calls") &&
				!strings.Contains(line, "all of them would be refused") && !strings.Contains(line, "the limit is reached") &&
				!strings.Contains(line, "can only be unknown") {
				t.Fatalf("%v\n%s", err, text)
			}
		}
	}
	t.Fatal("no good set in a thousand")
	return nil
}

// plainly decides without index and without short cuts, by the words of Decision's comment.
func plainly(s *Set, f Facts) Decision {
	k := newCall(s, &f)
	var grants []Grant
	var refusals, could []Decision
	may := 0
	weigh := func(r *rule) {
		refused, refusal := r.refuses(&f)
		d := Decision{Rule: r.name, Version: s.version, Refusal: refusal}
		switch {
		case !refused:
			grants = append(grants, r.grant)
		case r.grants:
			could = append(could, d)
		default:
			refusals = append(refusals, d)
		}
	}
	var mayMatch []*rule
	surely := Decision{Version: s.version, Refusal: unmatched()}
	found := false
	for i := range s.rules {
		r := &s.rules[i]
		v := r.match(&k)
		if v == maybe {
			may++
			if !slices.ContainsFunc(mayMatch, func(o *rule) bool { return sameOfRoom(o, r) }) {
				weigh(r)
			}
			mayMatch = append(mayMatch, r)
		}
		if v != yes {
			continue
		}
		if may == 0 {
			return r.outcome(s, &f)
		}
		if r.grants && r.grant.Room != "" {
			f.Room = r.grant.Room
			d := plainly(s, f)
			if d.Allowed {
				d.Grant.Room = f.Room
			}
			return d
		}
		weigh(r)
		found = true
		break
	}
	if !found {
		if may == 0 {
			return surely
		}
		refusals = append(refusals, surely)
	}
	if len(grants) > 0 {
		g := grants[0]
		for _, o := range grants[1:] {
			g = union(g, o)
		}
		g.MaxRule = 0
		return Decision{Version: s.version, Allowed: true, Open: true, Grant: g}
	}
	if len(could) > 0 {
		return could[0]
	}
	return refusals[len(refusals)-1]
}

// sameOfRoom tells whether two rules ask the same of the room.
func sameOfRoom(a, b *rule) bool {
	for _, k := range []key{keyRoom, keyClass, keyInRoom} {
		if !reflect.DeepEqual(a.about(k), b.about(k)) {
			return false
		}
	}
	return true
}

// TestDecideAgrees holds random calls against random rules: with the index and without, and with what Explain tells.
func TestDecideAgrees(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	open, allowed, refused := 0, 0, 0
	for range 100 {
		s := randomSet(t, r)
		for range 50 {
			f := randomFacts(r)
			d := s.Decide(f)
			if want := plainly(s, f); !reflect.DeepEqual(d, want) {
				t.Fatalf("%+v\ngot  %+v\nwant %+v\n%s", f, d, want, s.Source())
			}
			e := s.Explain(f)
			if !reflect.DeepEqual(e.Decision, d) {
				t.Fatalf("Explain decides otherwise: %+v, %+v", e.Decision, d)
			}
			explains(t, s, e)
			switch {
			case d.Open:
				open++
				opens(t, r, s, f, d)
			case d.Allowed:
				allowed++
			default:
				refused++
				if f.Room == "" && len(e.Passes) == 1 {
					staysRefused(t, r, s, f)
				}
			}
		}
	}
	if min(open, allowed, refused) < 100 {
		t.Fatalf("%d open, %d allowed, %d refused: the test shows little", open, allowed, refused)
	}
}

// explains checks that what was tried leads to what was decided.
func explains(t *testing.T, s *Set, e Explanation) {
	t.Helper()
	last := e.Passes[len(e.Passes)-1]
	rule, may := "", false
	for i, tried := range last.Rules {
		worst := yes.String()
		for _, c := range tried.Conditions {
			if c.Verdict == no.String() || c.Verdict == maybe.String() && worst == yes.String() {
				worst = c.Verdict
			}
			if c.Text == "" {
				t.Fatalf("nothing is said about %s", c.Key)
			}
		}
		if worst != tried.Verdict {
			t.Fatalf("%+v: its conditions come to %s", tried, worst)
		}
		if tried.Verdict == maybe.String() {
			may = true
		}
		if tried.Verdict == yes.String() {
			if i != len(last.Rules)-1 {
				t.Fatalf("rules after %s were tried", tried.Rule)
			}
			rule = tried.Rule
		}
	}
	d := e.Decision
	switch {
	case d.Open && !may:
		t.Fatalf("open, but nothing may match: %+v", last)
	case !may && d.Rule != rule:
		t.Fatalf("decided by %q, matched %q\n%s", d.Rule, rule, s.Source())
	}
	if text := e.Text(); !strings.Contains(text, "llowed") && !strings.Contains(text, "efused") {
		t.Fatalf("no outcome in\n%s", text)
	}
}

// opens checks that what the rules say once the room is known is no more than what they said before.
func opens(t *testing.T, r *rand.Rand, s *Set, f Facts, d Decision) {
	t.Helper()
	for _, room := range []string{"cab", "xy", "xyz", "y", "other"} {
		f := f
		f.Room, f.InRoom = room, r.IntN(4)
		if f.Class == "" {
			f.Class = pick(r, "", "", "restricted")
		}
		if d2 := s.Decide(f); d2.Allowed {
			g := d2.Grant
			if beyond := within(g, d.Grant); beyond != nil && !slices.Equal(beyond, []string{"time"}) {
				t.Fatalf("%v: more than was promised\nbefore %+v\nafter  %+v\n%s", beyond, d.Grant, g, s.Source())
			}
		}
	}
}

// staysRefused checks that a call which was refused before its room was known had no room that would take it.
func staysRefused(t *testing.T, r *rand.Rand, s *Set, f Facts) {
	t.Helper()
	for _, room := range []string{"cab", "xy", "xyz", "y", "other"} {
		f.Room, f.InRoom = room, r.IntN(4)
		if d := s.Decide(f); d.Allowed {
			t.Fatalf("%+v is taken by %q, and was refused before the room was known\n%s", f, d.Rule, s.Source())
		}
	}
}

func TestDecideAllocatesNothing(t *testing.T) {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector has sync.Pool forget things on purpose")
	}
	s := parsed(t, head+`
  - {name: a, when: {class: restricted, time: {days: mon-fri, holidays: except}, caller: +33, source: 10.0.0.0/8}, refuse: x}
  - {name: b, when: {caller_country: FR, in_room: {below: 5}}, grant: {max_rule: 5}}
  - {name: c, grant: {}}
`)
	f := Facts{At: time.Now(), Caller: "+33142000000", Source: netip.MustParseAddr("10.1.1.1"), OfRule: map[string]int{"b": 1}}
	for _, room := range []string{"cabinet-1", "other"} {
		f.Room = room
		if n := testing.AllocsPerRun(200, func() { s.Decide(f) }); n >= 1 {
			t.Errorf("room %q: %v allocations", room, n)
		}
	}
}

// TestDecideFromManyGoroutines decides from many goroutines at once: the race detector looks on.
func TestDecideFromManyGoroutines(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	s := randomSet(t, r)
	facts, want := make([]Facts, 50), make([]Decision, 50)
	for i := range facts {
		facts[i] = randomFacts(r)
		want[i] = plainly(s, facts[i])
	}
	done := make(chan error)
	for range 4 {
		go func() {
			for range 20 {
				for i, f := range facts {
					if d := s.Decide(f); !reflect.DeepEqual(d, want[i]) {
						done <- fmt.Errorf("%+v: got %+v, want %+v", f, d, want[i])
						return
					}
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
