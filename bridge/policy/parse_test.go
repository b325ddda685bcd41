package policy

import (
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// head is the top of a file to which a test adds rules.
const head = "version: 1\nzone: Europe/Paris\nholidays: [12-25, 2026-04-06]\nrooms: {\"cabinet-*\": restricted}\nrules:\n"

func TestParseGrant(t *testing.T) {
	for _, c := range []struct {
		in   string
		want func(g *Grant)
	}{
		{"", func(*Grant) {}},
		{"{}", func(*Grant) {}},
		{"{room: council, lobby: host}", func(g *Grant) { g.Room, g.Lobby = "council", WithHost }},
		{"{audio: receive, video: send, content: both}", func(g *Grant) { g.Audio, g.Video, g.Content = Receive, Send, Both }},
		{"{video: both, picture: {height: 720, rate: 25, kbps: 1500}}", func(g *Grant) { g.Video, g.Picture = Both, Picture{720, 25, 1500} }},
		{"{encryption: require}", func(g *Grant) { g.Encryption = Require }},
		{"{codecs: opus}", func(g *Grant) { g.Codecs = []string{"opus"} }},
		{"{codecs: [PCMA, opus, L16]}", func(g *Grant) { g.Codecs = []string{"PCMA", "opus", "L16"} }},
		{"{networks: [192.0.2.1, 198.51.100.77/24, \"::ffff:203.0.113.9/120\", \"2001:db8::/32\"]}", func(g *Grant) {
			for _, n := range []string{"192.0.2.1/32", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"} {
				g.Networks = append(g.Networks, netip.MustParsePrefix(n))
			}
		}},
		{"{name: \"{name} ({trunk}, {platform}, {number})\"}", func(g *Grant) { g.Name = "{name} ({trunk}, {platform}, {number})" }},
		{"{show_number: full}", func(g *Grant) { g.ShowNumber = Full }},
		{"{learn: count}", func(g *Grant) { g.Learn, g.Keys = LearnCount, allKeys() }},
		{"{learn: names, keys: [mute]}", func(g *Grant) { g.Learn, g.Keys = LearnNames, []Key{KeyMute} }},
		{"{keys: none}", func(g *Grant) { g.Keys = []Key{} }},
		{"{keys: []}", func(g *Grant) { g.Keys = []Key{} }},
		{"{keys: all}", func(*Grant) {}},
		{"{keys: all, learn: count}", func(g *Grant) { g.Learn, g.Keys = LearnCount, allKeys() }},
		{"{foreign: true, encryption: require, notices: {caller: [a, b-c], room: d_1}}", func(g *Grant) {
			g.Foreign, g.Encryption, g.Notices = true, Require, Notices{[]string{"a", "b-c"}, []string{"d_1"}}
		}},
		{"{content: receive, banner: \"Étranger\"}", func(g *Grant) { g.Content, g.Banner = Receive, "Étranger" }},
		{"{origins: \"*\"}", func(g *Grant) { g.Origins = []string{"*"} }},
		{"{duration: 90m, idle: 10m}", func(g *Grant) { g.Duration, g.Idle = 90*time.Minute, 10*time.Minute }},
		{"{max_in_room: 3, max_source: 2, max_rule: 1}", func(g *Grant) { g.MaxInRoom, g.MaxSource, g.MaxRule = 3, 2, 1 }},
		{"{recording: false}", func(g *Grant) { g.Recording = false }},
	} {
		s := parsed(t, head+"  - name: a\n    grant: "+c.in+"\n")
		want := least()
		c.want(&want)
		if got := s.rules[0].grant; !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.in, got, want)
		}
	}
}

func TestParseRefusal(t *testing.T) {
	for in, want := range map[string]Refusal{
		"":                                  {Reason: Forbidden, Text: "This call is not allowed"},
		"Closed at night.":                  {Reason: Forbidden, Text: "Closed at night."},
		"{notice: closed}":                  {Reason: Forbidden, Text: "This call is not allowed", Notice: "closed"},
		"{reason: too_many}":                {Reason: TooMany, Text: "This call is not allowed"},
		"{text: No, reason: not_encrypted}": {Reason: NotEncrypted, Text: "No"},
	} {
		s := parsed(t, head+"  - name: a\n    refuse: "+in+"\n")
		if got := s.rules[0].refusal; got != want {
			t.Errorf("%s: got %+v, want %+v", in, got, want)
		}
	}
}

