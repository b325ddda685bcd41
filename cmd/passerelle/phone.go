package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/internal/testpeer/tape"
	"passerelle/media"
	"passerelle/sip"
	"passerelle/transcode/mix"
	"passerelle/transcode/playout"
)

// phone is a test telephone: a SIP user agent with a voice (what it plays) and a tape (what it hears).
type phone struct {
	tape *tape.Tape
	sip  *sip.Server

	clock  *mix.Clock
	line   *mix.Mixer // of the phone's own sounds: it has no sources
	parts  *errgroup.Group
	cancel context.CancelFunc
}

// newPhone switches a telephone on. listen is its own SIP address, host:port over UDP, TCP.
func newPhone(listen string, guard *egress.Guard, log *slog.Logger) (*phone, error) {
	ports, err := media.NewPorts(guard, 0, 0)
	if err != nil {
		return nil, err
	}
	p := &phone{tape: tape.New(), clock: mix.NewClock(1), line: mix.New(mix.Options{NoLeveling: true})}
	cfg := configs.Defaults().SIP
	cfg.UDP, cfg.TCP, cfg.UserAgent, cfg.SessionExpiry = []string{listen}, []string{listen}, "Passerelle test telephone", 0
	p.sip, err = sip.New(cfg, sip.Deps{
		Guard: guard, Ports: ports, Log: log, Calls: configs.Defaults().Calls,
		Handler: func(_ context.Context, leg *sip.Leg) { leg.End(bridge.ErrBusy) },
	})
	if err != nil {
		return nil, err
	}
	p.clock.Add(p.line)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.parts, ctx = errgroup.WithContext(ctx)
	p.parts.Go(func() error { _ = p.clock.Run(ctx); return nil }) // it ends with its context, and only then
	p.parts.Go(func() error { return p.sip.Run(ctx) })
	p.parts.Go(func() error { p.tape.Run(ctx); return nil })
	select {
	case <-p.sip.Ready():
		return p, nil
	case <-ctx.Done():
		return nil, p.parts.Wait()
	}
}

// close switches the telephone off.
func (p *phone) close() error {
	p.cancel()
	return p.parts.Wait()
}

// conversation is a call that the telephone has made.
type conversation struct {
	leg   *sip.Leg
	audio bridge.Audio
	voice *mix.Output
	heard *playout.Buffer
	phone *phone
}

// dial calls and returns when the far end has answered.
func (p *phone) dial(ctx context.Context, target string, o sip.DialOptions) (*conversation, error) {
	leg, err := p.sip.Dial(ctx, target, o)
	if err != nil {
		return nil, err
	}
	c := &conversation{leg: leg, audio: leg.Audio(), phone: p}
	if c.heard, err = playout.New(c.audio.Codec(), playout.Config{}); err == nil {
		c.voice, err = mix.NewOutput(c.audio.Codec(), c.audio)
	}
	if err != nil {
		leg.End(nil)
		return nil, err
	}
	p.tape.Add(c.heard)
	c.audio.SetSink(c.heard)
	c.voice.Attach(p.line, nil)
	return c, nil
}

// digitLength is how long a key is pressed, and how long the pause after it is.
const digitLength = 100 * time.Millisecond

// press types digits, one after the other.
func (c *conversation) press(ctx context.Context, digits, way string) error {
	for _, d := range []byte(digits) {
		if d == ',' { // a pause, as in calendar entries
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
			continue
		}
		if err := c.leg.SendDigit(ctx, d, digitLength, way); err != nil {
			return fmt.Errorf("digit %c: %w", d, err)
		}
		if err := pause(ctx, digitLength); err != nil {
			return err
		}
	}
	return nil
}

// wait follows the call until it ends or ctx does, and answers the far end's reason; nil: ctx ended first.
func (c *conversation) wait(ctx context.Context) error {
	for {
		select {
		case e, ok := <-c.leg.Events():
			switch {
			case !ok || e.Kind == bridge.Ended && e.Reason == nil:
				return bridge.ErrHungUp
			case e.Kind == bridge.Ended:
				return e.Reason
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// hangUp ends the call.
func (c *conversation) hangUp() {
	c.leg.End(nil)
	for range c.leg.Events() { // until it is closed: the far end has been told
	}
	c.phone.tape.Remove(c.heard)
	c.voice.Close()
	c.heard.Close()
}

// pause waits for d.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
