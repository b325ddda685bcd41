package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// status is what a command would end with.
func status(err error) int {
	var e exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return int(e)
	}
	return 1
}

func TestExplain(t *testing.T) {
	t.Setenv("PASSERELLE_CONFIG", "")
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("version: 1\nrules:\n  - {name: a, grnt: {}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const rules = "--rules=../../configs/rules.yaml"
	for _, c := range []struct {
		name   string
		args   []string
		status int
		want   string // in the output, or in the error
	}{
		{"allowed", []string{rules, "--from=+33142345678", "--trunk=carrier-fr", "--room=x", "--at=2026-03-04T12:00+01:00"}, 0, `Allowed by rule "France and neighbours"`},
		{"open", []string{rules, "--from=+33142345678", "--trunk=carrier-fr", "--at=2026-03-04T12:00+01:00"}, 0, "Allowed so far"},
		{"refused", []string{rules, "--from=+12025550123", "--trunk=carrier-fr", "--at=2026-03-04T12:00:00+01:00"}, 2, "the caller +1202… is in US, not FR"},
		{"every flag", []string{
			rules, "--from=a", "--to=b", "--trunk=partner-de", "--source=198.51.100.7", "--direction=in", "--protocol=sip", "--transport=tls", "--encrypted",
			"--identity=i", "--platform=p", "--link=l", "--room=r", "--class=c", "--in-room=1", "--from-source=2", "--under-rule=partner in Germany=10", "--at=2026-03-04 12:00",
		}, 2, `Refused by rule "partner in Germany": too_many`},
		{"built in", nil, 0, `Allowed by rule "every call"`},
		{"no such file", []string{"--rules=/nowhere/rules.yaml"}, 1, "no such file"},
		{"broken rules", []string{"--rules=" + bad}, 1, `bad.yaml:3:15: rule "a": unknown key "grnt"; did you mean grant?`},
		{"flags", []string{"--source=x", "--at=noon", "--direction=up", "--protocol=smtp", "--transport=pigeon"}, 1, `--source "x": expected an IP address`},
		{"words", []string{"hello"}, 1, `takes no argument "hello"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(t.Context(), append([]string{"explain"}, c.args...), &out)
			text := out.String()
			if err != nil {
				text += err.Error()
			}
			if status(err) != c.status || !strings.Contains(text, c.want) {
				t.Errorf("status %d, want %d, and %q in\n%s", status(err), c.status, c.want, text)
			}
		})
	}
}

func TestExplainAsJSON(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), []string{"explain", "--rules=../../configs/rules.yaml", "--json", "--trunk=pbx", "--identity=i", "--room=x"}, &out)
	var got struct {
		Call     struct{ Trunk, Room string }
		Decision struct {
			Rule    string
			Allowed bool
		}
	}
	if err != nil || json.Unmarshal(out.Bytes(), &got) != nil || got.Call.Trunk != "pbx" || got.Decision.Rule != "staff" || !got.Decision.Allowed {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
}

func TestExplainReadsTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	rules := filepath.Join(dir, "rules.yaml")
	for path, text := range map[string]string{
		rules:                           "version: 1\nrules: [{name: nobody, refuse: Closed}]\n",
		filepath.Join(dir, "node.yaml"): "rules: {file: " + rules + "}\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	err := run(t.Context(), []string{"explain", "--config", filepath.Join(dir, "node.yaml")}, &out)
	if status(err) != 2 || !strings.Contains(out.String(), `Refused by rule "nobody": forbidden: Closed`) {
		t.Fatalf("%v\n%s", err, &out)
	}
}

// TestCheckLooksAtTheRules: a configuration whose rules cannot be used cannot be used.
func TestCheckLooksAtTheRules(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rules.yaml")
	check := func(rules string) (string, error) {
		t.Helper()
		if err := os.WriteFile(path, []byte(rules), 0o600); err != nil {
			t.Fatal(err)
		}
		config := filepath.Join(dir, "node.yaml")
		if err := os.WriteFile(config, []byte(`
livekit: {url: "wss://livekit.example.org", api_key: k, api_secret: 0123456789abcdef0123456789abcdef}
directory: {livekit: true}
rules: {file: `+path+`}
sip: {trunks: [{name: carrier-fr, addresses: [192.0.2.1]}]}
`), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err := run(t.Context(), []string{"check", "--config", config}, &out)
		return out.String(), err
	}
	out, err := check("version: 1\nrules:\n  - {name: a, when: {trunk: [carrier-*, pbx, none]}, grant: {notices: {caller: foreign_notice_caller}}}\n")
	if err != nil || !strings.Contains(out, `rules.yaml:3:5: rule "a": trunk: there is no trunk "pbx"`) || strings.Contains(out, "carrier") {
		t.Errorf("%v\n%s", err, out)
	}
	_, err = check("version: 1\nrules:\n  - {name: a, refuse: {notice: notice_closed}}\n")
	if err == nil || !strings.Contains(err.Error(), "notice_closed") {
		t.Errorf("%v", err)
	}
	_, err = check("version: 1\nrules:\n  - {name: a, audio: both}\n")
	if err == nil || !strings.Contains(err.Error(), `rules.yaml:3:15: rule "a": unknown key "audio"`) {
		t.Errorf("%v", err)
	}
}

// TestExplainFederation: a call to another site is explained as the node makes it, without its transport and encryption being said.
func TestExplainFederation(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte(`
version: 1
rules:
  - {name: partner, when: {direction: out, protocol: livekit, transport: wss, encrypted: true, platform: partner, called: "livekit://partner/budget-*"}, grant: {foreign: true}}
  - {name: others, refuse: Not there}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]int{
		"--platform=partner --to=livekit://partner/budget-1":                   0,
		"--platform=partner --to=livekit://partner/secret":                     2,
		"--platform=other --to=livekit://other/budget-1":                       2,
		"--platform=partner --to=livekit://partner/budget-1 --transport=ws":    2,
		"--platform=partner --to=livekit://partner/budget-1 --encrypted=false": 2,
	} {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{"explain", "--rules", rules, "--direction=out", "--protocol=livekit", "--room=council"}, strings.Fields(args)...), &out)
		if got := map[bool]int{true: 0, false: status(err)}[err == nil]; got != want {
			t.Errorf("%s: status %d, want %d\n%s", args, got, want, &out)
		}
	}
}
