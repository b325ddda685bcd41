package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"passerelle/admin"
	"passerelle/bridge"
	"passerelle/bridge/directory"
	"passerelle/bridge/ivr"
	"passerelle/bridge/journal"
	"passerelle/bridge/links"
	"passerelle/bridge/policy"
	"passerelle/bridge/policy/service"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/media"
	"passerelle/sip"
	"passerelle/transcode/mix"
	"passerelle/webrtc/federation"
	"passerelle/webrtc/guest"
	"passerelle/webrtc/livekit"
)

// gateway is a node, put together from its configuration.
type gateway struct {
	cfg     configs.Config
	log     *slog.Logger
	sfu     *livekit.Client
	clock   *mix.Clock
	journal *journal.Writer
	rules   *policy.Keeper
	service *service.Client // nil: none is asked
	node    *bridge.Node
	sip     *sip.Server
	guests  *guest.Server      // nil: none are let in
	links   *links.Keeper      // of guests; nil with them
	sites   *federation.Server // nil: none are joined
	admin   *admin.Server

	calls    context.Context // of every call
	endCalls context.CancelCauseFunc
	closers  []func() error // of what was opened, the last one first
}

// newGateway makes a gateway. Nothing is listened to before run, but the media port towards the SFU and the journal are open: close them with run.
func newGateway(cfg configs.Config, log *slog.Logger) (g *gateway, err error) {
	g = &gateway{cfg: cfg, log: log, clock: mix.NewClock(runtime.GOMAXPROCS(0))}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
			if g.journal != nil {
				err = errors.Join(err, g.journal.Close())
			}
		}
	}()
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
	if err := g.openRecord(guard); err != nil {
		return nil, err
	}
	if err := g.openRules(guard, prompts); err != nil {
		return nil, err
	}
	ports, err := media.NewPorts(guard, cfg.Media.PortMin, cfg.Media.PortMax)
	if err != nil {
		return nil, err
	}
	if g.sfu, err = livekit.New(cfg.LiveKit, guard, log); err != nil {
		return nil, err
	}
	g.closers = append(g.closers, g.sfu.Close)
	rooms, err := directory.New(cfg.Directory, rules{g.sfu}, guard.DialContext, log)
	if err != nil {
		return nil, err
	}
	g.node = bridge.NewNode(bridge.Options{
		Limits: cfg.Calls, IVR: cfg.IVR, Rules: cfg.Rules, Lobby: cfg.Lobby, Policy: g.rules, Journal: g.journal,
		SFU: g.sfu, Directory: rooms, Prompts: prompts, Clock: g.clock, Log: log, Registry: registry,
	})
	g.closers = append(g.closers, func() error { g.node.Close(); return nil })
	if g.sip, err = sip.New(cfg.SIP, sip.Deps{
		Guard: guard, Ports: ports, Log: log, Metrics: registry, Calls: cfg.Calls, Media: cfg.Media,
		Handler: func(_ context.Context, leg *sip.Leg) { g.node.Take(g.calls, leg) },
	}); err != nil {
		return nil, err
	}
	if err := g.openGuests(guard, registry); err != nil {
		return nil, err
	}
	g.openSites(guard)
	observe(registry, guard, ports, g.clock)
	g.observeRecord(registry)
	g.admin, err = admin.New(cfg.HTTP, guard, g.deps(registry), log)
	return g, err
}

// deps are what the admin API asks.
func (g *gateway) deps(registry *prometheus.Registry) admin.Deps {
	d := admin.Deps{
		Registry: registry, Ready: g.ready, Node: g.node, Rules: g.rules, RulesFile: g.cfg.Rules.File, Journal: g.journal,
		Name: nodeName(g.cfg), Version: version,
		Load: g.node.Load,
	}
	if s := g.journal.Store(); s != nil {
		d.Records = s
	}
	if g.sites != nil {
		d.Dialer = g.sites
	}
	if g.links != nil {
		d.Links = g.links
		d.LinkBase, _ = linkBase(g.cfg.Guests) // guests.listen is set
	}
	return d
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
	return errors.Join(g.node.Ready(), listening, g.guestsReady(), g.sfu.Ready(ctx))
}

// run takes calls until drain ends. Then it takes no more, and running calls may go on for calls.drain_timeout, or until stop ends. It returns
// when nothing is left of the gateway, with the first error that ended it early.
func (g *gateway) run(drain, stop context.Context) error {
	parts, endParts := context.WithCancel(context.Background())
	defer endParts()
	group, parts := errgroup.WithContext(parts)
	recording, endRecord := context.WithCancel(context.Background())
	defer endRecord()
	recorded := make(chan error, 1)
	go func() { recorded <- g.journal.Run(recording) }()
	g.record("began", nil)
	group.Go(func() error { return g.rules.Run(parts) })
	group.Go(func() error { g.reloadOnHangup(parts); return nil })
	group.Go(func() error { _ = g.clock.Run(parts); return nil }) // it ends with its context, and only then
	group.Go(func() error { return g.sip.Run(parts) })
	group.Go(func() error { return g.runGuests(parts) })
	group.Go(func() error { return g.admin.Run(parts) })

	select {
	case <-drain.Done():
		g.drain(stop)
	case <-parts.Done(): // one of them failed
		g.endCalls(bridge.ErrStopped)
	}
	endParts()
	err := group.Wait()
	g.record("ended", err)
	err = errors.Join(err, g.close())
	endRecord() // the last: it keeps how all others ended
	return errors.Join(err, <-recorded)
}

// close lets go of what newGateway opened.
func (g *gateway) close() (err error) {
	for _, c := range slices.Backward(g.closers) {
		err = errors.Join(err, c())
	}
	g.closers = nil
	return err
}

// drain lets the running calls end: by themselves, at the end of their time with a good-bye, or at once when stop ends.
func (g *gateway) drain(stop context.Context) {
	g.log.Info("shutting down: no more calls are taken", "running", g.node.Running(), "within", g.cfg.Calls.DrainTimeout)
	g.sip.Drain()
	if g.guests != nil {
		g.guests.Drain()
	}
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
