package bridge

import (
	"context"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/transcode/mix"
)

// say begins to speak to the caller, after what is being said already, and returns at once.
func (c *call) say(names ...ivr.Name) *mix.Playback {
	if c.display != nil {
		names = nil
	}
	last := c.ears.Play(nil, mix.PlayOptions{})
	for _, name := range names {
		last = c.ears.Play(c.node.Prompts.Clip(c.lang, name), mix.PlayOptions{Duck: duck})
	}
	return last
}

// loop begins to play a sound again and again, until it is stopped.
func (c *call) loop(clip []int16) *mix.Playback {
	if c.display != nil {
		clip = nil
	}
	return c.ears.Play(clip, mix.PlayOptions{Loop: true})
}

// duck is how much quieter the room gets while the caller is spoken to, in dB.
const duck = 12

// announce speaks to the caller and returns when all is said, or with the reason when the call ends before.
func (c *call) announce(ctx context.Context, name ivr.Name) error {
	said := c.say(name)
	for {
		select {
		case <-said.Done():
			return nil
		default:
		}
		if _, err := c.digit(ctx, said.Done(), nil); err != nil {
			return err
		}
	}
}

// digit waits for one digit of the caller's, whichever way it comes. It answers 0 when done is closed or timer fires before, and the reason
// when the call ends.
func (c *call) digit(ctx context.Context, done <-chan struct{}, timer <-chan time.Time) (byte, error) {
	for {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-done:
			return 0, nil
		case <-timer:
			return 0, nil
		case d := <-c.tones:
			if c.dedup.Accept("tone", d, time.Now()) {
				return d, nil
			}
		case o := <-c.orders:
			o.done <- ErrNotNow
		case <-c.changed:
			if c.view.Load().state == ending {
				continue
			}
			if err := c.rethink(ctx); err != nil {
				return 0, err
			}
		case e, ok := <-c.leg.Events():
			if !ok {
				return 0, ErrHungUp
			}
			if d, err := c.heed(e); d != 0 || err != nil {
				return d, err
			}
		}
	}
}

// heed does what every phase of a call does with an event of the leg: it keeps hold and codec, and hands on digits and the end.
func (c *call) heed(e Event) (byte, error) {
	switch e.Kind {
	case Digit:
		if c.dedup.Accept(e.Way, e.Digit, time.Now()) {
			return e.Digit, nil
		}
	case Hold:
		c.log.Debug("hold", "held", e.Held)
		c.show(func(v *view) { v.Held = e.Held })
		c.ears.SetHeld(e.Held)
		c.mouth.hold(e.Held)
	case Microphone:
		c.closed = !e.On
	case Updated:
		c.log.Debug("codec changed", "codec", c.audio.Codec().Name)
		if err := c.ears.SetCodec(c.audio.Codec()); err != nil {
			return 0, err
		}
		c.mouth.listenForTones(!c.audio.SendsEvents())
	case Ended:
		if e.Reason == nil {
			return 0, ErrHungUp
		}
		return 0, e.Reason
	}
	return 0, nil
}

// during runs f while the caller waits, who is told so when it takes long. It ends f when the call ends. Keys for the meeting that are typed meanwhile, from
// a star on, are kept for it; others are dropped, like the # behind a PIN that was complete without it. f must return soon when its context ends.
func (c *call) during(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var result error
	done := make(chan struct{})
	go func() {
		defer close(done)
		result = f(ctx)
	}()
	patient := time.NewTimer(patience)
	defer patient.Stop()
	for {
		d, err := c.digit(ctx, done, patient.C)
		if err != nil {
			stop(err)
			<-done
			return err
		}
		select {
		case <-done:
			return result
		default:
		}
		switch {
		case d == 0:
			c.say(ivr.Connecting)
		case (d == '*' || len(c.ahead) > 0) && len(c.ahead) < maxAhead:
			c.ahead = append(c.ahead, d)
		}
	}
}

// maxAhead is how many keys are kept: more than anybody types before a meeting.
const maxAhead = 16

// patience is how long a caller waits in silence.
const patience = 1500 * time.Millisecond
