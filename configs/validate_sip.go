package configs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"passerelle/internal/yamldoc"
	"passerelle/transcode"
)

// listen checks an address and port to listen on; none is permitted.
func (p *problems) listen(key, value string) {
	if value == "" {
		return
	}
	host, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err == nil && host != "" {
		_, err = netip.ParseAddr(host)
	}
	if err != nil {
		p.text(key, value, "an IP address and a port, such as 127.0.0.1:5060, [::1]:5060, or :5060 for all addresses")
	}
}

func (p *problems) listeners(key string, list []string) {
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", key, i)
		if s == "" {
			p.text(at, s, "an IP address and a port")
		}
		p.listen(at, s)
	}
}

// authorities checks a PEM file of certificates; none is permitted.
func (p *problems) authorities(key, path string) {
	if path == "" {
		return
	}
	b, err := yamldoc.ReadFile(path, maxFile)
	if err != nil {
		p.text(key, path, "a file that can be read")
	} else if !x509.NewCertPool().AppendCertsFromPEM(b) {
		p.text(key, path, "certificates in PEM form")
	}
}

func (p *problems) media(m Media, c Calls) {
	for _, a := range [...]struct{ key, value string }{{"media.address", m.Address}, {"media.advertise", m.Advertise}} {
		if _, err := netip.ParseAddr(a.value); a.value != "" && err != nil {
			p.text(a.key, a.value, "an IP address")
		}
	}
	if m.PortMin < 1024 || m.PortMin > 65534 || m.PortMin%2 != 0 {
		p.add("media.port_min", fmt.Sprint(m.PortMin), "an even port, 1024 to 65534")
	}
	if m.PortMax <= m.PortMin || m.PortMax > 65535 {
		p.add("media.port_max", fmt.Sprint(m.PortMax), "a port above media.port_min, up to 65535")
	} else if room := (m.PortMax - m.PortMin + 1) / 2; room < c.Max {
		p.add("media.port_max", fmt.Sprint(m.PortMax), fmt.Sprintf("two ports for each of calls.max (%d) calls; this range holds %d", c.Max, room))
	}
}

func (p *problems) sip(c Config) {
	s := c.SIP
	if len(s.UDP)+len(s.TCP)+len(s.TLS.Listen) == 0 {
		p.add("sip", "no listener", "sip.udp, sip.tcp or sip.tls.listen")
	}
	p.listeners("sip.udp", s.UDP)
	p.listeners("sip.tcp", s.TCP)
	p.tls(s.TLS)
	if _, err := netip.ParseAddr(s.Advertise); s.Advertise != "" && err != nil && !hostForm(s.Advertise) {
		p.text("sip.advertise", s.Advertise, "an IP address or a host name, without a port")
	}
	if !regexp.MustCompile(`^[A-Za-z0-9._ /()+-]{1,100}$`).MatchString(s.UserAgent) {
		p.text("sip.user_agent", s.UserAgent, "up to 100 letters, digits, spaces and ._/()+-")
	}
	if !(s.UnknownRate > 0 && s.UnknownRate <= 10_000) {
		p.add("sip.unknown_rate", fmt.Sprint(s.UnknownRate), "more than 0, up to 10000")
	}
	p.duration("sip.min_se", s.MinSE, 90*time.Second, 24*time.Hour) // RFC 4028, section 4
	if s.SessionExpiry != 0 {
		p.duration("sip.session_expiry", s.SessionExpiry, max(s.MinSE, 90*time.Second), 24*time.Hour)
	}
	for i, t := range s.Trunks {
		p.trunk(fmt.Sprintf("sip.trunks[%d]", i), t, c)
		if slices.ContainsFunc(s.Trunks[:i], func(o Trunk) bool { return o.Name == t.Name }) {
			p.text(fmt.Sprintf("sip.trunks[%d].name", i), t.Name, "a name that no other trunk has")
		}
	}
}

func (p *problems) tls(t TLS) {
	p.listeners("sip.tls.listen", t.Listen)
	p.oneOf("sip.tls.min_version", t.MinVersion, "1.2", "1.3")
	p.authorities("sip.tls.client_ca", t.ClientCA)
	if t.RequireClientCert && t.ClientCA == "" {
		p.add("sip.tls.require_client_cert", "true", "sip.tls.client_ca, to verify the certificates with")
	}
	if len(t.Listen) == 0 && t.CertFile == "" && t.KeyFile == "" {
		return
	}
	// The key's own words in an error could be the key: only that it does not load is told.
	if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
		p.text("sip.tls.cert_file", t.CertFile, "a PEM certificate that belongs to the key in sip.tls.key_file "+quote(t.KeyFile)+", both readable")
	}
}

func (p *problems) trunk(at string, t Trunk, c Config) {
	if !nameForm(t.Name) {
		p.text(at+".name", t.Name, "up to 64 letters, digits, dots, hyphens and underscores")
	}
	if len(t.Addresses) == 0 && len(t.TLSNames) == 0 && t.Digest.User == "" {
		p.add(at, "matches nobody", "addresses, tls_names or digest.user, to know the peer by")
	}
	p.networks(at+".addresses", t.Addresses)
	p.networks(at+".media_networks", t.MediaNetworks)
	for i, n := range t.TLSNames {
		if !hostForm(n) {
			p.text(fmt.Sprintf("%s.tls_names[%d]", at, i), n, "a name such as sip.example.org")
		}
	}
	if len(t.TLSNames) > 0 && (len(c.SIP.TLS.Listen) == 0 || c.SIP.TLS.ClientCA == "") {
		p.text(at+".tls_names", strings.Join(t.TLSNames, ", "), "sip.tls.listen and sip.tls.client_ca, without which no name is verified")
	}
	p.digest(at+".digest", t.Digest)
	if t.Language != "" && !slices.Contains(c.IVR.Languages, t.Language) {
		p.text(at+".language", t.Language, "one of ivr.languages: "+strings.Join(c.IVR.Languages, ", "))
	}
	for i, name := range t.Codecs {
		known := slices.ContainsFunc(transcode.Codecs(), func(k transcode.Codec) bool {
			found, ok := transcode.Lookup(name, k.ClockRate)
			return ok && found.Is(k)
		})
		if !known {
			p.text(fmt.Sprintf("%s.codecs[%d]", at, i), name, "opus, G722, PCMA, PCMU or L16")
		}
	}
	p.oneOf(at+".encryption", t.Encryption, "require", "prefer", "off")
	p.between(at+".max_calls", t.MaxCalls, 0, c.Calls.Max)
	if !(t.CallRate >= 0 && t.CallRate <= 10_000) {
		p.add(at+".call_rate", fmt.Sprint(t.CallRate), "0 to 10000")
	}
}

func (p *problems) digest(at string, d Digest) {
	if d.User == "" {
		if d.Password != "" || d.PasswordFile != "" || d.Realm != "" {
			p.text(at+".user", "", "a user, as there is a password or realm")
		}
		return
	}
	p.secret(at+".password", d.Password)
	for i, a := range d.Algorithms {
		p.oneOf(fmt.Sprintf("%s.algorithms[%d]", at, i), a, "SHA-256", "MD5")
	}
	for _, f := range [...]struct{ key, value string }{{at + ".user", d.User}, {at + ".realm", d.Realm}} {
		if !regexp.MustCompile(`^[A-Za-z0-9._@+-]{1,100}$`).MatchString(f.value) {
			p.text(f.key, f.value, "up to 100 letters, digits and ._@+-")
		}
	}
}

func hostForm(s string) bool {
	return len(s) <= 253 && regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`).MatchString(s)
}
