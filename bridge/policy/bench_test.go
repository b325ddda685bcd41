package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

const many = 10_000

// manyRules are files of 10,000 rules, each with another condition that sets its rules apart.
func manyRules() []struct {
	name string
	rule func(i int) string
} {
	return []struct {
		name string
		rule func(i int) string
	}{
		{"callers", func(i int) string {
			return fmt.Sprintf("when: {trunk: carrier-%d, caller: [+33%06d, +32%06d]}, grant: {max_rule: 30}", i%20, i, i)
		}},
		{"rooms", func(i int) string {
			return fmt.Sprintf("when: {protocol: sip, room: 6b0f%04d-52c1-4a77-9d5c-0c2d3f7a1e55}, grant: {lobby: ask, name: Guest of %d}", i, i)
		}},
		{"sources", func(i int) string {
			return fmt.Sprintf("when: {source: 10.%d.%d.0/26, transport: tls}, grant: {room: room-%d, keys: all}", i/250, i%250, i)
		}},
		{"globs", func(i int) string {
			return fmt.Sprintf("when: {called: \"*@city-%d.example.org\", direction: in}, refuse: closed", i)
		}},
		{"times", func(i int) string {
			return fmt.Sprintf("when: {caller_country: [FR, BE], trunk: t-%d, time: {from: \"%02d:%02d\", to: \"%02d:%02d\", days: mon-fri}}, grant: {}",
				i/600, i%600/60, i%60, 12+i%600/60, i%60)
		}},
		{"mixed", func(i int) string {
			return fmt.Sprintf("when: {trunk: \"partner-%d-*\", class: class-%d, encrypted: true, identity: any, caller_country: [FR, DE, BE, NL], "+
				"in_room: {below: %d}, time: {days: mon-fri, from: \"08:00\", to: \"19:00\", holidays: except}}, grant: {video: both}", i/100, i%100, 3+i%40)
		}},
	}
}

func manyRulesFile(rule func(i int) string) []byte {
	var b strings.Builder
	b.WriteString("version: 1\nzone: Europe/Paris\nholidays: [01-01, 05-01, 12-25]\nrooms:\n")
	for i := range 100 {
		fmt.Fprintf(&b, "  \"kind-%d-*\": class-%d\n", i, i)
	}
	b.WriteString("rules:\n")
	for i := range many {
		fmt.Fprintf(&b, "  - {name: rule %d, %s}\n", i, rule(i))
	}
	return []byte(b.String())
}

// anyFacts are of calls that meet a rule of manyRules now and then, mostly late or none.
func anyFacts(r *rand.Rand) Facts {
	i := r.IntN(many)
	f := Facts{
		At: time.Date(2026, 3, 1, 0, r.IntN(100_000), 0, 0, time.UTC), Direction: In, Protocol: "sip", Trunk: fmt.Sprintf("carrier-%d", i%20),
		Source: netip.AddrFrom4([4]byte{10, byte(i / 250), byte(i % 250), byte(r.IntN(90))}), Transport: "tls", Encrypted: true,
		Caller: fmt.Sprintf("+%d%06d%d", pick(r, 33, 32, 31, 1, 44), i, 10+r.IntN(90)), Called: fmt.Sprintf("conf@city-%d.example.org", i),
		Identity: "who", Room: fmt.Sprintf("6b0f%04d-52c1-4a77-9d5c-0c2d3f7a1e55", i), InRoom: r.IntN(50), OfSource: r.IntN(5),
	}
	switch r.IntN(3) {
	case 0:
		f.Room = ""
	case 1:
		f.Room = fmt.Sprintf("kind-%d-x", i%100)
	}
	switch r.IntN(3) {
	case 0:
		f.Trunk = fmt.Sprintf("partner-%d-x", i/100)
	case 1:
		f.Trunk = fmt.Sprintf("t-%d", i/600)
	}
	return f
}

// BenchmarkDecide10k measures a decision among 10,000 rules and reports its 99th percentile.
func BenchmarkDecide10k(b *testing.B) {
	for _, m := range manyRules() {
		b.Run(m.name, func(b *testing.B) {
			began := time.Now()
			s, err := Parse("bench", manyRulesFile(m.rule))
			if err != nil {
				b.Fatal(err)
			}
			b.Logf("parsed in %v", time.Since(began))
			r := rand.New(rand.NewPCG(5, 6))
			facts := make([]Facts, 4096)
			for i := range facts {
				facts[i] = anyFacts(r)
				s.Decide(facts[i]) // the library of numbers reads a country's when it is first asked
			}
			took := make([]time.Duration, 0, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				at := time.Now()
				s.Decide(facts[i%len(facts)])
				took = append(took, time.Since(at))
			}
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
