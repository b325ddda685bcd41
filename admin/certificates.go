package admin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"passerelle/configs"
	"passerelle/internal/stamp"
	"passerelle/internal/yamldoc"
)

// maxPEM is the most bytes that a file of certificates may have.
const maxPEM = 1 << 20

// certificates has TLS use the files of http.cert_file, key_file and client_ca as they are now. Its methods may be called from any goroutine.
type certificates struct {
	cfg configs.HTTP
	log *slog.Logger

	mu      sync.Mutex
	seen    [3]stamp.Stamp
	current *tls.Config
}

// newCertificates reads the files for the first time and refuses those that cannot be used.
func newCertificates(cfg configs.HTTP, log *slog.Logger) (*certificates, error) {
	c := &certificates{cfg: cfg, log: log}
	c.seen, _ = c.look() // what cannot be looked at cannot be read, either
	var err error
	c.current, err = c.read()
	return c, err
}

// config is what a new connection uses. Files that cannot be used, perhaps because only one of two was written yet, are told to the log, and
// those of before stay. It is tls.Config.GetConfigForClient.
func (c *certificates) config(*tls.ClientHelloInfo) (*tls.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, changed := c.look()
	if !changed {
		return c.current, nil
	}
	c.seen = now
	if read, err := c.read(); err != nil {
		c.log.Error("the HTTP certificate was not taken; the one of before stays", "error", err)
	} else {
		c.current = read
		c.log.Info("the HTTP certificate was read again")
	}
	return c.current, nil
}

// look tells whether one of the files is another than when it was seen last.
func (c *certificates) look() (now [3]stamp.Stamp, changed bool) {
	for i, path := range [3]string{c.cfg.CertFile, c.cfg.KeyFile, c.cfg.ClientCA} {
		if path == "" {
			continue
		}
		now[i], _ = stamp.Of(path) // one that is gone is like none: it is told when it is read
		changed = changed || now[i] != c.seen[i] && !now[i].Same(c.seen[i])
	}
	return now, changed
}

func (c *certificates) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.cfg.CertFile, c.cfg.KeyFile)
	if err != nil { // its own words could hold the key
		return nil, errors.New("http.cert_file, http.key_file: expected a PEM certificate and the key that belongs to it, both readable")
	}
	config := &tls.Config{
		MinVersion:             tls.VersionTLS12,
		Certificates:           []tls.Certificate{pair},
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true, // a session that is resumed would outlive the authorities that its certificate was checked against
	}
	if c.cfg.ClientCA == "" {
		return config, nil
	}
	pem, err := yamldoc.ReadFile(c.cfg.ClientCA, maxPEM)
	if err != nil {
		return nil, fmt.Errorf("http.client_ca: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("http.client_ca: %s: expected certificates in PEM form", c.cfg.ClientCA)
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven // health and metrics are for everybody
	return config, nil
}
