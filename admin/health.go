package admin

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const index = `Passerelle

/healthz              200 while the process is alive
/readyz               200 when a call can be taken, else 503 with the reasons
/metrics              counters for Prometheus
/api/v1/openapi.yaml  the admin API, where http.tokens_file is set
`

// healthRoutes are those that ask for nobody's name.
func (a *api) healthRoutes() []route {
	metrics := promhttp.HandlerFor(a.Registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(a.log.Handler(), slog.LevelError),
		MaxRequestsInFlight: 4,
		Timeout:             20 * time.Second,
	})
	ready := probe{ask: a.Ready}
	return []route{
		{path: "/{$}", open: text(index)},
		{path: "/healthz", open: text("ok\n")},
		{path: "/readyz", open: ready.serve},
		{path: "/metrics", open: metrics.ServeHTTP},
	}
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, body) // the client is gone if it fails
	}
}

// probeTime is how long an answer to whether a call can be taken holds: asking costs the SFU a request.
const probeTime = time.Second

// probe asks whether a call can be taken: once in probeTime, however many want to know.
type probe struct {
	ask func() error

	mu  sync.Mutex // held while asking: the others wait for the answer
	at  time.Time
	err error
}

func (p *probe) now() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at.IsZero() || time.Since(p.at) >= probeTime {
		p.err = p.ask()
		p.at = time.Now()
	}
	return p.err
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"` // why not
}

func (p *probe) serve(w http.ResponseWriter, _ *http.Request) {
	err := p.now()
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(readiness{err == nil, reasons(err)}) // the client is gone if it fails
}

// reasons takes joined errors apart, which stand on a line each.
func reasons(err error) []string {
	if err == nil {
		return []string{}
	}
	return strings.Split(err.Error(), "\n")
}
