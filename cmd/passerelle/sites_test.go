package main

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"passerelle/configs"
)

// TestDeps: the admin API has links where guests are let in, and calls where there are sites, and knows where there are none.
func TestDeps(t *testing.T) {
	for name, c := range map[string]struct {
		change       func(*configs.Config)
		links, calls bool
	}{
		"neither": {func(*configs.Config) {}, false, false},
		"guests": {func(c *configs.Config) {
			c.Guests.Listen, c.Guests.PublicURL = "127.0.0.1:0", "https://guests.example.org"
		}, true, false},
		"sites": {func(c *configs.Config) {
			c.Sites = []configs.Site{{Name: "partner", URL: "wss://livekit.example.org", APIKey: "k", APISecret: "s"}}
		}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := configs.Defaults()
			cfg.LiveKit.APISecret, cfg.Journal.Dir, cfg.Journal.URL, cfg.HTTP.Listen = "0123456789abcdef0123456789abcdef", t.TempDir(), "off", ""
			cfg.SIP.UDP, cfg.SIP.TCP = []string{"127.0.0.1:0"}, nil
			c.change(&cfg)
			g, err := newGateway(cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			d := g.deps(prometheus.NewRegistry())
			if (d.Links != nil) != c.links || (d.Dialer != nil) != c.calls || c.links && d.LinkBase != "https://guests.example.org" {
				t.Errorf("%+v", d)
			}
			if err := g.close(); err != nil {
				t.Error(err)
			}
			if err := g.journal.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
