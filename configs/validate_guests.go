package configs

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

func (p *problems) guests(g Guests) {
	p.listen("guests.listen", g.Listen)
	p.listen("guests.udp_listen", g.UDPListen)
	p.listen("guests.tcp_listen", g.TCPListen)
	p.listen("guests.turn_listen", g.TURNListen)
	if g.TURNURL != "" && (!strings.HasPrefix(g.TURNURL, "turn:") && !strings.HasPrefix(g.TURNURL, "turns:") || strings.ContainsAny(g.TURNURL, " \t\r\n<>\"")) {
		p.text("guests.turn_url", g.TURNURL, "a URL such as turns:guests.example.org:443?transport=tcp")
	}
	p.url("guests.public_url", g.PublicURL, "https://guests.example.org")
	if u, err := url.Parse(g.PublicURL); err == nil && (u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "") {
		p.add("guests.public_url", redacted(g.PublicURL), "no path, query or fragment")
	}
	switch {
	case g.CertFile == "" && g.KeyFile != "":
		p.text("guests.cert_file", "", "the certificate of guests.key_file")
	case g.CertFile != "" && g.KeyFile == "":
		p.text("guests.key_file", "", "the key of guests.cert_file")
	}
	if g.Listen != "" && g.UDPListen == "" {
		p.text("guests.udp_listen", "", "an address and a port, such as 0.0.0.0:7882")
	}
	p.networks("guests.proxies", g.Proxies)
	p.networks("guests.networks", g.Networks)
	for i, o := range g.Origins {
		if o != "*" && !originForm(o) {
			p.text(fmt.Sprintf("guests.origins[%d]", i), o, "an origin such as https://intranet.example.org, or *")
		}
	}
	for i, a := range g.Advertise {
		if _, err := netip.ParseAddr(a); err != nil {
			p.text(fmt.Sprintf("guests.advertise[%d]", i), a, "an IP address")
		}
	}
	p.between("guests.max", g.Max, 1, 100_000)
	p.between("guests.max_per_address", g.MaxPerAddress, 0, 100_000)
	p.between("guests.rate", g.Rate, 1, 10_000)
	p.duration("guests.grace", g.Grace, time.Second, 10*time.Minute)
	p.between("guests.tiles", g.Tiles, 0, 25)
	p.between("guests.kbps", g.Kbps, 100, 1_000_000)
	if strings.ContainsFunc(g.LinkSecret.Reveal(), func(r rune) bool { return r > '~' }) || g.LinkSecret != "" && g.LinkSecret.Reveal() == g.LinkSecret.String() {
		p.add("guests.link_secret", "•••", "printable ASCII")
	}
	if len(g.Consent) > 10_000 {
		p.add("guests.consent", "too long", "10,000 bytes at most")
	}
}

// originForm tells whether a text is an origin as browsers write it (RFC 6454, section 6.2).
func originForm(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && s == u.Scheme+"://"+u.Host
}
