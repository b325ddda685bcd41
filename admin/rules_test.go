package admin

import (
	"strings"
	"testing"

	"passerelle/admin/tokens"
	"passerelle/bridge/policy"
)

func TestShowRules(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.make()
		r.server.api.RulesFile = "/etc/passerelle/rules.yaml"
	})
	for role, source := range map[tokens.Role]bool{tokens.Viewer: false, tokens.Operator: true, tokens.Admin: true} {
		var s ruleSet
		r.want(200, "", "GET", "/api/v1/rules", role, "").into(t, &s)
		if s.Rules != 2 || s.Version != r.rules.Set().Version() || s.File != "/etc/passerelle/rules.yaml" || (s.Source != nil) != source {
			t.Errorf("%s: %+v", role, s)
		}
		if s.Source != nil && *s.Source != someRules {
			t.Errorf("%s: the source is %q", role, *s.Source)
		}
	}
}

func TestExplain(t *testing.T) {
	r := newRig(t, nil)
	var e struct {
		Call     policy.Facts
		Decision struct {
			Allowed       bool
			Rule, Version string
			Refusal       policy.Refusal
		}
	}
	a := r.want(200, "", "POST", "/api/v1/rules/explain", tokens.Operator,
		`{"trunk":"carrier","caller":"+33612345678","source":"192.0.2.7","at":"2026-11-22T10:00:00+01:00","encrypted":true,"of_rule":{"carrier":3}}`)
	a.into(t, &e)
	if d := e.Decision; !d.Allowed || d.Rule != "carrier" || d.Version != r.rules.Set().Version() || e.Call.Direction != policy.In {
		t.Errorf("%s", a.body)
	}
	r.want(200, "", "POST", "/api/v1/rules/explain", tokens.Admin, `{"trunk":"other"}`).into(t, &e)
	if d := e.Decision; d.Allowed || d.Rule != "rest" || d.Refusal.Text != "Not from here" || e.Call.At.IsZero() {
		t.Errorf("%+v", e)
	}
	for _, body := range []string{
		`{"at":"now"}`, `{"at":5}`, `{"source":"here"}`, `{"direction":"up"}`, `{"in_room":-1}`, `{"of_rule":{"x":-1}}`, `{"encrypted":"yes"}`,
		`{"caller":"` + strings.Repeat("1", 257) + `"}`, `{"in_room":1.5}`, `{"in_room":99999999999999999999}`,
		`{"of_rule":{` + strings.Repeat(`"x":1,`, 10) + strings.Join(many(101), ",") + `}}`,
	} {
		r.want(422, "value", "POST", "/api/v1/rules/explain", tokens.Operator, body)
	}
	for _, body := range []string{`{"callr":"x"}`, `{"caller":"x"`, ``} {
		r.want(400, "body", "POST", "/api/v1/rules/explain", tokens.Operator, body)
	}
}

// many are n fields.
func many(n int) (list []string) {
	for i := range n {
		list = append(list, `"r`+strings.Repeat("x", i)+`":1`)
	}
	return list
}

func TestReload(t *testing.T) {
	r := newRig(t, nil)
	before := r.rules.Set().Version()
	r.rules.write(someRules + "# changed\n")
	var s ruleSet
	r.want(200, "", "POST", "/api/v1/rules/reload", tokens.Admin, "").into(t, &s)
	if s.Version == before || s.Version != r.rules.Set().Version() {
		t.Errorf("%+v", s)
	}
	if e := r.journal.last(); e.Actor != "admin" || e.Outcome != "done" || e.Fields["before"] != before || e.Fields["version"] != s.Version {
		t.Errorf("the record is %+v", e)
	}
	r.rules.write("version: 1\nrules:\n  - name: a\n    grnt: {}\n  - nme: b\n")
	a := r.want(422, "rules", "POST", "/api/v1/rules/reload", tokens.Admin, "{}")
	if p := a.problem(); len(p.Errors) < 2 || !strings.Contains(p.Errors[0].Detail, "rules.yaml:4:") || !strings.Contains(p.Detail, "stay") {
		t.Errorf("%s", a.body)
	}
	if r.rules.Set().Version() != s.Version {
		t.Error("a broken file changed the rules")
	}
	if e := r.journal.last(); e.Outcome != "refused" || e.Fields["problem"] != "rules" {
		t.Errorf("the record is %+v", e)
	}
}
