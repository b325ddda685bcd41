package policy

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // hosts and containers may have no zones of their own
)

// window is a part of the week on the clock on the wall of one zone: days on which it begins, from a minute of the day up to another, which
// lies on the next day where it is not later. Clocks that are put forward or back need no care: what counts is the time that a person there reads.
type window struct {
	zone     int // in set.zones
	days     uint8
	from, to int // minutes since midnight; to: first that is not in it, up to from + 24 h
	holidays holidayRule
}

type holidayRule uint8

const (
	anyDay holidayRule = iota
	except             // not where it begins on a holiday
	only               // only there
)

const (
	dayMinutes = 24 * 60
	allDays    = 1<<7 - 1
)

// moment is a time as the clock in one zone shows it.
type moment struct {
	minute           int
	weekday          time.Weekday
	today, yesterday bool // a holiday
}

// holidays are days of each year, or of one.
type holidays map[holiday]struct{}

// holiday is a date; year 0: each.
type holiday struct {
	year  int
	month time.Month
	day   int
}

func (h holidays) has(year int, month time.Month, day int) bool {
	if len(h) == 0 {
		return false
	}
	if _, ok := h[holiday{0, month, day}]; ok {
		return true
	}
	_, ok := h[holiday{year, month, day}]
	return ok
}

func newMoment(t time.Time, zone *time.Location, h holidays) moment {
	t = t.In(zone)
	hour, minute, _ := t.Clock()
	y, m, d := t.Date()
	before := time.Date(y, m, d-1, 0, 0, 0, 0, time.UTC)
	return moment{hour*60 + minute, t.Weekday(), h.has(y, m, d), h.has(before.Date())}
}

// holds tells whether a moment is in the window: in the part that began today or in the one that began yesterday.
func (w *window) holds(m moment) bool {
	if w.begins(m.weekday, m.today) && m.minute >= w.from && m.minute < w.to {
		return true
	}
	return w.begins((m.weekday+6)%7, m.yesterday) && m.minute+dayMinutes < w.to
}

func (w *window) begins(day time.Weekday, isHoliday bool) bool {
	return w.days&(1<<day) != 0 && (w.holidays == anyDay || isHoliday == (w.holidays == only))
}

// within tells whether every moment of w is one of o, where that is easy to see.
func (w *window) within(o *window) bool {
	return w.zone == o.zone && w.days&^o.days == 0 && w.from >= o.from && w.to <= o.to && (o.holidays == anyDay || o.holidays == w.holidays)
}

// String says the window as the file does: "mon-fri 08:00-19:00 except holidays".
func (w *window) String() string {
	var parts []string
	if w.days != allDays {
		parts = append(parts, dayNames(w.days))
	}
	if w.to-w.from != dayMinutes || w.from != 0 {
		end := w.to
		if end > dayMinutes {
			end -= dayMinutes
		}
		parts = append(parts, fmt.Sprintf("%02d:%02d-%02d:%02d", w.from/60, w.from%60, end/60, end%60))
	}
	switch w.holidays {
	case except:
		parts = append(parts, "except holidays")
	case only:
		parts = append(parts, "only on holidays")
	}
	if parts == nil {
		return "always"
	}
	return strings.Join(parts, " ")
}

// weekdays are the names of days, from Monday on.
func weekdays() []string { return []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} }

// dayNames writes a set of days: "mon-fri, sun".
func dayNames(days uint8) string {
	names := weekdays()
	has := func(i int) bool { return i < 7 && days&(1<<((i+1)%7)) != 0 }
	var parts []string
	for i := 0; i < 7; i++ {
		if !has(i) {
			continue
		}
		first := i
		for has(i + 1) {
			i++
		}
		switch {
		case first == i:
			parts = append(parts, names[i])
		case first+1 == i:
			parts = append(parts, names[first], names[i])
		default:
			parts = append(parts, names[first]+"-"+names[i])
		}
	}
	return strings.Join(parts, ", ")
}
