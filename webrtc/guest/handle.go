package guest

import (
	"errors"
	"fmt"
	"slices"

	"passerelle/bridge"
)

// handle does what a message of the page asks for. It runs on the leg's goroutine, for the page that the leg has.
func (l *Leg) handle(from page, kind string, r request) {
	if l.ended || from != l.page {
		return // of a page that was replaced
	}
	var err error
	switch r := r.(type) {
	case *offer:
		if l.peer == nil {
			r.Fresh = true // before the answer, the page was loaded anew
		}
		err = l.connect(r)
	case *layout:
		err = l.arrange(r)
	case *microphone:
		l.emit(bridge.Event{Kind: bridge.Microphone, On: r.On})
	case *hand:
		l.told.handAsked = true
		l.emit(bridge.Event{Kind: bridge.Hand, On: r.Up})
	case *camera:
		l.set(bridge.Camera, r.picture)
	case *screen:
		l.set(bridge.Content, r.picture)
	case *leave:
		l.over(bridge.ErrHungUp)
	case *ping:
		l.tell(&pong{r.ID})
	case *candidate: // ICE is lite: addresses are learnt from checks
	default:
		err = errNotNow
	}
	if err != nil {
		l.tell(failed(kind, err))
	}
}

// arrange takes a layout.
func (l *Leg) arrange(r *layout) error {
	if l.peer == nil {
		return errNotNow
	}
	clear(l.view.Tiles)
	for _, w := range r.Tiles {
		i := slices.IndexFunc(l.peer.tiles, func(o *outlet) bool { return o.mid == w.Mid })
		if i < 0 || i >= len(l.view.Tiles) {
			return fmt.Errorf("%w: there is no tile %s", errMalformed, w.Mid)
		}
		t := bridge.Tile{Seat: bridge.SeatID(w.Seat), Height: w.Height}
		switch w.Source {
		case sourceCamera:
			t.Source = bridge.Camera
		case sourceScreen:
			t.Source = bridge.Content
		}
		l.view.Tiles[i] = t
	}
	l.look()
	return nil
}

// failed tells a page that its message had no effect.
func failed(kind string, err error) *failure {
	code := code(err)
	switch {
	case errors.Is(err, errNotNow):
		code = "not_now"
	case errors.Is(err, errConsent):
		code = "consent"
	case errors.Is(err, errOffer):
		code = "offer"
	}
	return &failure{Code: code, Text: err.Error(), To: kind}
}

// attach gives the leg a page in place of the one it had, and tells it all that it has to know.
func (l *Leg) attach(p page, welcome func(State) *welcome) {
	if old := l.page; old != nil {
		old.send(ending(errTakenOver))
		old.end(closing(errTakenOver))
	}
	if l.ended {
		p.send(ending(errSession))
		p.end(closing(errSession))
		return
	}
	l.page, l.left = p, false
	l.first = offer{} // this page makes one of its own, and has no use for the answer to another one
	p.send(welcome(l.told.state))
	if !l.told.until.IsZero() {
		p.send(l.state())
	}
	if l.told.microphone != nil {
		p.send(l.told.microphone)
	}
	if l.told.hand != nil {
		p.send(l.told.hand)
	}
	if l.told.banner != "" {
		p.send(&banner{l.told.banner})
	}
	if l.told.people != nil {
		p.send(l.told.people)
	}
	if len(l.told.speakers) > 0 {
		p.send(&speakers{l.told.speakers})
	}
	if l.told.tiles != nil {
		p.send(&tiles{l.told.tiles})
	}
	if l.told.sending != nil {
		p.send(l.told.sending)
	}
}

// detach notes that the page is gone. inOrder: it closed its socket itself.
func (l *Leg) detach(p page, inOrder bool) {
	if p == l.page {
		l.page, l.left, l.pageGone = nil, inOrder, now()
	}
}
