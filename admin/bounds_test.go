package admin

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"passerelle/admin/tokens"
)

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// A thousand connections that say nothing, or half a request, keep nobody out, and do not stay.
func TestAThousandConnections(t *testing.T) {
	r := newRig(t, nil)
	f := r.open("", tokens.Viewer)
	f.expect("open", "")
	var dropped atomic.Int64
	var readers sync.WaitGroup
	for i := range 1000 {
		c, err := net.Dial("tcp", r.server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if i%2 == 0 {
			if _, err := io.WriteString(c, "GET /api/v1/calls HTTP/1.1\r\nHos"); err != nil {
				continue // it has been dropped already
			}
		}
		readers.Go(func() {
			if _, err := c.Read(make([]byte, 1)); err != nil {
				dropped.Add(1)
			}
		})
	}
	for range 20 {
		fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := fresh.Get(r.base + "/healthz")
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("who asks after the health is kept out: %v", err)
		}
		resp.Body.Close()
	}
	r.want(200, "", "GET", "/api/v1/calls", tokens.Viewer, "")
	until(t, "some make room", func() bool { return dropped.Load() >= 1000-maxConnections })
	r.change("began", "a", "")
	f.expect("call.began", "a") // a stream is in use, and stays
}

// However many ask at once, the SFU is asked once.
func TestReadyIsAskedOnce(t *testing.T) {
	var asked atomic.Int64
	base := "http://" + start(t, prometheus.NewRegistry(), func() error {
		asked.Add(1)
		return nil
	})
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			resp, err := once.Get(base + "/readyz")
			if err != nil {
				t.Error(err)
				return
			}
			if resp.Body.Close(); resp.StatusCode != 200 {
				t.Error(resp.StatusCode)
			}
		})
	}
	all.Wait()
	if n := asked.Load(); n < 1 || n > 10 { // one, and one more for each second that a slow machine took
		t.Errorf("asked %d times", n)
	}
}
