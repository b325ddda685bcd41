// Package tlsfiles has a TLS listener use the certificate, key and client authorities of its files as they are now: who renews them restarts nothing.
package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"passerelle/internal/stamp"
	"passerelle/internal/yamldoc"
)

// maxPEM is the most bytes that a file of certificates may have.
const maxPEM = 1 << 20

// Options say where the files are. Section is that of the configuration ("http"), for errors.
type Options struct {
	Section  string
	CertFile string // PEM, with its chain
	KeyFile  string // PEM
	ClientCA string // PEM; certificates of clients are verified against it when they show one; empty: none is asked for
}

// Files are those of one listener. Its methods may be called from any goroutine.
type Files struct {
	o   Options
	log *slog.Logger

	mu      sync.Mutex
	seen    [3]stamp.Stamp
	current *tls.Config
}

// New reads the files for the first time and refuses those that cannot be used.
func New(o Options, log *slog.Logger) (*Files, error) {
	f := &Files{o: o, log: log}
	f.seen, _ = f.look()
	var err error
	f.current, err = f.read()
	return f, err
}

// Config is that of a listener: TLS 1.2 at least, HTTP/1.1. Each new connection looks whether the files changed.
func (f *Files) Config() *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.current.Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.now(), nil }
	return c
}

// now is what a new connection uses. Files that cannot be used, perhaps because only one of two was written yet, are told to the log, and those of
// before stay.
func (f *Files) now() *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen, changed := f.look()
	if !changed {
		return f.current
	}
	f.seen = seen
	if read, err := f.read(); err != nil {
		f.log.Error("the certificate was not taken; the one of before stays", "error", err)
	} else {
		f.current = read
		f.log.Info("the certificate was read again", "section", f.o.Section)
	}
	return f.current
}

// look tells whether one of the files is another than when it was seen last. One that is gone changed when it went.
func (f *Files) look() (now [3]stamp.Stamp, changed bool) {
	for i, path := range [3]string{f.o.CertFile, f.o.KeyFile, f.o.ClientCA} {
		if path == "" {
			continue
		}
		now[i], _ = stamp.Of(path) // why it is gone is told when it is read
		changed = changed || !now[i].Same(f.seen[i]) && now[i] != f.seen[i]
	}
	return now, changed
}

func (f *Files) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.o.CertFile, f.o.KeyFile)
	if err != nil { // its own words could hold the key
		return nil, errors.New(f.o.Section + ".cert_file, key_file: expected a PEM certificate and the key that belongs to it, both readable")
	}
	config := &tls.Config{
		MinVersion:             tls.VersionTLS12,
		Certificates:           []tls.Certificate{pair},
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true, // a session that is resumed would outlive the authorities that its certificate was checked against
	}
	if f.o.ClientCA == "" {
		return config, nil
	}
	pem, err := yamldoc.ReadFile(f.o.ClientCA, maxPEM)
	if err != nil {
		return nil, fmt.Errorf("%s.client_ca: %w", f.o.Section, err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s.client_ca: %s: expected certificates in PEM form", f.o.Section, f.o.ClientCA)
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven
	return config, nil
}
