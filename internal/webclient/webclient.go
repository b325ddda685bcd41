// Package webclient makes HTTP clients for the services that a node asks: through the egress guard, over TLS that is checked, following nothing.
package webclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"passerelle/internal/yamldoc"
)

// Bounds of what is read before a body.
const (
	maxAuthorities = 1 << 20  // bytes of a PEM file
	maxHeader      = 16 << 10 // bytes of an answer's header
)

// Dial opens a connection. Implemented by egress.Guard.DialContext.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Options say how a client connects.
type Options struct {
	Dial   Dial
	CAFile string // PEM of the authorities that may sign the server's certificate; empty: the system's
	// Handshake bounds that of TLS. The request's context bounds everything.
	Handshake time.Duration
	// Connections that may be open, and wait for the next request for half a minute. 0: each request has one of its own, and nothing stays behind.
	Connections int
}

// New makes a client. It asks no proxy, whatever the environment says, because that would lead around the guard, and hands a redirect out as the
// answer: what a request carries is for one server only.
func New(o Options) (*http.Client, error) {
	security := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := yamldoc.ReadFile(o.CAFile, maxAuthorities)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		security.RootCAs = x509.NewCertPool()
		if !security.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("ca_file: no certificate in it")
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            o.Dial,
			TLSClientConfig:        security,
			TLSHandshakeTimeout:    o.Handshake,
			DisableKeepAlives:      o.Connections == 0,
			MaxConnsPerHost:        o.Connections,
			MaxIdleConnsPerHost:    o.Connections,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true, // a small answer that grows is not one that we want
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
