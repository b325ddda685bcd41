// Package phone is a test telephone, for tests and for the programs that show a call: a SIP user agent with a voice and a tape.
package phone

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

// Phone is a test telephone: what it plays goes out by its own clock, what it hears is kept on its tape.
type Phone struct {
	Tape *tape.Tape // all that is heard, of all calls

	sip    *sip.Server
	clock  *mix.Clock
	line   *mix.Mixer // of the phone's own sounds: it has no sources
	parts  *errgroup.Group
	cancel context.CancelFunc
}

// New switches a telephone on. listen is its own SIP address, host:port over UDP and TCP. Close switches it off.
func New(listen string, guard *egress.Guard, log *slog.Logger) (*Phone, error) {
	ports, err := media.NewPorts(guard, 0, 0)
	if err != nil {
		return nil, err
	}
	p := &Phone{Tape: tape.New(), clock: mix.NewClock(1), line: mix.New(mix.Options{NoLeveling: true})}
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
	p.parts.Go(func() error { p.Tape.Run(ctx); return nil })
	select {
	case <-p.sip.Ready():
		return p, nil
	case <-ctx.Done():
		return nil, p.parts.Wait()
	}
}

// Close switches the telephone off. Its calls have ended before.
func (p *Phone) Close() error {
	p.cancel()
	return p.parts.Wait()
}

// Call is a call that the telephone has made and that was answered.
type Call struct {
	Leg   *sip.Leg
	Audio bridge.Audio
	Voice *mix.Output // what is played to it goes to the far end
	Phone *Phone

	heard *playout.Buffer
}

// Dial calls and returns when the far end has answered. HangUp ends the call, whoever ended it first.
func (p *Phone) Dial(ctx context.Context, target string, o sip.DialOptions) (*Call, error) {
	leg, err := p.sip.Dial(ctx, target, o)
	if err != nil {
		return nil, err
	}
	c := &Call{Leg: leg, Audio: leg.Audio(), Phone: p}
	if c.heard, err = playout.New(c.Audio.Codec(), playout.Config{}); err == nil {
		c.Voice, err = mix.NewOutput(c.Audio.Codec(), c.Audio)
	}
	if err != nil {
		leg.End(nil)
		return nil, err
	}
	p.Tape.Add(c.heard)
	c.Audio.SetSink(c.heard)
	c.Voice.Attach(p.line, nil)
	return c, nil
}

// digitLength is how long a key is pressed, and how long the pause after it is.
const digitLength = 100 * time.Millisecond

// Press types digits, one after the other, each in the way that sip.Leg.SendDigit names; a comma is a pause of a second.
func (c *Call) Press(ctx context.Context, digits, way string) error {
	for _, d := range []byte(digits) {
		if d == ',' { // a pause, as in calendar entries
			if err := Pause(ctx, time.Second); err != nil {
				return err
			}
			continue
		}
		if err := c.Leg.SendDigit(ctx, d, digitLength, way); err != nil {
			return fmt.Errorf("digit %c: %w", d, err)
		}
		if err := Pause(ctx, digitLength); err != nil {
			return err
		}
	}
	return nil
}

// Wait follows the call until it ends or ctx does, and answers the far end's reason; nil: ctx ended first.
func (c *Call) Wait(ctx context.Context) error {
	for {
		select {
		case e, ok := <-c.Leg.Events():
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

// HangUp ends the call and returns when the far end has been told.
func (c *Call) HangUp() {
	c.Leg.End(nil)
	for range c.Leg.Events() { // until it is closed: the far end has been told
	}
	c.Phone.Tape.Remove(c.heard)
	c.Voice.Close()
	c.heard.Close()
}

// Pause waits for d, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
