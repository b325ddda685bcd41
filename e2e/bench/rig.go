package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"passerelle/internal/sfuproc"
)

// The key of the benchmark's own SFU, which only this machine can reach.
const (
	sfuKey    = "devkey"
	sfuSecret = "secret-secret-secret-secret-secret"
)

// RTP ports of the gateway: far from those that the system gives to others.
const portMin, portMax = 10000, 31999

// rig is a gateway with its SFU, on loopback, as users run them.
type rig struct {
	dir     string
	sfu     *sfuproc.Process
	gateway *child
	sip     string
	page    string // of guests
	http    string
	log     *os.File
	profile string // file of CPU profiles; empty: none
}

// pin is that of a room.
func pin(room int) string { return fmt.Sprintf("12345%05d", room) }

func roomName(room int) string { return fmt.Sprintf("bench-%d", room) }

// rooms is how many rooms the gateway knows.
const rooms = 5000

// startRig starts both. program is the gateway's; profile is where it writes CPU profiles to, or nothing.
func startRig(ctx context.Context, program, profile string) (r *rig, err error) {
	r = &rig{profile: profile}
	defer func() {
		if err != nil {
			r.stop()
		}
	}()
	if r.dir, err = os.MkdirTemp("", "passerelle-bench-"); err != nil {
		return r, err
	}
	starting, done := context.WithTimeout(ctx, 30*time.Second)
	defer done()
	if r.sfu, err = sfuproc.Start(starting, sfuproc.Options{Key: sfuKey, Secret: sfuSecret}); err != nil {
		return r, err
	}
	if r.sip, err = freePort(); err != nil {
		return r, err
	}
	if r.http, err = freePort(); err != nil {
		return r, err
	}
	if r.page, err = freePort(); err != nil {
		return r, err
	}
	config, err := r.configure()
	if err != nil {
		return r, err
	}
	if r.log, err = os.Create(filepath.Join(r.dir, "gateway.log")); err != nil {
		return r, err
	}
	args := []string{"serve", "--config", config}
	if profile != "" {
		args = append(args, "--cpu-profile", profile)
	}
	cmd := measured(program, args...)
	cmd.Env = append(os.Environ(), "PASSERELLE_LIVEKIT_API_SECRET="+sfuSecret)
	cmd.Stdout, cmd.Stderr = r.log, r.log
	if r.gateway, err = begin(cmd); err != nil {
		return r, err
	}
	for {
		if answer, err := http.Get("http://" + r.http + "/readyz"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return r, nil
			}
		}
		select {
		case <-r.gateway.gone:
			return r, fmt.Errorf("the gateway ended: %s", r.lastLog())
		case <-starting.Done():
			return r, fmt.Errorf("the gateway is not ready: %s", r.lastLog())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// configure writes a configuration without any limit that could be met.
func (r *rig) configure() (string, error) {
	var list strings.Builder
	for n := range rooms {
		fmt.Fprintf(&list, "- {pin: %q, room: %s}\n", pin(n), roomName(n))
	}
	roomFile, config := filepath.Join(r.dir, "rooms.yaml"), filepath.Join(r.dir, "passerelle.yaml")
	return config, errors.Join(
		os.WriteFile(roomFile, []byte(list.String()), 0o600),
		os.WriteFile(config, fmt.Appendf(nil, `
log: {level: warn}
http: {listen: %q}
livekit: {url: %q, api_key: %s, join_timeout: 30s}
directory: {livekit: false, file: %s}
journal: {dir: %s}
ivr: {guess: {per_source: 0, overall: 1000000}}
calls: {max: 10000, max_load: 0, drain_timeout: 1s, media_timeout: 1m}
media: {port_min: %d, port_max: %d}
guests: {listen: %q, max: 10000, max_per_address: 0, rate: 10000}
sip:
  udp: [%q]
  tcp: []
  trunks: [{name: bench, addresses: [127.0.0.0/8], language: en}]
`, r.http, r.sfu.URL(), sfuKey, roomFile, filepath.Join(r.dir, "state"), portMin, portMax, r.page, r.sip), 0o600))
}

// stop ends both, and removes what they left.
func (r *rig) stop() {
	if r.gateway != nil {
		r.gateway.end()
	}
	if r.sfu != nil {
		r.sfu.Stop()
	}
	if r.log != nil {
		r.log.Close()
	}
	if r.dir != "" {
		_ = os.RemoveAll(r.dir)
	}
}

// lastLog is the end of what the gateway has said.
func (r *rig) lastLog() string {
	if r.log == nil {
		return ""
	}
	b, _ := os.ReadFile(r.log.Name())
	return string(b[max(0, len(b)-2000):])
}

// metrics reads /metrics: values by name and labels, as they are written there.
func (r *rig) metrics() (map[string]float64, error) {
	answer, err := http.Get("http://" + r.http + "/metrics")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			if v, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64); err == nil {
				values[line[:i]] = v
			}
		}
	}
	return values, nil
}

// quantile is an upper bound for the q-quantile of a histogram's observations between two readings, by its buckets; 0: there were none.
func quantile(before, after map[string]float64, name string, q float64) float64 {
	total := after[name+"_count"] - before[name+"_count"]
	best := math.Inf(1)
	for k := range after {
		if bound, ok := strings.CutPrefix(k, name+`_bucket{le="`); ok {
			b, err := strconv.ParseFloat(strings.TrimSuffix(bound, `"}`), 64)
			if err == nil && b < best && after[k]-before[k] >= q*total {
				best = b
			}
		}
	}
	if total == 0 {
		return 0
	}
	return best
}

// freePort is a loopback host:port on which, a moment ago, neither TCP nor UDP was in use.
func freePort() (string, error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		address := l.Addr().String()
		l.Close()
		if u, err := net.ListenPacket("udp", address); err == nil {
			u.Close()
			return address, nil
		}
	}
	return "", errors.New("no port is free")
}