// TestParseRefuses has one mistake in each file, and where and how it is told.
func TestParseRefuses(t *testing.T) {
	rule := func(text string) string { return head + "  - name: a\n    " + text + "\n" }
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", "rules.yaml:1:1: expected version: 1 at the top"},
		{"no rules", "version: 1\n", "expected rules: with at least one"},
		{"empty rules", "version: 1\nrules: []\n", "2:8: 0 rules: expected 1 to"},
		{"syntax", "version: 1\nrules:\n - a: b: c\n", "rules.yaml:3:1: not valid YAML"},
		{"anchor", "version: 1\nrules: &x []\n", "2:8: anchors"},
		{"list", "- a\n", "1:1: expected keys"},
		{"version", "version: 2\nrules: [{name: a, refuse: b}]\n", "1:10: expected version: 1"},
		{"unknown section", "version: 1\nrule: []\n", "2:1: unknown key \"rule\"; did you mean rules?"},
		{"zone", "version: 1\nzone: Paris\nrules: [{name: a, refuse: b}]\n", "2:7: expected a time zone"},
		{"zone with dots", "version: 1\nzone: ../../etc/passwd\nrules: [{name: a, refuse: b}]\n", "2:7: expected a time zone"},
		{"local zone", "version: 1\nzone: Local\nrules: [{name: a, refuse: b}]\n", "2:7: expected a time zone"},
		{"holiday", "version: 1\nholidays: [01-01, 02-30]\nrules: [{name: a, refuse: b}]\n", "2:19: expected a day"},
		{"leap holiday", "version: 1\nholidays: 2027-02-29\nrules: [{name: a, refuse: b}]\n", "2:11: expected a day"},
		{"holiday twice", "version: 1\nholidays: [01-01, 01-01]\nrules: [{name: a, refuse: b}]\n", "2:19: this holiday was given before"},
		{"room twice", "version: 1\nrooms: {a: x, a: y}\nrules: [{name: a, refuse: b}]\n", "2:15: this can never match"},
		{"room hidden", "version: 1\nrooms: {\"a*\": x, \"ab?\": y}\nrules: [{name: a, refuse: b}]\n", "2:18: this can never match"},
		{"class any", "version: 1\nrooms: {a: any}\nrules: [{name: a, refuse: b}]\n", "2:12: expected a class of your own"},
		{"rooms list", "version: 1\nrooms: [a]\nrules: [{name: a, refuse: b}]\n", "2:8: expected rooms"},
		{"rule text", head + "  - hello\n", `6:5: rule "#1": expected a rule`},
		{"no name", head + "  - refuse: x\n", `6:5: rule "#1": expected a name`},
		{"name", head + "  - {name: [], refuse: x}\n", `6:12: rule "#1": expected a text`},
		{"long name", head + "  - {name: " + strings.Repeat("x", 65) + ", refuse: x}\n", `expected at most 64`},
		{"control", head + "  - {name: \"a\\nb\", refuse: x}\n", `without control characters`},
		{"same name", head + "  - {name: a, when: {link: x}, refuse: x}\n  - {name: a, refuse: x}\n", `7:5: rule "a": the rule of line 6 has this name`},
		{"neither", head + "  - {name: a}\n", `6:5: rule "a": expected grant or refuse`},
		{"both", head + "  - {name: a, grant: {}, refuse: x}\n", `6:34: rule "a": expected grant or refuse, not both`},
		{"key twice", head + "  - {name: a, refuse: x, refuse: y}\n", `6:26: rule "a": refuse: this key was given before`},

		{"empty when", rule("when:\n    refuse: x"), `7:10: rule "a": expected conditions; leave when out`},
		{"unknown condition", rule("when: {caler: x}\n    refuse: x"), `7:12: rule "a": unknown key "caler"; did you mean caller?`},
		{"direction", rule("when: {direction: inn}\n    refuse: x"), `7:23: rule "a": expected in or out, not "inn"`},
		{"protocol", rule("when: {protocol: [sip, smtp]}\n    refuse: x"), `7:28: rule "a": expected sip, h323`},
		{"empty list", rule("when: {trunk: []}\n    refuse: x"), `7:19: rule "a": trunk: expected at least one`},
		{"same twice", rule("when: {trunk: [\"a*\", ab]}\n    refuse: x"), `7:26: rule "a": trunk: one before it in the list takes this`},
		{"mapping for text", rule("when: {trunk: {a: b}}\n    refuse: x"), `7:19: rule "a": expected a word, or a list`},
		{"null", rule("when: {trunk: }\n    refuse: x"), `rule "a": expected a word, or a list`},
		{"source", rule("when: {source: 192.0.2.0/33}\n    refuse: x"), `7:20: rule "a": expected an IP address`},
		{"encrypted", rule("when: {encrypted: maybe}\n    refuse: x"), `7:23: rule "a": expected true or false, not "maybe"`},
		{"country", rule("when: {caller_country: France}\n    refuse: x"), `7:28: rule "a": expected a country`},
		{"count", rule("when: {in_room: 3}\n    refuse: x"), `7:21: rule "a": expected keys with values`},
		{"empty count", rule("when: {in_room: {}}\n    refuse: x"), `expected below: N, at_least: N or both`},
		{"count bounds", rule("when: {from_source: {below: 3, at_least: 3}}\n    refuse: x"), `no number is both`},
		{"count number", rule("when: {from_source: {below: three}}\n    refuse: x"), `expected a whole number`},
		{"time empty", rule("when: {time: {}}\n    refuse: x"), `time: expected days, from, to or holidays`},
		{"time list", rule("when: {time: []}\n    refuse: x"), `time: expected at least one window`},
		{"time same", rule("when: {time: {from: \"08:00\", to: \"8:00\"}}\n    refuse: x"), `time: from and to are the same`},
		{"time only 24", rule("when: {time: {from: \"24:00\"}}\n    refuse: x"), `7:25: rule "a": expected a time of day such as 08:30, up to 23:59`},
		{"time minutes", rule("when: {time: {from: \"08:60\"}}\n    refuse: x"), `expected a time of day`},
		{"time day", rule("when: {time: {days: monday}}\n    refuse: x"), `7:25: rule "a": expected days such as mon`},
		{"time holidays", rule("when: {time: {holidays: often}}\n    refuse: x"), `expected except or only, not "often"`},
		{"time zone", rule("when: {time: {zone: Mars/Base, from: \"08:00\"}}\n    refuse: x"), `expected a time zone`},
		{"no zone", "version: 1\nrules:\n  - {name: a, when: {time: {days: mon}}, refuse: x}\n", `3:28: rule "a": time: expected zone: Europe/Paris`},
		{"no holidays", "version: 1\nzone: UTC\nrules:\n  - {name: a, when: {time: {holidays: only}}, refuse: x}\n", `holidays: there are none at the top`},
		{"withheld and country", rule("when: {caller: withheld, caller_country: FR}\n    refuse: x"), `caller is withheld, so that caller_country`},

		{"unknown grant", rule("grant: {vidio: both}"), `7:13: rule "a": unknown key "vidio"; did you mean video?`},
		{"audio", rule("grant: {audio: boht}"), `7:20: rule "a": expected none, send, receive or both, not "boht"`},
		{"no audio for sip", rule("when: {protocol: [sip, h323]}\n    grant: {audio: none, video: both}"), `8:20: rule "a": audio: none: a telephone`},
		{"nothing", rule("grant: {audio: none}"), `audio, video and content are none`},
		{"no codec", rule("grant: {codecs: []}"), `7:21: rule "a": codecs: no call could have sound`},
		{"codec", rule("grant: {codecs: [opus, G729]}"), `7:28: rule "a": expected opus, G722`},
		{"codec twice", rule("grant: {codecs: [opus, opus]}"), `opus: expected each once`},
		{"codecs without audio", rule("grant: {audio: none, video: both, codecs: opus}"), `codecs: without audio`},
		{"picture without video", rule("grant: {picture: {height: 720}}"), `picture: video and content are none`},
		{"picture", rule("grant: {video: both, picture: {height: 7200}}"), `expected a whole number, 90 to 2160`},
		{"banner without video", rule("grant: {banner: x}"), `banner: video and content are none`},
		{"encryption", rule("grant: {encryption: required}"), `expected optional, prefer or require, not "required"`},
		{"encryption of clear calls", rule("when: {encrypted: false}\n    grant: {encryption: require}"), `all of them would be refused`},
		{"count without learn", rule("grant: {keys: count}"), `keys: count tells how many`},
		{"key", rule("grant: {keys: [mute, shout]}"), `7:26: rule "a": expected mute, hand, volume or count, not "shout"`},
		{"placeholder", rule("grant: {name: \"{pin}\"}"), `name: expected {name}, {number}`},
		{"brace", rule("grant: {name: \"{name\"}"), `name: expected {name}, {number}`},
		{"idle", rule("grant: {idle: 2h, duration: 1h}"), `idle is longer than duration`},
		{"duration", rule("grant: {duration: 90}"), `expected a duration such as 90s`},
		{"room of rooms", rule("when: {class: restricted}\n    grant: {room: x}"), `8:19: rule "a": room sends calls there`},
		{"limit passed", rule("when: {in_room: {at_least: 5}}\n    grant: {max_in_room: 5}"), `max_in_room: the rule begins at 5`},
		{"platform", rule("when: {platform: any}\n    grant: {}"), `foreign: the rule is for calls with another platform`},
		{"notice", rule("grant: {notices: {caller: ../x}}"), `7:31: rule "a": expected the name of a recording`},
		{"reason", rule("refuse: {reason: because}"), `expected forbidden, not_encrypted, too_many or unavailable, not "because"`},
		{"accent", rule("refuse: Fermé"), `7:13: rule "a": expected ASCII`},
		{"encrypted is not", rule("when: {encrypted: true}\n    refuse: {reason: not_encrypted}"), `the rule is for encrypted calls`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("rules.yaml", []byte(c.in))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q\n%s", err, c.want, c.in)
			}
			if !strings.HasPrefix(err.Error(), "rules.yaml:") {
				t.Errorf("no place: %v", err)
			}
		})
	}
}

