package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"passerelle/bridge/ivr"
	"passerelle/bridge/journal"
	"passerelle/bridge/policy"
	"passerelle/bridge/policy/service"
	"passerelle/configs"
	"passerelle/internal/egress"
)

// openRecord opens the journal, which is told of everything that follows, refused destinations among it.
func (g *gateway) openRecord(guard *egress.Guard) (err error) {
	if g.journal, err = journal.Open(context.Background(), g.cfg.Journal, nodeName(g.cfg), guard.DialContext, g.log); err != nil {
		return err
	}
	guard.OnDenied(g.recordDenied)
	return nil
}

// openRules reads the rules, and has them ask the policy service, where there is one.
func (g *gateway) openRules(guard *egress.Guard, prompts *ivr.Prompts) (err error) {
	o := policy.Options{Check: haveNotices(prompts), Loaded: g.recordRules}
	if g.cfg.Rules.Service.URL != "" {
		if g.service, err = service.New(g.cfg.Rules.Service, guard.DialContext, g.log); err != nil {
			return err
		}
		g.closers = append(g.closers, func() error { g.service.Close(); return nil })
		o.Narrow = g.service.Narrow
	}
	g.rules, err = policy.Open(g.cfg.Rules, o, g.log)
	return err
}

// reloadOnHangup reads the rules again for each SIGHUP, until ctx ends. What comes of it is in the log and in the journal.
func (g *gateway) reloadOnHangup(ctx context.Context) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			_ = g.rules.Reload()
		}
	}
}

// observeRecord tells how the journal does.
func (g *gateway) observeRecord(r prometheus.Registerer) {
	for _, m := range []struct {
		name, help string
		value      func(journal.Stats) float64
	}{
		{"queued", "Entries of the journal in memory.", func(s journal.Stats) float64 { return float64(s.Queued) }},
		{"spilled_bytes", "Bytes of the journal on disk that wait for the database.", func(s journal.Stats) float64 { return float64(s.Spilled) }},
		{"kept_total", "Entries of the journal that are safe on a disk.", func(s journal.Stats) float64 { return float64(s.Kept) }},
		{"stored_total", "Records that the journal's database took.", func(s journal.Stats) float64 { return float64(s.Stored) }},
		{"lost_total", "Entries of the journal that could not be kept.", func(s journal.Stats) float64 { return float64(s.Lost) }},
	} {
		name, value := "passerelle_journal_"+m.name, func() float64 { return m.value(g.journal.Stats()) }
		if strings.HasSuffix(name, "_total") {
			r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: m.help}, value))
		} else {
			r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: m.help}, value))
		}
	}
}

// record keeps that the node begins or ends, and with which configuration.
func (g *gateway) record(outcome string, err error) {
	sum := sha256.Sum256(g.cfg.Dump()) // without secrets
	f := map[string]string{"version": version, "configuration": hex.EncodeToString(sum[:])}
	if err != nil {
		f["error"] = err.Error()
	}
	g.journal.Write(journal.Entry{Kind: journal.Node, Outcome: outcome, Fields: f})
}

// recordRules keeps that rules were read, and whether they are in force.
func (g *gateway) recordRules(hash string, err error) {
	e := journal.Entry{Kind: journal.Config, Outcome: "in force", Fields: map[string]string{"rules": hash, "file": g.cfg.Rules.File}}
	if err != nil {
		e.Outcome, e.Fields["error"] = "refused", err.Error()
	}
	g.journal.Write(e)
}

// recordDenied keeps a destination that was refused.
func (g *gateway) recordDenied(d egress.Denied) {
	g.log.Warn("a destination was refused", "call", d.Call, "address", d.Address, "use", d.Use, "count", d.Count, "others", d.Others)
	g.journal.Write(journal.Entry{Kind: journal.Egress, Call: d.Call, Address: d.Address.String(), Outcome: "refused", Fields: map[string]string{
		"use": d.Use.String(), "count": strconv.FormatUint(d.Count, 10), "others": strconv.FormatUint(d.Others, 10),
	}})
}

// nodeName is how this node is called in logs and records.
func nodeName(cfg configs.Config) string {
	if cfg.Node.Name != "" {
		return cfg.Node.Name
	}
	name, err := os.Hostname()
	if err != nil {
		return "passerelle"
	}
	return name
}
