package main

import (
	"passerelle/internal/egress"
	"passerelle/webrtc/federation"
)

// openSites makes the part of a gateway that joins rooms of other sites, where the configuration has some.
func (g *gateway) openSites(guard *egress.Guard) {
	if len(g.cfg.Sites) == 0 {
		return
	}
	g.sites = federation.New(g.cfg.Sites, g.cfg.LiveKit, federation.Deps{
		Guard: guard, Clock: g.clock, Log: g.log,
		Handler: func(leg *federation.Leg) { g.node.Take(g.calls, leg) },
	})
	g.closers = append(g.closers, g.sites.Close)
}
