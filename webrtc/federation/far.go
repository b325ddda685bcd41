package federation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"passerelle/bridge"
	"passerelle/transcode/mix"
)

// callAttribute is where a leg in one of our rooms tells the id of its call.
const callAttribute = "sip.callID"

// far is the far room while we are in it. It is for one goroutine.
type far struct {
	leg     *Leg
	client  client
	session bridge.Session
	mixer   *mix.Mixer
	output  *mix.Output
	hearing *bridge.Hearing
	people  map[string]bridge.Participant // who is heard, by identity
	viewing *bridge.Viewing               // nil: there are no pictures
}

// join enters the far room, as one visible participant, and opens both ways. What it has begun when it fails is undone.
func (l *Leg) join(ctx context.Context) (f *far, err error) {
	f = &far{leg: l, mixer: mix.New(mix.Options{}), people: map[string]bridge.Participant{}}
	defer func() {
		if err != nil {
			f.leave()
			f = nil
		}
	}()
	if f.client, err = l.server.open(l.server.config(l.site), l.pass, l.log); err != nil {
		return f, err
	}
	var present []bridge.Participant
	me := bridge.Join{
		Room: l.room, Identity: "bridge-" + strings.ToLower(rand.Text()[:12]), Name: l.site.As, Publish: true, Camera: true, Content: true, Subscribe: true,
		Attributes: map[string]string{bridge.BridgeAttribute: "true"},
	}
	if f.session, present, err = f.client.Join(ctx, me); err != nil {
		return f, err
	}
	track, err := f.session.Publish(ctx, "microphone")
	if err != nil {
		return f, err
	}
	if f.output, err = mix.NewOutput(l.voice.Codec(), &l.voice.in); err != nil {
		return f, err
	}
	f.hearing = bridge.NewHearing(f.session, f.mixer, l.log)
	for _, p := range present {
		if err := f.arrive(p); err != nil {
			return f, err
		}
	}
	if t, ok := f.session.(bridge.Taker); ok {
		l.codecs = t.VideoCodecs()
	}
	f.viewing = bridge.NewViewing(f.session, me, present, l.theirs, l.log)
	l.voice.connect(track)
	f.output.Attach(f.mixer, nil)
	l.server.Clock.Add(f.mixer)
	return f, nil
}

// leave undoes join, as far as it came.
func (f *far) leave() {
	f.leg.voice.connect(nil)
	f.viewing.Close()
	f.leg.server.Clock.Remove(f.mixer)
	if f.output != nil {
		f.output.Close()
	}
	if f.session != nil {
		f.session.Leave()
	}
	if f.hearing != nil {
		f.hearing.Close()
	}
	f.mixer.Close()
	if f.client != nil {
		if err := f.client.Close(); err != nil {
			f.leg.log.Warn("closing a site's client", "error", err)
		}
	}
}

// follow does what the far room tells. It answers the reason for which the rooms are parted, if so.
func (f *far) follow(e bridge.SessionEvent) error {
	f.viewing.Follow(e)
	switch e.Kind {
	case bridge.ParticipantChanged:
		return f.arrive(e.Participant)
	case bridge.ParticipantLeft:
		f.hearing.Follow(f.people[e.Participant.Identity], bridge.Participant{})
		delete(f.people, e.Participant.Identity)
	case bridge.Interrupted:
		f.leg.log.Warn("the site is away")
	case bridge.Restored:
		f.leg.log.Info("the site is back")
	case bridge.SessionEnded:
		switch {
		case errors.Is(e.Reason, bridge.ErrRoomEnded), errors.Is(e.Reason, bridge.ErrRemoved):
			return e.Reason
		}
		return fmt.Errorf("%w: site %s: %v", bridge.ErrSignalling, f.leg.site.Name, e.Reason)
	}
	return nil
}

// arrive takes in somebody who came or changed. Another room, whichever gateway brings it, is not heard.
func (f *far) arrive(p bridge.Participant) error {
	if p.Hidden {
		return nil
	}
	if p.Attributes[callAttribute] == f.leg.caller.CallID {
		return fmt.Errorf("%w: the far room is the same as ours", bridge.ErrForbidden)
	}
	old := f.people[p.Identity]
	if p.Attributes[bridge.BridgeAttribute] != "" {
		f.hearing.Follow(old, bridge.Participant{})
		delete(f.people, p.Identity)
		return nil
	}
	for _, t := range p.Tracks {
		if t.Encrypted {
			return fmt.Errorf("%w: the far one", bridge.ErrE2EE)
		}
	}
	f.people[p.Identity] = p
	f.hearing.Follow(old, p)
	return nil
}

// populated tells whether anybody is in the far room, other rooms not counted.
func (f *far) populated() bool { return len(f.people) > 0 }
