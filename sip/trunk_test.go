package sip

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/configs"
)

// pki is a certificate authority for tests.
type pki struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newPKI(t *testing.T) *pki {
	p := &pki{t: t, dir: t.TempDir(), pool: x509.NewCertPool()}
	p.key, p.cert = p.sign("test CA", nil)
	p.pool.AddCert(p.cert)
	p.write("ca.pem", "CERTIFICATE", p.cert.Raw)
	return p
}

func (p *pki) sign(name string, parent *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	signer := key
	if parent == nil {
		parent = c
	} else {
		signer = p.key
		c.DNSNames = []string{name}
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		p.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		p.t.Fatal(err)
	}
	return key, cert
}

func (p *pki) write(name, kind string, b []byte) string {
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// issue writes NAME.crt and NAME.key.
func (p *pki) issue(name string) (cert, key string) {
	k, c := p.sign(name, p.cert)
	b, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.write(name+".crt", "CERTIFICATE", c.Raw), p.write(name+".key", "EC PRIVATE KEY", b)
}

// listenTLS is a change of configuration that adds a TLS listener and a trunk by name.
func (p *pki) listenTLS(require bool) func(*configs.SIP, *Deps) {
	cert, key := p.issue("gateway.example.org")
	return func(c *configs.SIP, d *Deps) {
		c.TLS = configs.TLS{
			Listen: []string{"127.0.0.1:0"}, CertFile: cert, KeyFile: key, MinVersion: "1.3",
			ClientCA: filepath.Join(p.dir, "ca.pem"), RequireClientCert: require,
		}
		c.Trunks = []configs.Trunk{{Name: "by name", Addresses: []string{"127.0.0.1"}, TLSNames: []string{"Carrier.example.org"}}}
		d.RootCAs = p.pool
	}
}

func TestTLSNames(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	var r recorder
	s := start(t, r.handle, pki.listenTLS(false))
	dial := func(name string, version uint16) (*tls.Conn, error) {
		cfg := &tls.Config{RootCAs: pki.pool, ServerName: "gateway.example.org", MaxVersion: version}
		if name != "" {
			cert, key := pki.issue(name)
			c, err := tls.LoadX509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Certificates = []tls.Certificate{c}
		}
		return tls.Dial("tcp", s.Addr("tls").String(), cfg)
	}
	c, err := dial("carrier.example.org", 0)
	if err != nil {
		t.Fatal(err)
	}
	p := streamPhone(t, "TLS", c, s.Addr("tls"))
	ok := p.call("")
	if !strings.Contains(header(ok, "Contact"), "transport=tls") {
		t.Errorf("Contact: %q", header(ok, "Contact"))
	}
	if c := r.leg(t).Caller(); c.Trunk != "by name" || c.Transport != "tls" || c.Identity != "Carrier.example.org" {
		t.Errorf("caller: %+v", c)
	}
	p.bye()
	if c, err := dial("carrier.example.org", tls.VersionTLS12); err == nil {
		_ = c.Close()
		t.Error("TLS 1.2 was taken, the minimum is 1.3")
	}
}

// TestTLSOtherName: another name, or none, is no trunk, and hears nothing until the connection ends.
func TestTLSOtherName(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	s := start(t, func(context.Context, *Leg) { t.Error("the bridge saw it") }, pki.listenTLS(false))
	for _, name := range []string{"", "other.example.org"} {
		cfg := &tls.Config{RootCAs: pki.pool, ServerName: "gateway.example.org"}
		if name != "" {
			cert, key := pki.issue(name)
			pair, err := tls.LoadX509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Certificates = []tls.Certificate{pair}
		}
		c, err := tls.Dial("tcp", s.Addr("tls").String(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		p := streamPhone(t, "TLS", c, s.Addr("tls"))
		before := dropped(s, "unknown")
		p.invite("")
		p.request("OPTIONS", "", "", "")
		eventually(t, "the drop", func() bool { return dropped(s, "unknown") == before+2 })
		_ = c.Close()
		if m, ok := <-p.in; ok {
			t.Errorf("%q heard:\n%s", name, m)
		}
	}
}

func TestUnknownSourceHearsNothing(t *testing.T) {
	t.Parallel()
	s := start(t, func(context.Context, *Leg) { t.Error("the bridge saw it") }, func(c *configs.SIP, _ *Deps) {
		c.Trunks[0].Addresses = []string{"192.0.2.0/24"}
	})
	p := newPhone(t, s)
	p.invite("")
	for _, m := range []string{"OPTIONS", "REGISTER", "BYE", "BREW", "INFO"} {
		p.request(m, "", "", "")
	}
	p.toTag = "guess"
	p.request("BYE", "", "", "")
	p.write("INVITE sip:x SIP/7.0\r\n" + strings.SplitN(p.build("INVITE", 99, "", "", ""), "\r\n", 2)[1])
	eventually(t, "eight drops", func() bool { return dropped(s, "unknown") == 8 })
	select {
	case m := <-p.in:
		t.Errorf("heard:\n%s", m)
	default: // every message was looked at, and an answer would have been written before the drop was counted
	}
}

func dropped(s *Server, cause string) int {
	return counted(s.metrics.dropped, cause)
}

func TestTrunkOrder(t *testing.T) {
	t.Parallel()
	var r recorder
	s := start(t, r.handle, func(c *configs.SIP, _ *Deps) {
		c.Trunks = []configs.Trunk{
			{Name: "elsewhere", Addresses: []string{"192.0.2.1"}},
			{Name: "with password", Addresses: []string{"127.0.0.1"}, Digest: configs.Digest{User: "u", Password: "p"}},
			{Name: "first", Addresses: []string{"127.0.0.0/8"}, Language: "fr"},
			{Name: "second", Addresses: []string{"127.0.0.0/8"}},
		}
	})
	p := newPhone(t, s)
	p.call("")
	if c := r.leg(t).Caller(); c.Trunk != "first" || c.Language != "fr" {
		t.Errorf("caller: %+v", c)
	}
	p.bye()
}

func TestCallRate(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(c *configs.SIP, _ *Deps) { c.Trunks[0].CallRate = 0.001 })
	p, q := newPhone(t, s), newPhone(t, s)
	p.call("")
	q.invite("")
	q.status(503, "INVITE")
	p.bye()
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]configs.Trunk{
		"matches all":      {Name: "x"},
		"bad address":      {Addresses: []string{"300.1.1.1"}},
		"bad network":      {Addresses: []string{"192.0.2.1"}, MediaNetworks: []string{"x"}},
		"bad codec":        {Addresses: []string{"192.0.2.1"}, Codecs: []string{"mp3"}},
		"bad encryption":   {Addresses: []string{"192.0.2.1"}, Encryption: "maybe"},
		"no password":      {Digest: configs.Digest{User: "u"}},
		"no password file": {Digest: configs.Digest{User: "u", PasswordFile: "/nowhere"}},
	} {
		if _, err := New(configs.SIP{Trunks: []configs.Trunk{c}}, Deps{}); err == nil || !strings.Contains(err.Error(), "sip.trunks[0].") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		trusted bool
		headers string
		from    string
		display string
		number  string
	}{
		{"from", false, "", `"Alice" <sip:+33123456712@x>`, "Alice", "+33123456712"},
		{"asserted, not trusted", false, "P-Asserted-Identity: <sip:+33999@x>\r\n", `<sip:bob@x>`, "", "bob"},
		{"asserted", true, "P-Asserted-Identity: \"Real\" <sip:+33999@x;user=phone>\r\n", `"Fake" <sip:bob@x>`, "Real", "+33999"},
		{"asserted tel", true, "P-Asserted-Identity: \"A, B\" <sip:4712@x>, <tel:+33-1-23.45>\r\n", `<sip:bob@x>`, "A, B", "+3312345"},
		{"trusted, none asserted", true, "", `"Bob" <sip:bob@x>`, "Bob", "bob"},
		{"privacy", true, "P-Asserted-Identity: <sip:+33999@x>\r\nPrivacy: header;id\r\n", `<sip:bob@x>`, "", ""},
		{"privacy none", true, "P-Asserted-Identity: <sip:+33999@x>\r\nPrivacy: none\r\n", `<sip:bob@x>`, "", "+33999"},
		{"anonymous", false, "", `"Anonymous" <sip:anonymous@anonymous.invalid>`, "", ""},
		{"no user", false, "", `<sip:pbx.example.org>`, "", ""},
		{"control characters", false, "", "\"E\x01\x1b[31mvil\" <sip:+33%0A1@x>", "E[31mvil", "+33%0A1"},
		{"long", false, "", `"` + strings.Repeat("é", 200) + `" <sip:` + strings.Repeat("9", 200) + `@x>`, strings.Repeat("é", 64), strings.Repeat("9", 32)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := "INVITE sip:1@x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nFrom: " + c.from + ";tag=1\r\nTo: <sip:1@x>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n" + c.headers + "\r\n"
			name, number, proven := identity(parse(t, m).(*sipgo.Request), c.trusted)
			if want := c.trusted && number != "" && strings.Contains(c.headers, "Asserted"); proven != want {
				t.Errorf("proven %v, want %v", proven, want)
			}
			if name != c.display || number != c.number {
				t.Errorf("%q %q, want %q %q", name, number, c.display, c.number)
			}
		})
	}
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})
		count := func(a string, n int) (passed int) {
			for range n {
				if g.admit(netip.MustParseAddr(a)) {
					passed++
				}
			}
			return passed
		}
		if n := count("192.0.2.7", 1000); n != 1000 {
			t.Errorf("a trunk's address: %d of 1000", n)
		}
		if n := count("198.51.100.1", 1000); n != 4 {
			t.Errorf("an unknown one: %d at once, want the burst of 4", n)
		}
		time.Sleep(time.Second)
		if n := count("198.51.100.1", 1000); n != 2 {
			t.Errorf("a second later: %d, want 2", n)
		}
		if n := count("2001:db8::1", 4) + count("2001:db8::2", 4); n != 4 {
			t.Errorf("two addresses of one /64: %d, want 4 together", n)
		}
		g.prove(netip.MustParseAddr("198.51.100.1"))
		if n := count("198.51.100.1", 100); n != 100 {
			t.Errorf("a proven one: %d of 100", n)
		}
		time.Sleep(knownFor + time.Second)
		if n := count("198.51.100.1", 100); n != 4 {
			t.Errorf("when the proof is old: %d of 100", n)
		}
		passed := 0
		for i := range 20000 { // a flood from everywhere
			a := netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)})
			if g.admit(a) {
				passed++
			}
			g.prove(a)
		}
		if passed > 200 || len(g.sources) > maxSources || len(g.proven) > maxSources {
			t.Errorf("flood: %d passed, %d sources, %d proven are remembered", passed, len(g.sources), len(g.proven))
		}
	})
}
