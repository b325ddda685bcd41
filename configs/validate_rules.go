package configs

import (
	"crypto/tls"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

func (p *problems) http(h HTTP) {
	p.listen("http.listen", h.Listen)
	switch {
	case h.CertFile == "" && h.KeyFile != "":
		p.text("http.cert_file", "", "the certificate of http.key_file")
	case h.CertFile != "" && h.KeyFile == "":
		p.text("http.key_file", "", "the key of http.cert_file")
	case h.ClientCA != "" && h.CertFile == "":
		p.text("http.cert_file", "", "a certificate: without TLS no client can show one of http.client_ca")
	case h.CertFile != "":
		// The key's own words in an error could be the key: only that it does not load is told.
		if _, err := tls.LoadX509KeyPair(h.CertFile, h.KeyFile); err != nil {
			p.text("http.cert_file", h.CertFile, "a PEM certificate that belongs to the key in http.key_file "+quote(h.KeyFile)+", both readable")
		}
	}
	if h.Tokens != "" && h.Listen == "" {
		p.text("http.listen", "", "an address and a port, as http.tokens_file wants an admin API")
	}
	p.authorities("http.client_ca", h.ClientCA)
	p.between("http.rate", h.Rate, 1, 10_000)
}

func (p *problems) rules(r Rules) {
	if r.File != "" {
		if i, err := os.Stat(r.File); err != nil || !i.Mode().IsRegular() {
			p.text("rules.file", r.File, "a file that can be read")
		}
	}
	p.oneOf("rules.running", r.Running, "end", "narrow", "keep")
	p.url("rules.service.url", r.Service.URL, "https://policy.example.org/decide")
	p.authorities("rules.service.ca_file", r.Service.CAFile)
	p.duration("rules.service.timeout", r.Service.Timeout, 10*time.Millisecond, 10*time.Second)
	p.duration("rules.service.cache", r.Service.Cache, 0, time.Hour)
}

// url checks an http or https URL that may be empty.
func (p *problems) url(key, value, example string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.User != nil {
		p.add(key, redacted(value), "a URL such as "+example)
	}
}

func (p *problems) lobby(l Lobby) {
	if l.HostAttribute != "" && len(l.HostValues) == 0 {
		p.add("lobby.host_values", "[]", "at least one value of lobby.host_attribute, such as [owner]")
	}
	if slices.Contains(l.HostValues, "") {
		p.text("lobby.host_values", "", "values that are not empty")
	}
	p.duration("lobby.timeout", l.Timeout, time.Second, 24*time.Hour)
}

func (p *problems) journal(j Journal) {
	path, lite := strings.CutPrefix(j.URL, "sqlite:")
	switch {
	case j.URL == "" || j.URL == "off" || lite && path != "":
	case strings.HasPrefix(j.URL, "postgres://") || strings.HasPrefix(j.URL, "postgresql://"):
		if u, err := url.Parse(j.URL); err != nil || u.Hostname() == "" {
			p.add("journal.url", redacted(j.URL), "a URL such as postgres://passerelle@db.example.org/journal")
		} else if _, has := u.User.Password(); has {
			p.add("journal.url", redacted(j.URL), "no password in it: journal.password_file is for that")
		}
	default:
		p.add("journal.url", redacted(j.URL), "sqlite:PATH, postgres://…, off, or nothing")
	}
	p.duration("journal.head_every", j.HeadEvery, time.Second, 24*time.Hour)
	p.duration("journal.keep.calls", j.Keep.Calls, 0, 10*365*day)
	p.duration("journal.keep.decisions", j.Keep.Decisions, 0, 10*365*day)
	p.duration("journal.keep.others", j.Keep.Others, 0, 10*365*day)
	p.duration("journal.shorten_after", j.ShortenAfter, 0, 10*365*day)
}
