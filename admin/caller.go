package admin

import (
	"crypto/rand"
	"net/http"
	"net/netip"
	"strings"

	"passerelle/admin/tokens"
)

// caller is who asks.
type caller struct {
	id          string // of the request
	address     netip.Addr
	certificate string            // name in the client's certificate; empty: it showed none
	token       tokens.Token      // zero: not known
	fields      map[string]string // what the record of the request has besides
}

func newCaller(r *http.Request) *caller {
	by := &caller{id: rand.Text()[:16], fields: map[string]string{}}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		by.address = from.Addr().Unmap()
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		by.certificate = clip(r.TLS.VerifiedChains[0][0].Subject.String())
	}
	return by
}

// full tells whether they see numbers and addresses in full.
func (by *caller) full() bool { return by.token.Role.Covers(tokens.Admin) }

// admit says who asks, or why they may not. No role: whoever may connect may ask, as often as an address may.
func (a *api) admit(r *http.Request, by *caller, need tokens.Role) error {
	if a.cfg.ClientCA != "" && by.certificate == "" {
		return a.stranger(by, refuse(http.StatusForbidden, "client-certificate",
			"The admin API takes only clients that show a certificate of http.client_ca. Connect with one (curl --cert FILE --key FILE)."))
	}
	header := r.Header.Values("Authorization")
	if len(header) == 0 {
		if need == "" {
			return a.limit(addressKey(by.address), 1)
		}
		p := refuse(http.StatusUnauthorized, "no-token", "This needs a token: send it as Authorization: Bearer pass_…. `passerelle token add` makes one.")
		p.challenge = `Bearer realm="passerelle"`
		return a.stranger(by, p)
	}
	scheme, secret, _ := strings.Cut(header[0], " ")
	token, known := a.keeper.Find(secret)
	if len(header) > 1 || !strings.EqualFold(scheme, "Bearer") || !known {
		return a.stranger(by, badToken("The token is not known. It may have been removed, or is not whole: it begins with pass_ and has 48 characters. `passerelle token add` makes another."))
	}
	if token.Expired(a.now()) {
		return a.stranger(by, badToken("The token is over. `passerelle token add` makes another."))
	}
	by.token = token
	if err := a.limit("token "+token.Name, 1); err != nil {
		return err
	}
	if need != "" && !token.Role.Covers(need) {
		return refuse(http.StatusForbidden, "role", "This needs the role %s, and the token %q has the role %s. Ask for a token with that role.", need, token.Name, token.Role)
	}
	return nil
}

func badToken(detail string) *problem {
	p := refuse(http.StatusUnauthorized, "token", "%s", detail)
	p.challenge = `Bearer realm="passerelle", error="invalid_token"`
	return p
}

// stranger is for who did not say who they are: they may try again, but not often.
func (a *api) stranger(by *caller, p *problem) error {
	a.metrics.strangers.Inc()
	if err := a.limit(addressKey(by.address), a.limits.login); err != nil {
		return err
	}
	return p
}

// limit counts n requests of who.
func (a *api) limit(who string, n int) error {
	wait, first := a.limits.take(who, n)
	if wait == 0 {
		return nil
	}
	p := refuse(http.StatusTooManyRequests, "too-often", "You ask too often. Wait as long as Retry-After says (http.rate: %d requests a second; a failed login counts as so many).",
		a.limits.perSecond)
	p.wait, p.again = wait, !first
	return p
}
