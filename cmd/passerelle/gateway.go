package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"passerelle/admin"
	"passerelle/bridge"
	"passerelle/bridge/directory"
	"passerelle/bridge/ivr"
	"passerelle/bridge/journal"
	"passerelle/bridge/policy"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/media"
	"passerelle/sip"
	"passerelle/transcode/mix"
	"passerelle/webrtc/livekit"
)

// gateway is a node, put together from its configuration.
type gateway struct {
	cfg   configs.Config
	log   *slog.Logger
	sfu   *livekit.Client
	clock *mix.Clock
	node  *bridge.Node
	sip   *sip.Server
	admin *admin.Server

	calls    context.Context // of every call
	endCalls context.CancelCauseFunc
}

// newGateway makes a gateway. Nothing is listened to before run, but the media port towards the SFU is open: close it with run.
func newGateway(cfg configs.Config, log *slog.Logger) (*gateway, error) {
	g := &gateway{cfg: cfg, log: log, clock: mix.NewClock(runtime.GOMAXPROCS(0))}
	g.calls, g.endCalls = context.WithCancelCause(context.Background())
	guard, err := newGuard(cfg)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	prompts, err := ivr.Load(cfg.IVR.PromptsDir, languages(cfg.IVR))
	if err != nil {
		return nil, err
	}
	ports, err := media.NewPorts(guard, cfg.Media.PortMin, cfg.Media.PortMax)
	if err != nil {
		return nil, err
	}
	if g.sfu, err = livekit.New(cfg.LiveKit, guard, log); err != nil {
		return nil, err
	}
	rooms, err := directory.New(cfg.Directory, rules{g.sfu}, guard.DialContext, log)
	if err != nil {
		return nil, errors.Join(err, g.sfu.Close())
	}
	g.node = bridge.NewNode(bridge.Options{
		Limits: cfg.Calls, IVR: cfg.IVR, Rules: cfg.Rules, Lobby: cfg.Lobby, Policy: interim{}, Journal: interim{}, SFU: g.sfu, Directory: rooms, Prompts: prompts, Clock: g.clock, Log: log, Registry: registry,
	})
	g.sip, err = sip.New(cfg.SIP, sip.Deps{
		Guard: guard, Ports: ports, Log: log, Metrics: registry, Calls: cfg.Calls, Media: cfg.Media,
		Handler: func(_ context.Context, leg *sip.Leg) { g.node.Take(g.calls, leg) },
	})
	if err != nil {
		return nil, errors.Join(err, g.sfu.Close())
	}
	observe(registry, guard, ports, g.clock)
	if g.admin, err = admin.New(cfg.HTTP, guard, admin.Deps{Registry: registry, Ready: g.ready}, log); err != nil {
		return nil, errors.Join(err, g.sfu.Close())
	}
	return g, nil
}

// languages lists those of the prompts, the default one first.
func languages(cfg configs.IVR) []string { return append([]string{cfg.Language}, cfg.Languages...) }

// newGuard permits the networks of egress.networks besides the machine's own. Those of a trunk are for its calls only: sip sees to that.
func newGuard(cfg configs.Config) (*egress.Guard, error) {
	networks, err := egress.ParseNetworks(cfg.Egress.Networks)
	if err != nil {
		return nil, err
	}
	return egress.New(networks...), nil
}

// observe adds the counters of packages that know nothing of Prometheus.
func observe(r prometheus.Registerer, guard *egress.Guard, ports *media.Ports, clock *mix.Clock) {
	late := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "passerelle_clock_lateness_seconds", Help: "How late the ticks of the mixers' clock began.",
		Buckets: []float64{.0002, .0005, .001, .002, .003, .005, .007, .01, .02, .05, .1},
	})
	clock.Observe(func(d time.Duration) { late.Observe(max(0, d.Seconds())) })
	for _, u := range egress.Uses() {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "passerelle_egress_denied_total", Help: "Destinations that were refused because nothing permits them, by what they were wanted for.",
			ConstLabels: prometheus.Labels{"use": u.String()},
		}, func() float64 { return float64(guard.DeniedFor(u)) }))
	}
	r.MustRegister(
		late,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "passerelle_rtp_ports", Help: "Pairs of RTP ports in use.",
		}, func() float64 { return float64(ports.InUse()) }),
	)
}

