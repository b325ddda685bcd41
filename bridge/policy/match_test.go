package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestConditions holds one condition against one call.
func TestConditions(t *testing.T) {
	for _, c := range []struct {
		when  string
		facts Facts
		want  verdict
	}{
		{"direction: in", Facts{Direction: In}, yes},
		{"direction: in", Facts{Direction: Out}, no},
		{"direction: [out, in]", Facts{Direction: Out}, yes},
		{"direction: in", Facts{}, no},
		{"protocol: [sip, h323]", Facts{Protocol: "h323"}, yes},
		{"protocol: sip", Facts{Protocol: "webrtc"}, no},
		{"transport: tls", Facts{Transport: "tls"}, yes},
		{"transport: tls", Facts{Transport: "tcp"}, no},

		{"trunk: carrier-*", Facts{Trunk: "carrier-fr"}, yes},
		{"trunk: carrier-*", Facts{Trunk: "carrier-"}, yes},
		{"trunk: carrier-*", Facts{Trunk: "a carrier-fr"}, no},
		{"trunk: carrier-*", Facts{Trunk: "Carrier-fr"}, no},
		{"trunk: any", Facts{Trunk: "x"}, yes},
		{"trunk: any", Facts{}, no},
		{"trunk: \"*\"", Facts{}, no},
		{"trunk: none", Facts{}, yes},
		{"trunk: none", Facts{Trunk: "x"}, no},
		{"trunk: [none, pbx]", Facts{Trunk: "pbx"}, yes},

		{"source: 192.0.2.0/24", Facts{Source: netip.MustParseAddr("192.0.2.9")}, yes},
		{"source: 192.0.2.0/24", Facts{Source: netip.MustParseAddr("::ffff:192.0.2.9")}, yes},
		{"source: \"::ffff:192.0.2.0/120\"", Facts{Source: netip.MustParseAddr("192.0.2.9")}, yes},
		{"source: [192.0.2.1, \"fe80::/10\"]", Facts{Source: netip.MustParseAddr("fe80::1%eth0")}, yes},
		{"source: 192.0.2.0/24", Facts{Source: netip.MustParseAddr("192.0.3.9")}, no},
		{"source: 0.0.0.0/0", Facts{Source: netip.MustParseAddr("2001:db8::1")}, no},
		{"source: 0.0.0.0/0", Facts{}, no},
		{"source: \"::/0\"", Facts{Source: netip.MustParseAddr("2001:db8::1")}, yes},

		{"encrypted: true", Facts{Encrypted: true}, yes},
		{"encrypted: true", Facts{}, no},
		{"encrypted: false", Facts{}, yes},

		{"caller: +33", Facts{Caller: "+33142000000"}, yes},
		{"caller: +33", Facts{Caller: "+33"}, yes},
		{"caller: +33", Facts{Caller: "+3"}, no},
		{"caller: +33", Facts{Caller: "0142000000"}, no},
		{"caller: \"+3361*99\"", Facts{Caller: "+33612345699"}, yes},
		{"caller: \"????\"", Facts{Caller: "4711"}, yes},
		{"caller: \"????\"", Facts{Caller: "47110"}, no},
		{"caller: \"?\"", Facts{Caller: "é"}, yes},
		{"caller: withheld", Facts{}, yes},
		{"caller: withheld", Facts{Caller: "+33142000000"}, no},
		{"caller: any", Facts{}, no},
		{"called: \"*@example.org\"", Facts{Called: "room@example.org"}, yes},
		{"called: \"*@example.org\"", Facts{Called: "room@example.org.evil"}, no},
		{"called: +800", Facts{Called: "+80012345678"}, yes},

		{"caller_country: FR", Facts{Caller: "+33142000000"}, yes},
		{"caller_country: fr", Facts{Caller: "+33999"}, yes},
		{"caller_country: FR", Facts{Caller: "+590590123456"}, no},
		{"caller_country: [US, CA]", Facts{Caller: "+14165550123"}, yes},
		{"caller_country: US", Facts{Caller: "+14165550123"}, no},
		{"caller_country: US", Facts{Caller: "+1"}, yes},
		{"caller_country: \"001\"", Facts{Caller: "+80012345678"}, yes},
		{"caller_country: unknown", Facts{}, yes},
		{"caller_country: unknown", Facts{Caller: "0142000000"}, yes},
		{"caller_country: unknown", Facts{Caller: "+999123"}, yes},
		{"caller_country: unknown", Facts{Caller: "+33142000000123456"}, yes},
		{"caller_country: unknown", Facts{Caller: "+33142000000"}, no},
		{"called_country: MA", Facts{Called: "+212522123456"}, yes},

		{"identity: any", Facts{Identity: "x"}, yes},
		{"identity: none", Facts{}, yes},
		{"identity: \"*.rooms.example.org\"", Facts{Identity: "blue.rooms.example.org"}, yes},
		{"platform: zoom", Facts{Platform: "zoom"}, yes},
		{"link: any", Facts{Link: "l1"}, yes},
		{"link: none", Facts{Link: "l1"}, no},

		{"room: cabinet-*", Facts{Room: "cabinet-1"}, yes},
		{"room: cabinet-*", Facts{Room: "other"}, no},
		{"room: cabinet-*", Facts{}, maybe},
		{"room: +33", Facts{Room: "+3361"}, no},
		{"class: restricted", Facts{Room: "cabinet-1"}, yes},
		{"class: restricted", Facts{Room: "other"}, no},
		{"class: none", Facts{Room: "other"}, yes},
		{"class: restricted", Facts{}, maybe},
		{"class: restricted", Facts{Room: "other", Class: "restricted"}, yes},
		{"class: restricted", Facts{Room: "cabinet-1", Class: "open"}, no},
		{"class: restricted", Facts{Class: "restricted"}, yes},

		{"in_room: {below: 3}", Facts{Room: "x", InRoom: 2}, yes},
		{"in_room: {below: 3}", Facts{Room: "x", InRoom: 3}, no},
		{"in_room: {at_least: 3}", Facts{Room: "x", InRoom: 3}, yes},
		{"in_room: {at_least: 3, below: 4}", Facts{Room: "x", InRoom: 4}, no},
		{"in_room: {at_least: 3}", Facts{}, maybe},
		{"in_room: {at_least: 3}", Facts{Class: "restricted"}, maybe},
		{"from_source: {at_least: 3}", Facts{OfSource: 3}, yes},
		{"from_source: {below: 3}", Facts{OfSource: 3}, no},

		{"{room: x, trunk: y}", Facts{Trunk: "y"}, maybe},
		{"{room: x, trunk: y}", Facts{Trunk: "z"}, no},
		{"{room: x, encrypted: true}", Facts{}, no},
	} {
		when := c.when
		if !strings.HasPrefix(when, "{") {
			when = "{" + when + "}"
		}
		s := parsed(t, head+"  - {name: a, when: "+when+", refuse: x}\n")
		k := newCall(s, &c.facts)
		if got := s.rules[0].match(&k); got != c.want {
			t.Errorf("%s: %+v: got %s, want %s", c.when, c.facts, got, c.want)
		}
		sc := s.finder.scratch()
		if found := s.finder.candidates(sc, &k).has(0); !found && c.want != no {
			t.Errorf("%s: %+v: the index does not find the rule", c.when, c.facts)
		} else if found && s.quick[0].match(&k) != c.want {
			t.Errorf("%s: %+v: with the index it is %s, want %s", c.when, c.facts, s.quick[0].match(&k), c.want)
		}
	}
}

