package sdp

import (
	"slices"
	"strings"

	"passerelle/transcode"
)

const (
	telephoneEvent = "telephone-event"
	comfortNoise   = 13
	maxEvents      = 4 // clock rates of telephone-events that are answered
)

// digits are the events that we take: 0-9 * # A-D (RFC 4733, section 3.2).
const digits = "0-15"

// telephoneEvents picks the telephone-event formats. The one with the codec's clock rate comes first: a sender has to use that one, so that
// digits and sound share one clock (RFC 4733, section 2.1), and devices that know only one take the first.
func telephoneEvents(formats []format, c transcode.Codec) (list []format) {
	for _, f := range formats {
		if strings.EqualFold(f.name, telephoneEvent) && len(list) < maxEvents {
			list = append(list, f)
		}
	}
	slices.SortStableFunc(list, func(x, y format) int {
		switch {
		case x.clock == c.ClockRate && y.clock != c.ClockRate:
			return -1
		case y.clock == c.ClockRate && x.clock != c.ClockRate:
			return 1
		}
		return 0
	})
	return list
}

// answerEvents says which events we take. A hook flash (16) means nothing to us and is not refused where it is offered: some devices
// compare the lists as text.
func answerEvents(f format) format {
	if f.fmtp == "0-16" {
		return f
	}
	f.fmtp = digits
	return f
}

func eventsOf(formats []format) (list []Events) {
	for _, f := range formats {
		list = append(list, Events{PayloadType: f.pt, ClockRate: f.clock})
	}
	return list
}

// hasNoise tells whether comfort noise (RFC 3389) is among the formats and fits the codec's clock.
func hasNoise(formats []format, c transcode.Codec) bool {
	return c.ClockRate == 8000 && slices.ContainsFunc(formats, func(f format) bool {
		return f.pt == comfortNoise && strings.EqualFold(f.name, "CN") && f.clock == 8000
	})
}

// offeredEvents makes the telephone-event formats of an offer: one for each clock rate of the codecs, 8000 first, where every device looks for it.
func offeredEvents(codecs []transcode.Codec) (list []format) {
	taken := func(pt uint8) bool {
		return slices.ContainsFunc(codecs, func(c transcode.Codec) bool { return c.PayloadType == pt })
	}
	next := uint8(101) // what most devices use
	for _, clock := range [...]int{8000, 16000, 48000} {
		if !slices.ContainsFunc(codecs, func(c transcode.Codec) bool { return c.ClockRate == clock }) {
			continue
		}
		for taken(next) {
			next++
		}
		list = append(list, format{pt: next, name: telephoneEvent, clock: clock, fmtp: digits})
		next++
	}
	return list
}