func TestParseTellsAllAtOnce(t *testing.T) {
	_, err := Parse("r", []byte(`version: 1
rules:
  - name: first
    when: {trunk: a, protocl: sip}
    grant: {audio: loud, kees: all}
  - name: second
    refuse: {text: "é"}
`))
	want := `r:4:22: rule "first": unknown key "protocl"; did you mean protocol?
r:5:20: rule "first": expected none, send, receive or both, not "loud"
r:5:26: rule "first": unknown key "kees"; did you mean keys?
r:7:20: rule "second": expected ASCII: the text goes into a SIP header, which has no accents`
	if err == nil || err.Error() != want {
		t.Fatalf("got\n%v\nwant\n%s", err, want)
	}
}

func TestParseBoundsWhatItTells(t *testing.T) {
	_, err := Parse("r", []byte("version: 1\nrules:\n"+strings.Repeat("  - {}\n", 1000)))
	if err == nil || strings.Count(err.Error(), "\n") != maxProblems || !strings.HasSuffix(err.Error(), "r: and 1950 more") {
		t.Fatalf("got %v", err)
	}
}

// TestErrorsKeepSecrets puts what must not be repeated where a mistake is.
func TestErrorsKeepSecrets(t *testing.T) {
	for _, secret := range []string{"s3cret-T0ken", "+33612345678", "abcdefghijklmnopqrstuvwxyz", "p@ss"} {
		for _, in := range []string{
			"%q: 1", "version: %q", "zone: %q", "holidays: %q", "rooms: [%q]", "rules: %q", "rules: [%q]", "rules: [{name: a, %q: 1}]",
			"rules: [{name: a, when: {direction: %q}}]", "rules: [{name: a, when: {caller_country: %q}}]", "rules: [{name: a, when: {source: %q}}]",
			"rules: [{name: a, when: {time: {from: %q}}}]", "rules: [{name: a, when: {time: {days: %q}}}]", "rules: [{name: a, grant: {audio: %q}}]",
			"rules: [{name: a, grant: {duration: %q}}]", "rules: [{name: a, grant: {max_rule: %q}}]", "rules: [{name: a, grant: {codecs: %q}}]",
			"rules: [{name: a, grant: {keys: [%q]}}]", "rules: [{name: a, grant: {%q: 1}}]", "rules: [{name: a, refuse: {reason: %q}}]",
			"rules: [{name: a, grant: {recording: %q}}]", "rules: [{name: a, refuse: {notice: %q}}]",
		} {
			_, err := Parse("r", fmt.Appendf(nil, in, secret))
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v", in, err)
			}
		}
	}
}

