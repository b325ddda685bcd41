package admin

import (
	"context"
	"net/http"

	"passerelle/admin/tokens"
	"passerelle/bridge/policy"
)

// Rules is the set of rules in force. Implemented by policy.Keeper.
type Rules interface {
	Decide(ctx context.Context, f policy.Facts) policy.Decision
	Reload() error
}

// ruleRoutes are the rules in force.
func (a *api) ruleRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "/api/v1/rules/reload", role: tokens.Admin, audit: true, handle: a.reload},
	}
}

func (a *api) reload(_ http.ResponseWriter, r *http.Request, _ *caller) (any, error) {
	if err := decode(r, &struct{}{}, true); err != nil {
		return nil, err
	}
	return nil, a.Rules.Reload()
}
