package bridge

import (
	"slices"
	"time"
)

// linger is how long a track is watched after the last place has turned away from it: they often come back.
const linger = 3 * time.Second

// How long a keyframe is waited for until it is asked for again: by a tile that is to show something else, and by a place that was too slow for the last
// one, whose wishes all others pay for.
const (
	firstPatience = 5 * time.Second // the wish repeats itself before
	slowPatience  = 3 * time.Second
)

// seatTiles gives each tile of a place its pick. st.mu is held.
func (st *stage) seatTiles(pl *place, seats []*seat) {
	picks := st.newChooser(pl, seats).choose(pl.view.Tiles)
	for i, t := range pl.tiles {
		t.pick, t.height = pick{}, 0
		if i < len(picks) && picks[i].seat != nil {
			t.pick = picks[i]
			t.height = pl.view.Tiles[i].Height
			if most := pl.grant.Picture.Height; most > 0 {
				t.height = min(t.height, most)
			}
		}
	}
}

// fitBudget steps a place's view down until it fits its bandwidth: first smaller layers, the last tile first, then no picture. It steps up again only
// with something to spare. st.mu is held.
func (st *stage) fitBudget(pl *place) {
	budget := tighter(pl.grant.Picture.Kbps, pl.view.Kbps)
	n := len(pl.view.Tiles)
	if budget == 0 {
		pl.squeeze = 0
	} else if down := st.steps(pl, n, budget); down > pl.squeeze {
		pl.squeeze = down
	} else {
		pl.squeeze = min(pl.squeeze, max(down, st.steps(pl, n, budget*85/100)))
	}
	for i, t := range pl.tiles[:n] {
		t.height, t.paused = squeezed(t, n-1-i, n, pl.squeeze)
		t.paused = t.paused || pl.view.Tiles[i].Rest
	}
}

// steps is how many steps down it takes until the n tiles of a view cost no more than budget, in kbit/s. st.mu is held.
func (st *stage) steps(pl *place, n, budget int) int {
	for k := range 2 * n {
		sum := 0
		for i, t := range pl.tiles[:n] {
			if height, paused := squeezed(t, n-1-i, n, k); !paused && !pl.view.Tiles[i].Rest {
				sum += st.cost(t.pick, height)
			}
		}
		if sum <= budget {
			return k
		}
	}
	return 2 * n
}

// squeezed is what becomes of a tile after some steps down. fromLast is its place among n, from behind: each tile is made small in one step, and is
// paused n steps later.
func squeezed(t *tile, fromLast, n, steps int) (height int, paused bool) {
	height = t.height
	if layers := t.pick.track.Video.Layers; steps > fromLast && len(layers) > 1 && layers[0].Height > 0 {
		height = min(height, layers[0].Height)
	}
	return height, steps > fromLast+n
}

// cost is what a picture takes, in kbit/s: as measured, as announced, or as usual for its height. st.mu is held.
func (st *stage) cost(p pick, height int) int {
	if p.seat == nil || p.unfit || height <= 0 {
		return 0
	}
	want := layerFor(p.track.Video, height)
	for _, small := range [...]bool{false, true} {
		if s := st.sources[sourceKey{p.track.SID, small}]; s != nil && s.kbps > 0 && s.size.height > 0 && layerFor(p.track.Video, s.size.height) == want {
			return s.kbps
		}
	}
	if layers := p.track.Video.Layers; want < len(layers) {
		if layers[want].Kbps > 0 {
			return layers[want].Kbps
		}
		if layers[want].Height > 0 {
			height = layers[want].Height
		}
	}
	switch {
	case height <= 180:
		return 150
	case height <= 360:
		return 500
	case height <= 540:
		return 900
	case height <= 720:
		return 1700
	}
	return 3000
}

// layerFor is the layer that the SFU sends for a height: the smallest that is not much smaller.
func layerFor(v VideoInfo, height int) int {
	for i, l := range v.Layers {
		if l.Height*10 >= height*9 {
			return i
		}
	}
	return max(len(v.Layers)-1, 0)
}

// measure looks at the rates of all sources. st.mu is held.
func (st *stage) measure(now time.Time) {
	for _, s := range st.sources {
		passed := now.Sub(s.measured)
		if passed < time.Second {
			continue
		}
		kbps := int(float64(s.bytes.Swap(0)) * 8 / 1000 / passed.Seconds())
		if !s.measured.IsZero() {
			s.kbps = (s.kbps + kbps) / 2
			if s.kbps == 0 || kbps == 0 {
				s.kbps = kbps
			}
		}
		s.measured = now
	}
}

