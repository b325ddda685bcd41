package federation

import (
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"passerelle/bridge"
)

// way is one source on its way from one room into the other.
type way struct {
	source   bridge.Source
	comes    atomic.Pointer[bridge.VideoCodec] // format of what comes and does not pass; nil: nothing does
	passes   atomic.Pointer[bridge.VideoCodec] // format of what passes; nil: nothing does
	keyframe atomic.Bool                       // the other room wants one

	// Of settle.
	place   bridge.Place       // in the other room; nil: there is none
	codec   bridge.VideoCodec  // that it was published in there last; zero: it was not
	layer   bridge.Layer       // and in which size
	started bool               // there
	refused *bridge.VideoCodec // what the other room did not take
	begins  *rate.Limiter      // starts
	changes *rate.Limiter      // publications: a room takes only so many of one participant (ADR 24)
}

// How often a picture may begin in the other room, and how often as another publication. In a room whose cameras are in several formats the camera of who
// speaks is off where this is used up, while the format is not the last one.
const (
	beginEvery  = time.Second
	beginBurst  = 4
	changeEvery = time.Minute
	changeBurst = 8
)

func newWay(source bridge.Source) way {
	return way{
		source: source,
		begins: rate.NewLimiter(rate.Every(beginEvery), beginBurst), changes: rate.NewLimiter(rate.Every(changeEvery), changeBurst),
	}
}

// takes tells whether a packet passes, and whether settle has to know of its format. It allocates nothing. It is for one goroutine, besides settle's.
func (y *way) takes(c *bridge.VideoCodec) (pass, news bool) {
	passes := y.passes.Load()
	if passes == c {
		return true, false
	}
	if passes != nil && passes.Same(*c) { // somebody else's camera
		return y.passes.CompareAndSwap(passes, c), false
	}
	return false, y.comes.Swap(c) != c
}

// settle begins, changes or ends the picture in the other room, where place is ours. shown is what comes, to is what may be sent there.
func (y *way) settle(place bridge.Place, shown bridge.Shown, to bridge.Sending) error {
	if place != y.place {
		y.passes.Store(nil)
		y.place, y.codec, y.started, y.refused = place, bridge.VideoCodec{}, false, nil
	}
	if place == nil || shown.Source == "" || !to.Allowed {
		y.stop()
		y.comes.Store(nil)
		y.refused = nil
		return nil
	}
	comes, passes := y.comes.Load(), y.passes.Load()
	switch {
	case comes == nil, comes == y.refused:
		return nil
	case passes != nil && passes.Same(*comes): // it came while it was let through
		y.comes.CompareAndSwap(comes, nil)
		return nil
	}
	y.stop()
	most := height(y.source, to)
	if other := !y.codec.Same(*comes) || y.layer.Height > most; !y.begins.Allow() || other && !y.changes.Allow() {
		return nil // later
	} else if other {
		y.codec, y.layer = *comes, size(shown, most)
	}
	if err := place.Start(y.source, y.codec, []bridge.Layer{y.layer}); err != nil {
		y.refused = comes
		return err
	}
	y.started = true
	y.passes.Store(comes)
	y.comes.CompareAndSwap(comes, nil)
	return nil
}

// stop lets nothing pass.
func (y *way) stop() {
	y.passes.Store(nil)
	if y.started {
		y.started = false
		y.place.Stop(y.source)
	}
}

// height is how many lines are asked for, to be sent where to bounds them.
func height(source bridge.Source, to bridge.Sending) int {
	most := 720
	if source == bridge.Content {
		most = 1080
	}
	if to.Height > 0 {
		most = min(most, to.Height)
	}
	return most
}

// size is what is told of a picture's size: it stays, whoever is seen.
func size(shown bridge.Shown, most int) bridge.Layer {
	l := bridge.Layer{Width: shown.Width, Height: shown.Height}
	if l.Width <= 0 || l.Height <= 0 {
		return bridge.Layer{Width: most * 16 / 9, Height: most}
	}
	if l.Height > most {
		l = bridge.Layer{Width: max(l.Width*most/l.Height, 1), Height: most}
	}
	return l
}
