package configs

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

func (p *problems) sites(c Config) {
	for i, s := range c.Sites {
		at := fmt.Sprintf("sites[%d]", i)
		p.site(at, s, c)
		if slices.ContainsFunc(c.Sites[:i], func(o Site) bool { return strings.EqualFold(o.Name, s.Name) }) {
			p.text(at+".name", s.Name, "a name that no other site has")
		}
	}
}

func (p *problems) site(at string, s Site, c Config) {
	if !nameForm(s.Name) {
		p.text(at+".name", s.Name, "up to 64 letters, digits, dots, hyphens and underscores")
	}
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || (u.Scheme != "ws" && u.Scheme != "wss") || u.Hostname() == "":
		p.add(at+".url", redacted(s.URL), "a URL such as wss://livekit.example.org")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		p.add(at+".url", redacted(s.URL), "no user, query or fragment")
	case strings.TrimRight(s.URL, "/") == strings.TrimRight(c.LiveKit.URL, "/"):
		p.text(at+".url", s.URL, "another LiveKit than livekit.url: rooms of one are not joined with each other")
	}
	if s.APIKey == "" {
		p.text(at+".api_key", s.APIKey, "the name of an API key of the site")
	}
	p.secret(at+".api_secret", s.APISecret)
	p.authorities(at+".ca_file", s.CAFile)
	if _, err := netip.ParseAddr(s.Address); s.Address != "" && err != nil {
		p.text(at+".address", s.Address, "an IP address")
	}
	if s.Language != "" && !slices.Contains(c.IVR.Languages, s.Language) {
		p.text(at+".language", s.Language, "one of ivr.languages: "+strings.Join(c.IVR.Languages, ", "))
	}
	if utf8.RuneCountInString(s.As) > 60 || strings.ContainsFunc(s.As, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		p.text(at+".as", s.As, "up to 60 characters on one line")
	}
}