// ready says why no call can be taken now.
func (g *gateway) ready() error {
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Second)
	defer stop()
	var listening error
	select {
	case <-g.sip.Ready():
	default:
		listening = errors.New("SIP does not listen yet")
	}
	return errors.Join(g.node.Ready(), listening, g.sfu.Ready(ctx))
}

// run takes calls until drain ends. Then it takes no more, and running calls may go on for calls.drain_timeout, or until stop ends. It returns
// when nothing is left of the gateway, with the first error that ended it early.
func (g *gateway) run(drain, stop context.Context) error {
	parts, endParts := context.WithCancel(context.Background())
	defer endParts()
	group, parts := errgroup.WithContext(parts)
	group.Go(func() error { _ = g.clock.Run(parts); return nil }) // it ends with its context, and only then
	group.Go(func() error { return g.sip.Run(parts) })
	group.Go(func() error { return g.admin.Run(parts) })

	select {
	case <-drain.Done():
		g.drain(stop)
	case <-parts.Done(): // one of them failed
		g.endCalls(bridge.ErrStopped)
	}
	endParts()
	err := group.Wait()
	g.node.Close()
	return errors.Join(err, g.sfu.Close())
}

// drain lets the running calls end: by themselves, at the end of their time with a good-bye, or at once when stop ends.
func (g *gateway) drain(stop context.Context) {
	g.log.Info("shutting down: no more calls are taken", "running", g.node.Running(), "within", g.cfg.Calls.DrainTimeout)
	g.sip.Drain()
	limited, cancel := context.WithTimeout(stop, g.cfg.Calls.DrainTimeout)
	defer cancel()
	if g.node.Drain(limited) == nil {
		return
	}
	reason := bridge.ErrDraining
	if stop.Err() != nil {
		reason = bridge.ErrStopped
	}
	g.log.Info("ending the calls that are left", "running", g.node.Running())
	g.endCalls(reason)
	_ = g.node.Wait(context.Background()) // for no longer than a good-bye takes
}

// rules has the directory read LiveKit's dispatch rules.
type rules struct{ client *livekit.Client }

// ListSIPDispatchRules is directory.Rules.
func (r rules) ListSIPDispatchRules(ctx context.Context) ([]directory.Rule, error) {
	list, err := r.client.ListDispatchRules(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]directory.Rule, len(list))
	for i, rule := range list {
		out[i] = directory.Rule{Name: rule.Name, Room: rule.Room, PIN: rule.PIN.Reveal(), TrunkIDs: rule.TrunkIDs}
	}
	return out, nil
}

// newLogger makes the node's logger.
func newLogger(cfg configs.Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Log.Level)) // validated
	options := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(os.Stderr, options)
	if cfg.Log.Format == "json" {
		h = slog.NewJSONHandler(os.Stderr, options)
	}
	log := slog.New(h)
	if cfg.Node.Name != "" {
		log = log.With("node", cfg.Node.Name)
	}
	return log
}

// interim stands in until the rules and the journal are wired, within the hour.
type interim struct{}

func (interim) Decide(_ context.Context, f policy.Facts) policy.Decision {
	return policy.Decision{Rule: "interim", Allowed: true, Open: f.Room == "", Grant: policy.Grant{
		Lobby: policy.NoLobby, Audio: policy.Both, Encryption: policy.Optional, ShowNumber: policy.Masked, Learn: policy.LearnCount, Recording: true,
		Keys: []policy.Key{policy.KeyMute, policy.KeyHand, policy.KeyVolume, policy.KeyCount},
	}}
}
func (interim) OnChange(func())     {}
func (interim) Write(journal.Entry) {}
func (interim) Ready() error        { return nil }
