package admin

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"passerelle/admin/tokens"
)

// authority signs certificates of tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{t: t}
	a.key = a.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = a.sign(template, template, &a.key.PublicKey, a.key)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *authority) sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

// issue makes a certificate for 127.0.0.1 and for clients, good from now for so long, and its key, both in PEM form.
func (a *authority) issue(name string, serial int64, good time.Duration) (cert, key []byte) {
	a.t.Helper()
	private := a.newKey()
	c := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(good),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &private.PublicKey, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// write puts files in the place of others, each whole.
func write(t *testing.T, files map[string][]byte) {
	t.Helper()
	for path, b := range files {
		if err := os.WriteFile(path+".new", b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
}

// secured makes a rig with TLS and, where there is an authority for clients, client certificates.
func secured(t *testing.T, server, clients *authority) *rig {
	return newRig(t, func(r *rig) {
		dir := filepath.Dir(r.cfg.Tokens)
		r.cfg.CertFile, r.cfg.KeyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		cert, key := server.issue("gw1", 100, time.Hour)
		write(t, map[string][]byte{r.cfg.CertFile: cert, r.cfg.KeyFile: key})
		if clients != nil {
			r.cfg.ClientCA = filepath.Join(dir, "ca.pem")
			write(t, map[string][]byte{r.cfg.ClientCA: clients.pem()})
		}
		r.base = "https://"
		r.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: server.pool()}, DisableKeepAlives: true}
	})
}

// with shows a certificate from now on, whatever the server says it wants.
func (r *rig) with(cert, key []byte) {
	r.t.Helper()
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		r.t.Fatal(err)
	}
	old := r.client.Transport.(*http.Transport).TLSClientConfig
	r.client.Transport = &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs:              old.RootCAs,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
	}}
}

func TestTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	r := secured(t, ca, nil)
	r.want(200, "", "GET", "/api/v1/calls", tokens.Viewer, "")
	r.want(200, "", "GET", "/healthz", "", "")
	for _, c := range []struct {
		low, high uint16
		want      bool
	}{{tls.VersionTLS10, tls.VersionTLS11, false}, {tls.VersionTLS12, tls.VersionTLS12, true}, {tls.VersionTLS13, tls.VersionTLS13, true}} {
		conn, err := tls.Dial("tcp", r.server.Addr(), &tls.Config{RootCAs: ca.pool(), MinVersion: c.low, MaxVersion: c.high, NextProtos: []string{"h2", "http/1.1"}})
		if (err == nil) != c.want {
			t.Errorf("TLS %x: %v", c.high, err)
		}
		if err == nil {
			if p := conn.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
				t.Errorf("negotiated %q", p)
			}
			conn.Close()
		}
	}
	plain, err := net.Dial("tcp", r.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	fmt.Fprintf(plain, "GET /api/v1/calls HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", r.secrets[tokens.Admin])
	resp, err := http.ReadResponse(bufio.NewReader(plain), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != 400 {
		t.Errorf("without TLS: %d", resp.StatusCode)
	}
	f := r.open("", tokens.Viewer)
	f.expect("open", "")
	r.change("began", "x", "")
	f.expect("call.began", "x")
}

func TestClientCertificates(t *testing.T) {
	ca, clients, others := newAuthority(t, "ca"), newAuthority(t, "clients"), newAuthority(t, "others")
	r := secured(t, ca, clients)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/"} {
		r.want(200, "", "GET", path, "", "")
	}
	for _, path := range []string{"/api/v1/calls", "/api/v1/openapi.yaml", "/api/v1/nonsense"} {
		a := r.ask("GET", path, tokens.Admin, "")
		r.expect(a, 403, "client-certificate", "without a certificate: "+path)
	}
	if e := r.journal.last(); e.Actor != nobody || e.Fields["problem"] != "client-certificate" {
		t.Errorf("the record is %+v", e)
	}

	r.with(clients.issue("console", 7, time.Hour))
	r.want(204, "", "POST", "/api/v1/calls/c1/mute", tokens.Operator, "")
	if e := r.journal.last(); e.Actor != "operator" || e.Fields["certificate"] != "CN=console" {
		t.Errorf("the record is %+v", e)
	}
	r.want(401, "no-token", "GET", "/api/v1/calls", "", "") // a certificate alone is not enough
	r.want(200, "", "GET", "/api/v1/openapi.yaml", "", "")

	for name, issue := range map[string]func() ([]byte, []byte){
		"another authority": func() ([]byte, []byte) { return others.issue("console", 7, time.Hour) },
		"over":              func() ([]byte, []byte) { return clients.issue("console", 7, -time.Hour) },
	} {
		r.with(issue())
		resp, err := r.client.Do(r.request("GET", "/api/v1/calls", r.secrets[tokens.Admin], ""))
		if err == nil {
			resp.Body.Close()
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}

	// Another authority from now on.
	write(t, map[string][]byte{r.cfg.ClientCA: others.pem()})
	r.with(others.issue("new console", 8, time.Hour))
	r.want(200, "", "GET", "/api/v1/calls", tokens.Viewer, "")
	r.with(clients.issue("console", 7, time.Hour))
	if resp, err := r.client.Do(r.request("GET", "/api/v1/calls", r.secrets[tokens.Admin], "")); err == nil {
		resp.Body.Close()
		t.Errorf("a certificate of the authority of before: %d", resp.StatusCode)
	}
}

// Certificates are renewed without a restart, and a renewal that is half done or broken harms nobody.
func TestCertificatesChange(t *testing.T) {
	ca := newAuthority(t, "ca")
	r := secured(t, ca, nil)
	serial := func() int64 {
		t.Helper()
		c, err := tls.Dial("tcp", r.server.Addr(), &tls.Config{RootCAs: ca.pool()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	old, oldKey := ca.issue("gw1", 101, time.Hour)
	write(t, map[string][]byte{r.cfg.CertFile: old, r.cfg.KeyFile: oldKey})
	if n := serial(); n != 101 {
		t.Fatalf("the certificate is number %d", n)
	}
	cert, key := ca.issue("gw1", 102, time.Hour)
	write(t, map[string][]byte{r.cfg.CertFile: cert})
	if n := serial(); n != 101 {
		t.Errorf("a new certificate with the old key: %d", n)
	}
	if !strings.Contains(r.log.String(), "the one of before stays") {
		t.Error("the log does not tell")
	}
	write(t, map[string][]byte{r.cfg.KeyFile: key})
	if n := serial(); n != 102 {
		t.Errorf("the renewal is complete: %d", n)
	}
	if err := os.Remove(r.cfg.KeyFile); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != 102 {
		t.Errorf("the key is gone: %d", n)
	}
	write(t, map[string][]byte{r.cfg.CertFile: old, r.cfg.KeyFile: oldKey})
	if n := serial(); n != 101 {
		t.Errorf("and back: %d", n)
	}
	if strings.Contains(r.log.String(), "PRIVATE") {
		t.Error("a key is in the log")
	}
}
