package policy

import (
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// anyOrigin stands for the pages of everybody.
const anyOrigin = "*"

// maxOrigins is how many origins a rule may name.
const maxOrigins = 32

// TakesOrigin tells whether pages of an origin may use WHIP and WHEP under the grant.
func (g Grant) TakesOrigin(origin string) bool {
	return slices.Contains(g.Origins, origin) || slices.Contains(g.Origins, anyOrigin)
}

// SomeOrigin tells whether any rule takes pages of an origin. It is what can be said to a browser that asks before it tells the link (a CORS preflight):
// whether it is the link's rule, the request itself shows.
func (s *Set) SomeOrigin(origin string) bool {
	_, all := slices.BinarySearch(s.origins, anyOrigin)
	_, named := slices.BinarySearch(s.origins, origin)
	return all || named
}

// SomeOrigin asks the rules in force.
func (k *Keeper) SomeOrigin(origin string) bool { return k.Set().SomeOrigin(origin) }

// gatherOrigins lists what the rules take, each once and in order.
func (s *Set) gatherOrigins() {
	for i := range s.rules {
		s.origins = append(s.origins, s.rules[i].grant.Origins...)
	}
	slices.Sort(s.origins)
	s.origins = slices.Compact(s.origins)
}

// readOrigins reads origins of pages, or * for all.
func (p *parser) readOrigins(n *yaml.Node) []string {
	var list []string
	for _, item := range p.list(n) {
		switch {
		case item.Kind != yaml.ScalarNode || item.Value != anyOrigin && !originForm(item.Value):
			p.refuse(item, "expected an origin as browsers write it, such as https://studio.example.org, or \"*\" for all")
		case slices.Contains(list, item.Value):
			p.refuse(item, "expected each origin once")
		default:
			list = append(list, item.Value)
		}
	}
	if len(list) > maxOrigins {
		p.refuse(n, "expected at most %d origins", maxOrigins)
	}
	return list
}

// originForm tells whether a text is an origin as browsers write it (RFC 6454, section 6.2): small letters, and no port where it is the scheme's own.
func originForm(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || len(s) > 300 || strings.Contains(s, anyOrigin) || s != u.Scheme+"://"+u.Host || s != strings.ToLower(s) {
		return false
	}
	port := u.Port()
	switch u.Scheme {
	case "https":
		return port != "443" && !strings.HasSuffix(u.Host, ":")
	case "http":
		return port != "80" && !strings.HasSuffix(u.Host, ":")
	}
	return false
}

// commonOrigins holds the origins that are in both lists.
func commonOrigins(a, b []string) []string {
	all := func(list []string) bool { return slices.Contains(list, anyOrigin) }
	switch {
	case all(a) && all(b):
		return []string{anyOrigin}
	case all(a):
		return b
	case all(b):
		return a
	}
	return common(a, b)
}
