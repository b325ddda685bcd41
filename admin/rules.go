package admin

import (
	"errors"
	"net/http"

	"passerelle/admin/tokens"
	"passerelle/bridge/policy"
)

// Rules is the set of rules in force. Implemented by *policy.Keeper.
type Rules interface {
	// Set answers the set in force.
	Set() *policy.Set
	// Reload reads the file again, all or nothing. The error wraps all that is wrong with it, a line each.
	Reload() error
}

// ruleRoutes are the rules in force.
func (a *api) ruleRoutes() []route {
	return []route{
		{path: "/api/v1/rules", role: tokens.Viewer, handle: a.showRules},
		{method: http.MethodPost, path: "/api/v1/rules/explain", role: tokens.Operator, handle: a.explain},
		{method: http.MethodPost, path: "/api/v1/rules/reload", role: tokens.Admin, audit: true, handle: a.reload},
	}
}

// ruleSet is the set in force.
type ruleSet struct {
	Version  string   `json:"version"` // SHA-256 of the source, hex
	File     string   `json:"file"`    // empty: built in
	Rules    int      `json:"rules"`
	Warnings []string `json:"warnings"`
	Source   *string  `json:"source,omitempty"` // for operators and admins: it can name numbers
}

func (a *api) viewRules(by *caller) ruleSet {
	s := a.Rules.Set()
	v := ruleSet{Version: s.Version(), File: a.RulesFile, Rules: s.Len(), Warnings: append([]string{}, s.Warnings()...)}
	if by.token.Role.Covers(tokens.Operator) {
		text := string(s.Source())
		v.Source = &text
	}
	return v
}

func (a *api) showRules(_ http.ResponseWriter, r *http.Request, by *caller) (any, error) {
	if err := newQuery(r.URL.RawQuery).err(); err != nil {
		return nil, err
	}
	return a.viewRules(by), nil
}

func (a *api) reload(_ http.ResponseWriter, r *http.Request, by *caller) (any, error) {
	if err := newQuery(r.URL.RawQuery).err(); err != nil {
		return nil, err
	}
	if err := decode(r, &struct{}{}, true); err != nil {
		return nil, err
	}
	before := a.Rules.Set().Version()
	if err := a.Rules.Reload(); err != nil {
		if what := errors.Unwrap(err); what != nil {
			err = what // the lines, without their heading
		}
		p := refuse(http.StatusUnprocessableEntity, "rules", "The rules stay as they were, because the file cannot be used. Correct it, and try again. passerelle check tells the same.")
		for _, line := range reasons(err) {
			p.Errors = append(p.Errors, fault{"file", line})
		}
		return nil, p
	}
	v := a.viewRules(by)
	by.fields["before"], by.fields["version"] = before, v.Version
	return v, nil
}

// explain holds the rules against a call that somebody imagines. What a policy service would add is not asked.
func (a *api) explain(_ http.ResponseWriter, r *http.Request, _ *caller) (any, error) {
	if err := newQuery(r.URL.RawQuery).err(); err != nil {
		return nil, err
	}
	var f policy.Facts
	if err := decode(r, &f, false); err != nil {
		return nil, err
	}
	if err := complete(&f, a.now()); err != nil {
		return nil, err
	}
	return a.Rules.Set().Explain(f), nil
}
