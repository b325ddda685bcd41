package bridge

import (
	"reflect"
	"slices"
	"time"
)

// scene is what a place may know now. st.mu is held.
func (st *stage) scene(pl *place) *Scene {
	names, count := learns(pl.grant)
	sc := new(Scene)
	if count {
		sc.People = len(st.seats)
		if st.seats[pl.identity] == nil {
			sc.People++ // the listener has not been told of this guest yet
		}
	}
	if names {
		sc.Edition = st.edition
		if pl.shown != nil && pl.shown.Edition == st.edition {
			sc.Seats = pl.shown.Seats
		} else {
			sc.Seats = st.told(pl)
		}
		for _, id := range st.speaking {
			if s := st.byID(id); s != nil && s.p.Identity != pl.identity {
				sc.Speakers = append(sc.Speakers, id)
			}
		}
	}
	for i := range pl.view.Tiles {
		sc.Tiles = append(sc.Tiles, st.tileScene(pl.tiles[i], names))
	}
	sc.Camera, sc.Content = pl.sendingScene(Camera), pl.sendingScene(Content)
	return sc
}

// told are the seats as a place is told of them.
func (st *stage) told(pl *place) []Seat {
	list := make([]Seat, 0, len(st.roster))
	for _, s := range st.roster {
		if s.p.Identity == pl.identity {
			continue
		}
		_, camera := s.picture(Camera)
		_, content := s.picture(Content)
		list = append(list, Seat{
			ID: s.id, Name: s.p.Name, Phone: s.p.Phone, Hand: s.p.Attributes[handAttribute] != "",
			Muted:  !slices.ContainsFunc(s.p.Tracks, func(t TrackInfo) bool { return t.Audio && !t.Muted }),
			Camera: camera && pl.grant.Video.Receives(), Content: content && pl.grant.Content.Receives(),
		})
	}
	return list
}

func (st *stage) tileScene(t *tile, names bool) Shown {
	if t.pick.seat == nil {
		return Shown{}
	}
	sh := Shown{
		Source: t.pick.source, Speaking: slices.Contains(st.speaking, t.pick.seat.id),
		Width: t.pick.track.Video.Width, Height: t.pick.track.Video.Height, Unfit: t.pick.unfit,
		Waiting: !t.pick.unfit && (t.paused || t.want == nil || t.current.Load() != t.want),
	}
	if names {
		sh.Seat = t.pick.seat.id
	}
	return sh
}

func (pl *place) sendingScene(source Source) Sending {
	s := Sending{Allowed: pl.allowed(source), Height: pl.grant.Picture.Height, Rate: pl.grant.Picture.Rate, Kbps: pl.grant.Picture.Kbps}
	s.Live, s.Wanted = pl.sends[source].state()
	return s
}

// sameScene tells whether two scenes say the same.
func sameScene(a, b *Scene) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Edition == b.Edition && a.People == b.People && a.Camera == b.Camera && a.Content == b.Content &&
		slices.Equal(a.Speakers, b.Speakers) && slices.Equal(a.Tiles, b.Tiles) &&
		(a.Seats == nil) == (b.Seats == nil)
}

// visible is what of a participant matters to scenes: other changes are none.
func visible(a, b Participant) bool {
	return a.SID == b.SID && a.Name == b.Name && a.Phone == b.Phone && a.Attributes[handAttribute] == b.Attributes[handAttribute] &&
		a.Attributes[BridgeAttribute] == b.Attributes[BridgeAttribute] && reflect.DeepEqual(a.Tracks, b.Tracks)
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