func TestWindows(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	local := func(s string) time.Time {
		at, err := time.ParseInLocation("2006-01-02 15:04", s, paris)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	utc := func(s string) time.Time {
		at, err := time.Parse("2006-01-02 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	const office, night, weekendNight = `{days: mon-fri, from: "08:00", to: "19:00", holidays: except}`, `{from: "20:00", to: "07:00"}`, `{days: [fri, sat], from: "22:00", to: "06:00"}`
	for _, c := range []struct {
		window string
		at     time.Time
		want   bool
	}{
		{office, local("2026-03-04 08:00"), true},
		{office, local("2026-03-04 07:59"), false},
		{office, local("2026-03-04 18:59"), true},
		{office, local("2026-03-04 19:00"), false},
		{office, local("2026-03-07 12:00"), false}, // Saturday
		{office, local("2026-12-25 12:00"), false}, // a Friday
		{office, local("2026-04-06 12:00"), false}, // Easter Monday of 2026
		{office, local("2027-04-06 12:00"), true},
		{office, utc("2026-07-01 06:00"), true}, // summer: 08:00
		{office, utc("2026-07-01 05:59"), false},
		{office, utc("2026-12-01 06:59"), false}, // winter: 07:59
		{office, time.Time{}, false},
		{office, local("1987-03-04 12:00"), true}, // a clock that is far behind

		{night, local("2026-03-04 20:00"), true},
		{night, local("2026-03-05 00:00"), true},
		{night, local("2026-03-05 06:59"), true},
		{night, local("2026-03-05 07:00"), false},
		{weekendNight, local("2026-03-06 22:00"), true},  // Friday
		{weekendNight, local("2026-03-08 05:59"), true},  // Sunday, that of Saturday
		{weekendNight, local("2026-03-06 05:59"), false}, // Friday, that of Thursday
		{weekendNight, local("2026-03-08 23:00"), false}, // Sunday

		// The clocks go forward at 02:00 on 29 March 2026, and back at 03:00 on 25 October.
		{`{from: "02:00", to: "03:00"}`, utc("2026-03-29 00:59"), false}, // 01:59
		{`{from: "02:00", to: "03:00"}`, utc("2026-03-29 01:00"), false}, // 03:00: the hour is not there
		{`{from: "02:00", to: "03:00"}`, utc("2026-10-25 00:30"), true},  // 02:30
		{`{from: "02:00", to: "03:00"}`, utc("2026-10-25 01:30"), true},  // 02:30 again
		{`{from: "02:00", to: "03:00"}`, utc("2026-10-25 02:00"), false},
		{night, utc("2026-03-29 04:59"), true}, // 06:59, an hour earlier than the day before
		{night, utc("2026-03-29 05:00"), false},
		{night, utc("2026-10-25 05:59"), true},

		{`{holidays: only}`, local("2026-12-25 00:00"), true},
		{`{holidays: only}`, local("2026-12-24 23:59"), false},
		{`{holidays: only}`, local("2026-12-26 00:00"), false},
		{`{holidays: only, from: "18:00", to: "04:00"}`, local("2026-12-26 03:59"), true}, // began on the 25th
		{`{holidays: only, from: "18:00", to: "04:00"}`, local("2026-12-25 03:59"), false},
		{`{holidays: only, from: "18:00", to: "04:00"}`, local("2026-12-26 18:00"), false},
		{`{holidays: only}`, utc("2026-12-24 23:30"), true}, // Paris is an hour ahead
		{`{holidays: only}`, local("2028-02-29 12:00"), true},
		{`{holidays: only}`, local("2027-02-28 12:00"), false},
		{`{holidays: only}`, local("2027-03-01 12:00"), false},

		{`{zone: America/New_York, from: "09:00", to: "17:00"}`, utc("2026-03-04 14:00"), true},
		{`{zone: America/New_York, from: "09:00", to: "17:00"}`, utc("2026-03-04 13:59"), false},
		{`{zone: America/New_York, from: "09:00", to: "17:00"}`, utc("2026-03-16 13:00"), true}, // it has summer time before Paris
		{`{zone: Asia/Kathmandu, to: "00:15"}`, utc("2026-03-04 18:15"), true},                  // +05:45
		{`{zone: Asia/Kathmandu, to: "00:15"}`, utc("2026-03-04 18:30"), false},

		{`{from: "23:00", to: "24:00"}`, local("2026-03-04 23:59"), true},
		{`{from: "23:00", to: "24:00"}`, local("2026-03-05 00:00"), false},
		{`{from: "22:00", to: "00:00"}`, local("2026-03-04 23:59"), true},
		{`{from: "22:00"}`, local("2026-03-04 23:59"), true},
		{`{to: "06:00"}`, local("2026-03-04 00:00"), true},
		{`{days: fri-mon}`, local("2026-03-08 12:00"), true},
		{`{days: fri-mon}`, local("2026-03-05 12:00"), false},
		{`{days: sun}`, local("2026-03-08 12:00"), true},
		{`[{days: mon}, {days: wed}]`, local("2026-03-04 12:00"), true},
		{`[{days: mon}, {days: tue}]`, local("2026-03-04 12:00"), false},
	} {
		s := parsed(t, "version: 1\nzone: Europe/Paris\nholidays: [12-25, 02-29, 2026-04-06]\nrules: [{name: a, when: {time: "+c.window+"}, refuse: x}]\n")
		if got := s.Decide(Facts{At: c.at}).Rule == "a"; got != c.want {
			t.Errorf("%s at %v: got %v", c.window, c.at.In(paris), got)
		}
	}
}

// TestManyZones asks for more zones than a decision keeps at hand.
func TestManyZones(t *testing.T) {
	var rules strings.Builder
	for i := range 20 {
		fmt.Fprintf(&rules, "  - {name: z%d, when: {trunk: t%d, time: {zone: Etc/GMT-%d, from: \"12:00\", to: \"12:01\"}}, refuse: x}\n", i, i, i%14)
	}
	s := parsed(t, "version: 1\nrules:\n"+rules.String())
	for i := range 20 {
		at := time.Date(2026, 1, 1, 24+12-i%14, 0, 30, 0, time.UTC)
		if got := s.Decide(Facts{At: at, Trunk: fmt.Sprint("t", i)}).Rule; got != fmt.Sprint("z", i) {
			t.Errorf("zone %d: %q", i, got)
		}
		if got := s.Decide(Facts{At: at.Add(time.Minute), Trunk: fmt.Sprint("t", i)}).Rule; got != "" {
			t.Errorf("zone %d a minute later: %q", i, got)
		}
	}
	for i := range 40 {
		fmt.Fprintf(&rules, "  - {name: y%d, when: {trunk: u%d, time: {zone: %s, from: \"12:00\"}}, refuse: x}\n", i, i, someZones()[i])
	}
	if _, err := Parse("r", []byte("version: 1\nrules:\n"+rules.String())); err == nil || !strings.Contains(err.Error(), "at most 32 time zones") {
		t.Errorf("got %v", err)
	}
}

func someZones() []string {
	return strings.Fields(`Africa/Abidjan Africa/Algiers Africa/Cairo Africa/Lagos Africa/Tunis America/Bogota America/Cayenne America/Chicago
		America/Denver America/Guadeloupe America/Lima America/Martinique America/Miquelon America/Toronto Asia/Dubai Asia/Tokyo Asia/Seoul
		Asia/Karachi Asia/Kolkata Asia/Shanghai Asia/Singapore Asia/Tehran Europe/Athens Europe/Berlin Europe/Brussels Europe/Dublin Europe/Helsinki
		Europe/Lisbon Europe/London Europe/Madrid Europe/Prague Europe/Rome Europe/Vienna Europe/Warsaw Indian/Mayotte Indian/Reunion
		Pacific/Noumea Pacific/Tahiti Pacific/Wallis Pacific/Auckland`)
}

func TestCountryOf(t *testing.T) {
	for number, want := range map[string]string{
		"+33142000000": "FR", "+12025550123": "US", "+14165550123": "CA", "+442079460000": "GB", "+447911123456": "GG", "+79161234567": "RU", "+77011234567": "KZ",
		"+262262123456": "RE", "+80012345678": "001", "+3906698": "VA", "+33": "FR", "+1": "US", "": "", "+": "", "33142000000": "", "+33 1": "",
		"+33a": "", "+99912345": "", "+0": "", "+1234567890123456": "", "++33": "",
	} {
		if got := countryOf(number); got != want {
			t.Errorf("%s: got %q, want %q", number, got, want)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		p, s string
		want bool
	}{
		{"a*b*c", "abc", true},
		{"a*b*c", "aXbYbZc", true},
		{"a*b*c", "aXbYbZ", false},
		{"*a*", "bab", true},
		{"**", "x", true},
		{"?*", "x", true},
		{"?*", "", false},
		{"a?c", "aéc", true},
		{"a?c", "ac", false},
		{"*é", "aé", true},
		{strings.Repeat("a*", 50) + "b", strings.Repeat("a", 5000), false},
	} {
		p := newName(c.p)
		if got := p.match(c.s); got != c.want {
			t.Errorf("%.20s and %.20s: %v", c.p, c.s, got)
		}
	}
}

// randomText is over a small alphabet, so that it often meets a random pattern.
func randomText(r *rand.Rand, alphabet string) string {
	var b strings.Builder
	letters := []rune(alphabet)
	for range r.IntN(6) {
		b.WriteRune(letters[r.IntN(len(letters))])
	}
	return b.String()
}

// TestCoversHolds looks for a text that meets a pattern and not one that is said to cover it.
func TestCoversHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	covered := 0
	for range 30_000 {
		p, q := newName("x"+randomText(r, "ab*?é")), newName("x"+randomText(r, "ab*?é"))
		if pick(r, true, false) {
			p, q = newName(randomText(r, "ab*?é")+"x"), newName(randomText(r, "ab*?é")+"x")
		}
		if !p.covers(&q) {
			continue
		}
		covered++
		if !p.match(q.sample()) {
			t.Fatalf("%s covers %s, and the index would not find it by %q", p.written, q.written, q.sample())
		}
		for range 20 {
			if s := "x" + randomText(r, "abé") + pick(r, "", "x"); q.match(s) && !p.match(s) {
				t.Fatalf("%s does not cover %s: %s", p.written, q.written, s)
			}
		}
	}
	if covered < 1000 {
		t.Fatalf("only %d pairs were covered: the test shows little", covered)
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("a*b", "ab", "a?b")
	f.Add("*", "", "**")
	f.Add("\xff?", "\xff\xfe", "*\xff")
	f.Fuzz(func(t *testing.T, p, s, q string) {
		if len(p) > 200 || len(q) > 200 || len(s) > 2000 {
			return
		}
		a, b := newName(p), newName(q)
		if a.covers(&b) && b.match(s) && !a.match(s) {
			t.Fatalf("%q covers %q, but not for %q", p, q, s)
		}
	})
}
