package webclient

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dialer counts connections.
func dialer(n *atomic.Int32) Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		n.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	return resp, err
}

// TestTLS: a server is believed whose certificate the given authority signed, and no other.
func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that does not believe it is no error here
	s.StartTLS()
	defer s.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	var n atomic.Int32
	for _, connections := range []int{0, 2} {
		c, err := New(Options{Dial: dialer(&n), CAFile: file, Handshake: 5 * time.Second, Connections: connections})
		if err != nil {
			t.Fatal(err)
		}
		before := n.Load()
		for range 3 {
			if _, err := get(t, c, s.URL); err != nil {
				t.Fatal(err)
			}
		}
		want := int32(3)
		if connections > 0 {
			want = 1
		}
		if got := n.Load() - before; got != want {
			t.Errorf("%d connections for three requests, want %d", got, want)
		}
		c.CloseIdleConnections()
	}
	c, err := New(Options{Dial: dialer(&n), Handshake: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	var unknown *tls.CertificateVerificationError
	if _, err := get(t, c, s.URL); !errors.As(err, &unknown) {
		t.Errorf("a certificate of nobody's: %v", err)
	}
}

// TestGoesNowhereElse: neither to a proxy nor where a server points.
func TestGoesNowhereElse(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			t.Error("the redirect was followed")
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	c, err := New(Options{Handshake: time.Second, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != "visio.example.org:80" {
			t.Errorf("connected to %s", address)
		}
		return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
	}})
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := get(t, c, "http://visio.example.org/"); err != nil || resp.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("got %v, %v", resp, err)
	}
}

func TestHugeHeader(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }))
	defer s.Close()
	var n atomic.Int32
	c, err := New(Options{Dial: dialer(&n), Handshake: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, c, s.URL); err == nil {
		t.Error("a megabyte of header was read")
	}
}

func TestAuthorities(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, file + ".none"} {
		if _, err := New(Options{CAFile: path}); err == nil || !strings.Contains(err.Error(), "ca_file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
