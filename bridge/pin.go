package bridge

import (
	"context"
	"errors"
	"slices"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/transcode/mix"
)

// findRoom answers the room that the rule or the caller's link names. Else it greets the caller and asks for the PIN until a room has it, three times at most (ivr.pin_tries), and slows down those who guess.
// A caller who knows the way types at once: every announcement can be cut short by the first digit.
func (c *call) findRoom(ctx context.Context) (RoomRef, error) {
	switch {
	case c.who.Outbound:
		return c.ref, nil
	case c.who.Room != "":
		return RoomRef{Name: c.who.Room, Source: "link"}, nil
	case c.decision.Grant.Room != "":
		return RoomRef{Name: c.decision.Grant.Room, Source: "rule"}, nil
	}
	intro := ivr.Welcome
	for try := 1; ; try++ {
		pin, err := c.askPIN(ctx, intro)
		if err != nil {
			return RoomRef{}, err
		}
		ref, err := c.lookUp(ctx, pin)
		if err == nil && ref.Language != "" && c.who.Language == "" && !c.chose {
			c.lang = ref.Language
		}
		if err == nil || !errors.Is(err, ErrBadPIN) {
			return ref, err
		}
		c.node.metrics.wrongPINs.Inc()
		c.log.Info("wrong PIN", "try", try)
		if try >= c.node.IVR.PINTries {
			return RoomRef{}, err
		}
		intro = ivr.WrongPIN
		if try == c.node.IVR.PINTries-1 {
			intro = ivr.LastTry
		}
	}
}

// lookUp asks the directory, after the wait that wrong PINs of this source have earned.
func (c *call) lookUp(ctx context.Context, pin ivr.PIN) (RoomRef, error) {
	source := ivr.Source{Address: c.who.Source}
	if c.who.Proven {
		source.Number = c.who.Number
	}
	delay := c.node.guesses.Delay(source)
	if !c.node.guesses.Try(source) {
		return RoomRef{}, ErrGuessing
	}
	var ref RoomRef
	err := c.during(ctx, func(ctx context.Context) (err error) {
		if err := sleep(ctx, delay); err != nil {
			return err
		}
		ref, err = c.node.Directory.Find(ctx, pin.Reveal())
		return err
	})
	if !errors.Is(err, ErrBadPIN) {
		c.node.guesses.Right(source)
	}
	return ref, err
}

// askPIN says intro, asks for a PIN and collects it. A star before the first digit changes the language. A # before it does nothing: many type one
// behind a PIN of fixed length, which was complete without it.
func (c *call) askPIN(ctx context.Context, intro ivr.Name) (ivr.PIN, error) {
	c.ahead = nil
	question := c.ask(intro)
	collect := ivr.NewCollector(c.node.IVR.PINLength)
	for {
		d, err := c.typed(ctx, question)
		switch {
		case err != nil:
			return ivr.PIN{}, err
		case d == 0:
			return ivr.PIN{}, ErrNoPIN
		case d == '#' && collect.Len() == 0:
			continue
		case d == '*' && collect.Len() == 0 && len(c.node.IVR.Languages) > 1:
			c.ears.Hush()
			c.lang, c.chose = c.nextLanguage(), true
			question = c.ask(ivr.Welcome)
			continue
		}
		c.ears.Hush()
		if pin, complete := collect.Press(d); complete {
			return pin, nil
		}
	}
}

// typed waits for the next digit, for ivr.pin_timeout after the question at most. It answers 0 when none came.
func (c *call) typed(ctx context.Context, question *mix.Playback) (byte, error) {
	if d, err := c.digit(ctx, question.Done(), nil); d != 0 || err != nil {
		return d, err
	}
	timer := time.NewTimer(c.node.IVR.PINTimeout)
	defer timer.Stop()
	return c.digit(ctx, nil, timer.C)
}

// ask says intro and the question for the PIN; a caller whose trunk names no language is offered the next one, in that language.
func (c *call) ask(intro ivr.Name) *mix.Playback {
	last := c.say(intro, ivr.EnterPIN)
	if c.who.Language == "" && len(c.node.IVR.Languages) > 1 {
		last = c.ears.Play(c.node.Prompts.Clip(c.nextLanguage(), ivr.ChooseLanguage), mix.PlayOptions{})
	}
	return last
}

// nextLanguage is the one that a star leads to.
func (c *call) nextLanguage() string {
	languages := c.node.IVR.Languages
	return languages[(slices.Index(languages, c.lang)+1)%len(languages)]
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
