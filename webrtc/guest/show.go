package guest

import (
	"slices"
	"time"

	"passerelle/bridge"
)

// told is what the page was told last, so that it is told again only what changed.
type told struct {
	state      State
	until      time.Time
	microphone *microphoneState
	hand       *handState
	handAsked  bool // the page asked for the next change of it
	people     *people
	edition    uint64
	speakers   []uint32
	tiles      []tile
	sending    *sending
	banner     string
	standing   bridge.Standing
}

// tell sends a message to the page, where there is one.
func (l *Leg) tell(m message) {
	if l.page != nil {
		l.page.send(m)
	}
}

// Tell implements bridge.Display.
func (l *Leg) Tell(s bridge.Standing) { l.later(func() { l.stand(s) }) }

// stand shows how the call stands.
func (l *Leg) stand(s bridge.Standing) {
	was := l.told.standing
	l.told.standing = s
	if state := pageState(s, l.told.state); state != l.told.state || !s.Until.Equal(l.told.until) {
		l.told.state, l.told.until = state, s.Until
		l.tell(l.state())
	}
	if s.State != "talking" {
		return
	}
	if m := (microphoneState{On: !s.Muted, By: by(s.ByHost), Free: s.MayUnmute || !s.Muted}); l.told.microphone == nil || *l.told.microphone != m {
		l.told.microphone = &m
		l.tell(&m)
	}
	if h := (handState{Up: s.Hand, By: "self"}); l.told.hand == nil || l.told.hand.Up != h.Up {
		if l.told.hand != nil && !l.told.handAsked {
			h.By = "host"
		}
		l.told.hand, l.told.handAsked = &h, false
		l.tell(&h)
	}
	if s.Banner != l.told.banner {
		l.told.banner = s.Banner
		l.tell(&banner{s.Banner})
	}
	for _, n := range [...]struct {
		now, before bool
		on, off     string
	}{
		{s.Alone, was.Alone, "alone", "company"},
		{s.Recorded, was.Recorded, "recording", "recording_over"},
		{s.Draining, was.Draining, "draining", ""},
	} {
		if name := n.off; n.now != n.before {
			if n.now {
				name = n.on
			}
			if name != "" {
				l.tell(&notice{name})
			}
		}
	}
}

func by(host bool) string {
	if host {
		return "host"
	}
	return "self"
}

// pageState is what a page calls the state of its call.
func pageState(s bridge.Standing, was State) State {
	switch s.State {
	case "waiting":
		return StateWaiting
	case "talking":
		if s.Away {
			return StateInterrupted
		}
		return StateTalking
	case "ending":
		return was // the reason follows
	}
	return StateConnecting
}

// state is the message of the state that the page is in.
func (l *Leg) state() *stateMessage { return &stateMessage{State: l.told.state, Until: l.told.until} }

// Show implements bridge.Screen.
func (l *Leg) Show(s *bridge.Scene) {
	l.scene.Store(s)
	if l.showed.CompareAndSwap(false, true) {
		l.later(func() {
			l.showed.Store(false)
			l.stage(l.scene.Load())
		})
	}
}

// stage shows who is there, what tiles show, and what becomes of the page's own pictures.
func (l *Leg) stage(s *bridge.Scene) {
	if s == nil {
		return
	}
	if l.told.people == nil || l.told.people.Count != s.People || l.told.edition != s.Edition {
		p := &people{Count: s.People}
		for _, seat := range s.Seats {
			p.People = append(p.People, person{
				Seat: uint32(seat.ID), Name: seat.Name, Muted: seat.Muted, Camera: seat.Camera, Screen: seat.Content, Hand: seat.Hand, Phone: seat.Phone,
			})
		}
		l.told.people, l.told.edition = p, s.Edition
		l.tell(p)
	}
	seats := make([]uint32, len(s.Speakers))
	for i, id := range s.Speakers {
		seats[i] = uint32(id)
	}
	if !slices.Equal(seats, l.told.speakers) {
		l.told.speakers = seats
		l.tell(&speakers{seats})
	}
	if now := l.shown(s.Tiles); !slices.Equal(now, l.told.tiles) {
		l.told.tiles = now
		l.tell(&tiles{now})
	}
	if now := (sending{Camera: sendingOf(s.Camera), Screen: sendingOf(s.Content)}); l.told.sending == nil || *l.told.sending != now {
		was := l.told.sending
		l.told.sending = &now
		l.tell(&now)
		if was != nil && now.Camera.Allowed && !was.Camera.Allowed {
			l.start(bridge.Camera) // a far end that still sends it
		}
		if was != nil && now.Screen.Allowed && !was.Screen.Allowed {
			l.start(bridge.Content)
		}
	}
}

// shown is what tiles show, by their mids.
func (l *Leg) shown(list []bridge.Shown) []tile {
	now := []tile{}
	if l.peer == nil {
		return now
	}
	for i, t := range list {
		if i >= len(l.peer.tiles) {
			break
		}
		now = append(now, tile{
			Mid: l.peer.tiles[i].mid, Seat: uint32(t.Seat), Source: sourceName(t.Source), Speaking: t.Speaking, Width: t.Width, Height: t.Height,
			Waiting: t.Waiting, Unfit: t.Unfit,
		})
	}
	return now
}

func sendingOf(s bridge.Sending) sendingState {
	return sendingState{s.Allowed, s.Live, s.Wanted, s.Rate}
}

func sourceName(s bridge.Source) string {
	switch s {
	case bridge.Camera:
		return sourceCamera
	case bridge.Content:
		return sourceScreen
	}
	return ""
}

// ending is the last message to a page.
func ending(reason error) *stateMessage {
	v := judge(reason)
	return &stateMessage{State: StateEnded, Reason: v.code, Text: explain(reason), Retry: v.retry}
}
