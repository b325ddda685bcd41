package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"passerelle/configs"
	"passerelle/internal/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a server without an admin API on a free port until the test ends, and returns its address.
func start(t *testing.T, reg *prometheus.Registry, ready func() error) string {
	t.Helper()
	s, err := New(configs.HTTP{Listen: "127.0.0.1:0"}, egress.New(), Deps{Registry: reg, Ready: ready}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	return s.Addr()
}

// run runs a server until the test ends, or stop is called, and returns when it listens.
func run(t *testing.T, s *Server) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	t.Cleanup(stop)
	until(t, "the server listens", func() bool { return s.Addr() != "" })
	return stop
}

// until waits for something to become true.
func until(t *testing.T, what string, true func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !true(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come true that " + what)
		}
	}
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestEndpoints(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "passerelle_test_total", Help: "Of this test."})
	reg.MustRegister(c)
	c.Inc()
	base := "http://" + start(t, reg, func() error { return nil })
	for path, want := range map[string]struct {
		status int
		kind   string
		body   string
	}{
		"/":             {200, "text/plain; charset=utf-8", "/metrics"},
		"/healthz":      {200, "text/plain; charset=utf-8", "ok"},
		"/readyz":       {200, "application/json", `{"ready":true,"reasons":[]}`},
		"/metrics":      {200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", "passerelle_test_total 1"},
		"/debug/pprof":  {404, "text/plain; charset=utf-8", ""},
		"/healthz/x":    {404, "text/plain; charset=utf-8", ""},
		"/api/v1/calls": {404, "application/problem+json", "http.tokens_file"},
	} {
		resp, body := get(t, base+path)
		if resp.StatusCode != want.status || !strings.HasPrefix(resp.Header.Get("Content-Type"), strings.Split(want.kind, ";")[0]) || !strings.Contains(body, want.body) {
			t.Errorf("%s: %d %s %q", path, resp.StatusCode, resp.Header.Get("Content-Type"), body)
		}
		for _, h := range []string{"X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy", "Cache-Control"} {
			if resp.Header.Get(h) == "" {
				t.Errorf("%s: no %s", path, h)
			}
		}
	}
	resp, err := http.Post(base+"/healthz", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", resp.StatusCode)
	}
}

func TestReadyFollowsTheNode(t *testing.T) {
	var trouble atomic.Value
	base := "http://" + start(t, prometheus.NewRegistry(), func() error {
		err, _ := trouble.Load().(error)
		return err
	})
	if resp, _ := get(t, base+"/readyz"); resp.StatusCode != 200 {
		t.Fatal(resp.StatusCode)
	}
	trouble.Store(errors.Join(errors.New("a"), errors.Join(fmt.Errorf("%w: %w", errors.New("b"), io.EOF), errors.New("c"))))
	var resp *http.Response
	var body string
	until(t, "the answer is another", func() bool { // when it is more than probeTime old
		resp, body = get(t, base+"/readyz")
		return resp.StatusCode != 200
	})
	var r readiness
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 503 || r.Ready || !slices.Equal(r.Reasons, []string{"a", "b: EOF", "c"}) {
		t.Fatalf("%d %+v", resp.StatusCode, r)
	}
	if resp, _ := get(t, base+"/healthz"); resp.StatusCode != 200 {
		t.Errorf("a node that is not ready is alive all the same: %d", resp.StatusCode)
	}
}

func TestHugeHeaderIsRefused(t *testing.T) {
	addr := start(t, prometheus.NewRegistry(), func() error { return nil })
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d", resp.StatusCode)
	}
}

// Connections that say nothing must neither keep a node from ending nor stay behind.
func TestEndsWithIdleConnections(t *testing.T) {
	addr := start(t, prometheus.NewRegistry(), func() error { return nil })
	for range maxConnections + 5 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
}

func TestPortInUse(t *testing.T) {
	addr := start(t, prometheus.NewRegistry(), func() error { return nil })
	s, err := New(configs.HTTP{Listen: addr}, egress.New(), Deps{Registry: prometheus.NewRegistry()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "http.listen") || s.Addr() != "" {
		t.Fatalf("got %v", err)
	}
}

func TestOff(t *testing.T) {
	s, err := New(configs.HTTP{}, egress.New(), Deps{Registry: prometheus.NewRegistry()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Run(ctx); err != nil || s.Addr() != "" {
		t.Fatalf("%v, %s", err, s.Addr())
	}
}