// connect gives each tile a feed of its source, and watches what is needed. What it answers has to be done without st.mu. st.mu is held.
func (st *stage) connect(now time.Time) (changes []func(), next time.Time) {
	sizes := st.sizes()
	feeds := map[*source][]*feed{}
	for pl := range st.places {
		for _, t := range pl.tiles {
			st.aim(t, now)
			for _, v := range [...]*feed{t.current.Load(), t.want} {
				if v != nil && !v.off.Load() && !slices.Contains(feeds[v.source], v) {
					feeds[v.source] = append(feeds[v.source], v)
				}
			}
			v := t.want
			if v == nil || v == t.current.Load() && !v.starved.Load() {
				continue
			}
			patience := firstPatience
			if v.starved.Load() {
				patience = slowPatience
			}
			if now.Sub(v.asked) >= patience {
				v.asked = now
				changes = append(changes, func() { v.source.wantKeyframe(now) })
			}
			next = sooner(next, v.asked.Add(patience))
		}
	}
	for key, s := range st.sources {
		s.show(feeds[s])
		ask, at := s.wish.due(now)
		if ask {
			changes = append(changes, func() { s.session.WantKeyframe(key.track) })
			at = now.Add(keyframeRetry)
		}
		next = sooner(next, at)
		size, needed := sizes[key]
		switch {
		case needed || len(feeds[s]) > 0:
			s.unused = time.Time{}
			if needed && s.size != size {
				s.size = size
				changes = append(changes, st.watch(s, size))
			}
			next = sooner(next, now.Add(time.Second)) // to measure it
		case s.unused.IsZero():
			s.unused = now
			next = sooner(next, now.Add(linger))
		case now.Sub(s.unused) >= linger:
			delete(st.sources, key)
			changes = append(changes, func() { _ = s.session.Watch(key.track, 0, 0, nil) })
		default:
			next = sooner(next, s.unused.Add(linger))
		}
	}
	return changes, next
}

// watch asks for a source in a size.
func (st *stage) watch(s *source, z size) func() {
	return func() {
		if err := s.session.Watch(s.key.track, z.height, z.rate, s); err != nil {
			st.log.Warn("a picture cannot be watched", "error", err)
		}
	}
}

// size is what is asked for of a source.
type size struct {
	height int // pixels
	rate   int // pictures a second; 0: all
}

// sizes are the sources that are needed, and the largest size that is wanted of each. Who wants a track in a smaller layer than somebody else gets it
// by the small listener, once that is there. st.mu is held.
func (st *stage) sizes() map[sourceKey]size {
	most := map[string]int{}
	for pl := range st.places {
		for _, t := range pl.tiles {
			if t.visible() {
				most[t.pick.track.SID] = max(most[t.pick.track.SID], t.height)
			}
		}
	}
	sizes := map[sourceKey]size{}
	st.small.wanted = false
	for pl := range st.places {
		for _, t := range pl.tiles {
			t.small = false
			if !t.visible() {
				continue
			}
			v := t.pick.track.Video
			if layerFor(v, t.height) < layerFor(v, most[t.pick.track.SID]) {
				st.small.wanted = true
				t.small = st.small.session != nil
			}
			key := sourceKey{t.pick.track.SID, t.small}
			z := size{t.height, tighter(pl.grant.Picture.Rate, pl.view.Rate)}
			if other, known := sizes[key]; known {
				z = z.or(other)
			}
			sizes[key] = z
		}
	}
	return sizes
}

// tighter is the smaller of two bounds; 0: there is none.
func tighter(a, b int) int {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// or is the size that is enough for both.
func (z size) or(o size) size {
	out := size{height: max(z.height, o.height)}
	if z.rate > 0 && o.rate > 0 {
		out.rate = max(z.rate, o.rate)
	}
	return out
}

// visible tells whether a tile is to show anything.
func (t *tile) visible() bool {
	return t.pick.seat != nil && !t.pick.unfit && !t.paused && t.height > 0
}

// aim gives a tile a feed of the source that it is to show. What it shows stays until the first keyframe of another. st.mu is held.
func (st *stage) aim(t *tile, now time.Time) {
	if !t.visible() {
		t.clear()
		return
	}
	key := sourceKey{t.pick.track.SID, t.small}
	s := st.sources[key]
	if s == nil {
		s = &source{key: key, stage: st, session: st.session}
		if key.small {
			s.session = st.small.session
		}
		st.sources[key] = s
	}
	current := t.current.Load()
	if t.want != nil && t.want.source == s && !t.want.off.Load() {
		return
	}
	if t.want != nil && t.want != current {
		t.want.off.Store(true)
	}
	if current != nil && current.source == s && !current.off.Load() {
		t.want = current
		return
	}
	t.want = &feed{source: s, tile: t}
}