func TestWarnings(t *testing.T) {
	for in, want := range map[string]string{
		"when: {caller: +33612345678}, grant: {room: x}":                 "a caller's number can be made up",
		"when: {caller: +33612345678}, grant: {room: x, lobby: ask}":     "",
		"when: {identity: +33612345678}, grant: {room: x}":               "",
		"grant: {foreign: true, encryption: require}":                    "nobody in the room is told",
		"grant: {foreign: true, notices: {room: x}}":                     "foreign without encryption",
		"grant: {foreign: true, notices: {room: x}, encryption: prefer}": "",
		"when: {platform: any}, grant: {foreign: false}":                 "",
		"when: {class: secret}, refuse: x":                               `no room has the class "secret"`,
		"when: {class: [restricted, none]}, refuse: x":                   "",
	} {
		s := parsed(t, head+"  - {name: a, "+in+"}\n")
		all := strings.Join(s.Warnings(), "\n")
		if (all == "") != (want == "") || !strings.Contains(all, want) {
			t.Errorf("%s: got %q, want %q", in, all, want)
		}
	}
}

func TestSetTellsItself(t *testing.T) {
	text := head + "  - {name: a, when: {link: x}, refuse: {notice: n2}}\n  - {name: b, grant: {notices: {caller: [n3, n1], room: n2}}}\n"
	s := parsed(t, text)
	if s.Len() != 2 || string(s.Source()) != text || len(s.Version()) != 64 || s.Version() == parsed(t, text+"#\n").Version() {
		t.Errorf("%d rules, version %s", s.Len(), s.Version())
	}
	if got := s.Notices(); !reflect.DeepEqual(got, []string{"n1", "n2", "n3"}) {
		t.Errorf("notices: %v", got)
	}
}

