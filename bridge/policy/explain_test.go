package policy

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// sample is the file of rules that is shipped.
func sample(t testing.TB) *Set {
	t.Helper()
	b, err := os.ReadFile("../../configs/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse("configs/rules.yaml", b)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range s.Warnings() {
		t.Errorf("the sample has a warning: %s", w)
	}
	return s
}

// situations are calls to a ministry that has the shipped rules.
func situations() map[string]Facts {
	at := func(s string) time.Time {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			panic(err)
		}
		return t
	}
	noon, night, easter := at("2026-03-04T12:00:00+01:00"), at("2026-03-04T23:30:00+01:00"), at("2026-04-06T12:00:00+02:00")
	carrier := Facts{
		At: noon, Direction: In, Protocol: "sip", Trunk: "carrier-fr", Source: netip.MustParseAddr("203.0.113.9"), Transport: "udp",
		Caller: "+33142345678", Called: "+33142000000",
	}
	pbx := Facts{
		At: noon, Direction: In, Protocol: "sip", Trunk: "pbx", Source: netip.MustParseAddr("10.1.0.5"), Transport: "tls", Encrypted: true,
		Caller: "+33142004711", Called: "9000", Identity: "+33142004711",
	}
	device := Facts{
		At: noon, Direction: In, Protocol: "sip", Trunk: "room-systems", Source: netip.MustParseAddr("10.2.0.17"), Transport: "tls", Encrypted: true,
		Caller: "salle-bleue", Called: "visio", Identity: "salle-bleue",
	}
	partner := Facts{
		At: noon, Direction: In, Protocol: "sip", Trunk: "partner-de", Source: netip.MustParseAddr("2001:db8:de::17"), Transport: "tls", Encrypted: true,
		Caller: "+4930123456", Called: "+33142000000", Identity: "sbc.partner.example",
	}
	guest := Facts{
		At: noon, Direction: In, Protocol: "webrtc", Source: netip.MustParseAddr("198.51.100.200"), Transport: "wss", Encrypted: true,
		Link: "7mXq2", Identity: "guest:Ada", Room: "projet-metro",
	}
	with := func(f Facts, change func(f *Facts)) Facts {
		change(&f)
		return f
	}
	return map[string]Facts{
		"01-phone-before-the-pin":          carrier,
		"02-phone-in-an-ordinary-room":     with(carrier, func(f *Facts) { f.Room = "projet-metro" }),
		"03-phone-in-a-restricted-room":    with(carrier, func(f *Facts) { f.Room = "cabinet-7" }),
		"04-phone-at-night":                with(carrier, func(f *Facts) { f.At = night }),
		"05-hotline-at-night":              with(carrier, func(f *Facts) { f.At, f.Called, f.Room = night, "+33142000099", "projet-metro" }),
		"06-phone-from-the-us":             with(carrier, func(f *Facts) { f.Caller = "+12025550123" }),
		"07-withheld-number":               with(carrier, func(f *Facts) { f.Caller, f.Room = "", "projet-metro" }),
		"08-staff-in-a-restricted-room":    with(pbx, func(f *Facts) { f.Room = "cabinet-7" }),
		"09-staff-not-encrypted":           with(pbx, func(f *Facts) { f.Room, f.Encrypted, f.Transport = "cabinet-7", false, "udp" }),
		"10-room-system-to-its-own-room":   device,
		"11-partner-abroad":                with(partner, func(f *Facts) { f.Room = "projet-metro" }),
		"12-partner-abroad-not-encrypted":  with(partner, func(f *Facts) { f.Room, f.Encrypted = "projet-metro", false }),
		"13-guest-by-link":                 guest,
		"14-eleventh-guest-of-one-address": with(guest, func(f *Facts) { f.OfSource = 10 }),
		"15-phone-on-easter-monday":        with(carrier, func(f *Facts) { f.At = easter }),
		"17-studio-by-whip":                with(guest, func(f *Facts) { f.Protocol, f.Link, f.Identity = "whip", "studio-7mxq2", "studio-7mxq2" }),
		"16-call-out-to-morocco": {
			At: noon, Direction: Out, Protocol: "sip", Trunk: "carrier-fr", Called: "+212522123456", Room: "projet-metro", Identity: "host",
		},
	}
}

// TestSituations holds what explain says of the shipped rules against the golden files.
func TestSituations(t *testing.T) {
	s := sample(t)
	for name, f := range situations() {
		// The version is that of the file, which may get a better comment.
		got := strings.Replace(s.Explain(f).Text(), s.Version()[:12], "VERSION", 1)
		path := filepath.Join("testdata", "explain", name+".txt")
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s (write anew with -update):\n%s\nwant\n%s", name, got, want)
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "explain", "*.txt"))
	if err != nil || len(files) != len(situations()) {
		t.Errorf("%d golden files for %d situations, %v", len(files), len(situations()), err)
	}
}

func TestExplanationAsJSON(t *testing.T) {
	b, err := json.Marshal(sample(t).Explain(situations()["11-partner-abroad"]))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Call   map[string]any
		File   string
		Passes []struct {
			Room, Class string
			Rules       []struct {
				Rule, Verdict string
				Line          int
				Conditions    []struct{ Key, Verdict, Text string }
			}
		}
		Decision struct {
			Rule, Version string
			Allowed       bool
			Grant         map[string]any
			Refusal       *struct{}
		}
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	rules := got.Passes[0].Rules
	last := rules[len(rules)-1]
	if len(got.Passes) != 1 || got.Passes[0].Room != "projet-metro" || last.Rule != "partner in Germany" || last.Verdict != "yes" || len(last.Conditions) != 3 {
		t.Errorf("%+v", got.Passes)
	}
	d := got.Decision
	if !d.Allowed || d.Rule != "partner in Germany" || len(d.Version) != 64 || d.Refusal != nil {
		t.Errorf("%+v", d)
	}
	for key, want := range map[string]any{
		"foreign": true, "lobby": "host", "duration": "2h0m0s", "idle": "0s", "max_rule": 10.0, "recording": false, "show_number": "hidden",
		"codecs": []any{"opus", "G722"},
	} {
		if !reflect.DeepEqual(d.Grant[key], want) {
			t.Errorf("%s: got %v, want %v", key, d.Grant[key], want)
		}
	}
	if got.Call["caller"] != "+4930123456" || got.Call["source"] != "2001:db8:de::17" {
		t.Errorf("%+v", got.Call)
	}
}

// TestTextStaysShort explains a call that many rules do not match.
func TestTextStaysShort(t *testing.T) {
	var rules strings.Builder
	for i := range 500 {
		fmt.Fprintf(&rules, "  - {name: r%d, when: {trunk: t%d}, refuse: x}\n", i, i)
	}
	s := parsed(t, head+rules.String())
	text := s.Explain(Facts{Trunk: "x", Room: "y"}).Text()
	if lines := strings.Count(text, "\n"); lines > 100 || !strings.Contains(text, "459 rules that do not match") {
		t.Errorf("%d lines:\n%s", lines, text)
	}
}
