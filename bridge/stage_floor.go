package bridge

import (
	"slices"
	"time"
)

// How soon the floor changes hands. Who laughs, coughs or agrees does not take it.
const (
	floorHold  = 2 * time.Second        // that a speaker keeps it against others
	floorClaim = 700 * time.Millisecond // that another has to be the loudest for
	floorQuick = 250 * time.Millisecond // the same, where the holder is silent
)

// floor is who has the floor, and who had it before: the order in which seats are shown. It is pure: time is told to it.
type floor struct {
	order      []SeatID // who has it, who had it before, and so on
	taken      time.Time
	challenger SeatID
	since      time.Time
}

// heard takes who speaks, the loudest first, and tells whether the floor has changed hands, and when it may without anybody telling.
func (f *floor) heard(loudest []SeatID, now time.Time) (changed bool, next time.Time) {
	if len(loudest) == 0 {
		f.challenger = 0
		return false, time.Time{}
	}
	first := loudest[0]
	if len(f.order) == 0 {
		f.take(first, now)
		return true, time.Time{}
	}
	if first == f.order[0] {
		f.challenger = 0
		return false, time.Time{}
	}
	if f.challenger != first {
		f.challenger, f.since = first, now
	}
	at := f.since.Add(floorQuick)
	if slices.Contains(loudest, f.order[0]) {
		at = f.since.Add(floorClaim)
		if held := f.taken.Add(floorHold); held.After(at) {
			at = held
		}
	}
	if now.Before(at) {
		return false, at
	}
	f.take(first, now)
	return true, time.Time{}
}

func (f *floor) take(id SeatID, now time.Time) {
	f.forget(id)
	f.order = slices.Insert(f.order, 0, id)
	f.taken, f.challenger = now, 0
}

// forget takes a seat out that is gone.
func (f *floor) forget(id SeatID) {
	f.order = slices.DeleteFunc(f.order, func(o SeatID) bool { return o == id })
}