func TestReadFileIsBounded(t *testing.T) {
	path := t.TempDir() + "/rules.yaml"
	if err := os.WriteFile(path, append([]byte(builtin), make([]byte, maxFile)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
}

func TestBuiltin(t *testing.T) {
	g := Builtin().Decide(Facts{Trunk: "any"})
	want := Grant{
		Lobby: NoLobby, Audio: Both, Video: Neither, Content: Neither, Encryption: Optional, ShowNumber: Masked, Learn: LearnCount, Recording: true,
		Keys: allKeys(),
	}
	if !g.Allowed || g.Open || g.Rule != "every call" || !reflect.DeepEqual(g.Grant, want) {
		t.Errorf("got %+v", g)
	}
}

func FuzzParse(f *testing.F) {
	sample, err := os.ReadFile("../../configs/rules.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Add([]byte(builtin))
	for _, m := range manyRules() {
		f.Add([]byte("version: 1\nzone: UTC\nholidays: [01-01]\nrules:\n  - {name: a, " + m.rule(7) + "}\n  - {name: b, " + m.rule(8) + "}\n"))
	}
	f.Add([]byte("version: 1\nrules: [{name: \"é\", when: {caller: [withheld, +33, \"*?\"], in_room: {below: 2}}, refuse: ~}]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse("f", b)
		if (s == nil) == (err == nil) {
			t.Fatal("neither a set nor an error, or both")
		}
		if err != nil {
			return
		}
		for _, call := range []Facts{
			{},
			{At: time.Unix(1e9, 0), Direction: In, Protocol: "sip", Trunk: "carrier-7", Caller: "+33612345678", Called: "a@b", Source: netip.MustParseAddr("::ffff:10.0.0.1")},
			{At: time.Unix(2e9, 0), Room: "cabinet-1", Encrypted: true, Identity: "x", Link: "y", Platform: "z"},
		} {
			d, e := s.Decide(call), s.Explain(call)
			if !reflect.DeepEqual(d, e.Decision) {
				t.Fatalf("Decide and Explain differ:\n%+v\n%+v", d, e.Decision)
			}
			if d.Allowed && d.Grant.Empty() || !d.Allowed && d.Refusal.Reason == "" {
				t.Fatalf("%+v", d)
			}
			_ = e.Text()
		}
	})
}
