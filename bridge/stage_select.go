package bridge

import (
	"slices"

	"passerelle/bridge/policy"
)

// seat is a participant as the stage knows them.
type seat struct {
	id     SeatID
	p      Participant
	came   int // order of coming
	shared int // order in which screens began to be shared
}

// picture finds what there is to see of a seat: a track that is on, and not encrypted end to end.
func (s *seat) picture(source Source) (TrackInfo, bool) {
	for _, t := range s.p.Tracks {
		if t.Video.Source == source && !t.Muted && !t.Encrypted {
			return t, true
		}
	}
	return TrackInfo{}, false
}

// pick is what a tile is to show.
type pick struct {
	seat   *seat
	source Source
	track  TrackInfo
	unfit  bool // in a format that the far end cannot show
}

// chooser chooses what the tiles of one view show. It is pure.
type chooser struct {
	self           string // identity that is not shown
	bridge         bool   // other rooms are not shown, so that no picture goes round
	video, content bool   // what the leg may see
	fits           func(VideoKind) bool
	seats          []*seat // who has or had the floor first, then the others in the order of their coming
	before         []pick  // what the tiles showed
}

// choose answers a pick for each tile. The zero pick is nothing.
func (c *chooser) choose(tiles []Tile) []pick {
	picks := make([]pick, len(tiles))
	var taken []string // tracks
	for i, t := range tiles {
		if t.Seat == 0 || t.Height <= 0 {
			continue
		}
		if at := slices.IndexFunc(c.seats, func(s *seat) bool { return s.id == t.Seat }); at >= 0 {
			picks[i] = c.of(c.seats[at], t.Source)
			taken = append(taken, picks[i].track.SID)
		}
	}
	c.fill(picks, tiles, Content, c.candidates(Content, taken))
	c.fill(picks, tiles, Camera, c.candidates(Camera, taken))
	return picks
}

// of is what a seat shows of a source; without a source a screen, if there is one, else the camera.
func (c *chooser) of(s *seat, source Source) pick {
	if s.p.Identity == c.self || c.bridge && s.p.Attributes[BridgeAttribute] != "" {
		return pick{}
	}
	for _, want := range [...]Source{Content, Camera} {
		if source != "" && source != want || !c.sees(want) {
			continue
		}
		if t, ok := s.picture(want); ok {
			return pick{seat: s, source: want, track: t, unfit: !c.fits(t.Video.Kind)}
		}
	}
	return pick{}
}

func (c *chooser) sees(source Source) bool {
	if source == Content {
		return c.content
	}
	return c.video
}

// candidates are what tiles without a seat can show of a source, the most important first. Of screens it is the latest.
func (c *chooser) candidates(source Source, taken []string) []pick {
	var list []pick
	for _, s := range c.seats {
		if p := c.of(s, source); p.seat != nil && !p.unfit && !slices.Contains(taken, p.track.SID) {
			list = append(list, p)
		}
	}
	if source == Content {
		slices.SortStableFunc(list, func(a, b pick) int { return b.seat.shared - a.seat.shared })
	}
	return list
}

// fill gives candidates to those tiles without a seat that take their source and are empty. Who is shown already stays where they are, except that the first
// candidate is in the first such tile where that is the largest.
func (c *chooser) fill(picks []pick, tiles []Tile, source Source, list []pick) {
	var free []int
	for i, t := range tiles {
		if t.Seat == 0 && t.Height > 0 && picks[i].seat == nil && (t.Source == "" || t.Source == source) {
			free = append(free, i)
		}
	}
	list = list[:min(len(list), len(free))]
	if len(list) == 0 {
		return
	}
	place := func(tile int, p pick) {
		picks[tile] = p
		free = slices.DeleteFunc(free, func(i int) bool { return i == tile })
		list = slices.DeleteFunc(list, func(o pick) bool { return o.track.SID == p.track.SID })
	}
	if len(free) == 1 || tiles[free[0]].Height > tiles[free[1]].Height {
		place(free[0], list[0])
	}
	for _, p := range slices.Clone(list) {
		at := slices.IndexFunc(c.before, func(b pick) bool { return b.track.SID == p.track.SID })
		if at >= 0 && slices.Contains(free, at) {
			place(at, p)
		}
	}
	for len(list) > 0 {
		place(free[0], list[0])
	}
}

// newChooser is for one place. st.mu is held.
func (st *stage) newChooser(pl *place, seats []*seat) *chooser {
	c := &chooser{
		self: pl.identity, bridge: pl.bridge, video: pl.grant.Video.Receives(), content: pl.grant.Content.Receives(), seats: seats,
		fits: func(k VideoKind) bool {
			return slices.ContainsFunc(pl.codecs, func(c VideoCodec) bool { return c.Kind == k })
		},
	}
	for _, t := range pl.tiles {
		c.before = append(c.before, t.pick)
	}
	return c
}

// ranked are all seats in the order in which they are shown. st.mu is held.
func (st *stage) ranked() []*seat {
	list := make([]*seat, 0, len(st.seats))
	for _, s := range st.seats {
		list = append(list, s)
	}
	rank := func(s *seat) int {
		if i := slices.Index(st.floor.order, s.id); i >= 0 {
			return i - len(st.floor.order)
		}
		return s.came
	}
	slices.SortFunc(list, func(a, b *seat) int { return rank(a) - rank(b) })
	return list
}

// learns tells what a place may be told of the room.
func learns(g policy.Grant) (names, count bool) {
	return g.Learn == policy.LearnNames, g.Learn == policy.LearnNames || g.Learn == policy.LearnCount
}
