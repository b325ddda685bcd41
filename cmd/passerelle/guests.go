package main

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"passerelle/bridge/links"
	"passerelle/internal/egress"
	"passerelle/webrtc/guest"
)

// openGuests makes the part of a gateway that lets guests in, where the configuration has it.
func (g *gateway) openGuests(guard *egress.Guard, registry prometheus.Registerer) error {
	if g.cfg.Guests.Listen == "" {
		return nil
	}
	k, err := links.OpenFor(context.Background(), g.cfg, guard.DialContext, g.log)
	if err != nil {
		return err
	}
	g.closers, g.links = append(g.closers, k.Close), k
	g.guests, err = guest.New(g.cfg.Guests, guest.Deps{
		Guard: guard, Links: k, Policy: g.rules, SomeOrigin: g.rules.SomeOrigin, Log: g.log, Metrics: registry, Language: g.cfg.IVR.Language,
		Handler: func(_ context.Context, leg *guest.Leg) { g.node.Take(g.calls, leg) },
	})
	return err
}

// runGuests lets guests in until ctx ends.
func (g *gateway) runGuests(ctx context.Context) error {
	if g.guests == nil {
		return nil
	}
	return g.guests.Run(ctx)
}

// guestsReady says why no guest can come; nil: one can, or none ever.
func (g *gateway) guestsReady() error {
	if g.guests == nil {
		return nil
	}
	select {
	case <-g.guests.Ready():
		return nil
	default:
		return errors.New("guests are not let in yet")
	}
}
