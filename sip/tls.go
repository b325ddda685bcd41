package sip

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"passerelle/configs"
)

// serverTLS makes the listener's configuration. Client certificates are verified when they are given, and always asked for: a trunk may be
// known by its name.
func serverTLS(cfg configs.TLS) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("sip.tls: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	switch cfg.MinVersion {
	case "", "1.2":
	case "1.3":
		c.MinVersion = tls.VersionTLS13
	default:
		return nil, fmt.Errorf("sip.tls.min_version is %q, expected 1.2 or 1.3", cfg.MinVersion)
	}
	if cfg.ClientCA != "" {
		pem, err := os.ReadFile(cfg.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("sip.tls.client_ca: %w", err)
		}
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("sip.tls.client_ca: %s holds no certificate", cfg.ClientCA)
		}
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	if cfg.RequireClientCert {
		if c.ClientCAs == nil {
			return nil, fmt.Errorf("sip.tls.require_client_cert needs sip.tls.client_ca")
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c, nil
}

// certificateNames are the DNS names, or the CN where there is none, of the verified certificate of the far end.
func certificateNames(s tls.ConnectionState) []string {
	if len(s.VerifiedChains) == 0 || len(s.PeerCertificates) == 0 {
		return nil
	}
	leaf := s.PeerCertificates[0]
	if len(leaf.DNSNames) > 0 {
		return leaf.DNSNames
	}
	if leaf.Subject.CommonName != "" {
		return []string{leaf.Subject.CommonName}
	}
	return nil
}
