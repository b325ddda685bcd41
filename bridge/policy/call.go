package policy

import "net/netip"

// call is what a decision works on: the facts, and what follows from them, found out once and only where a rule asks.
type call struct {
	facts   *Facts
	set     *Set
	source  netip.Addr
	unknown uint32 // keys of which nothing is known while the room is not, a bit each

	class, caller, called derived
	moments               [8]moment // of the set's first zones
	have                  uint8     // of moments, a bit each
}

// derived is a text that was found out.
type derived struct {
	text string
	done bool
}

func newCall(s *Set, f *Facts) call {
	k := call{facts: f, set: s, source: f.Source.Unmap().WithZone("")}
	if f.Room == "" {
		k.unknown = 1<<keyRoom | 1<<keyInRoom
		if f.Class == "" {
			k.unknown |= 1 << keyClass
		}
	}
	return k
}

// text is what a condition of a text looks at; empty: there is none.
func (k *call) text(what key) string {
	f := k.facts
	switch what {
	case keyTrunk:
		return f.Trunk
	case keyProtocol:
		return f.Protocol
	case keyDirection:
		return string(f.Direction)
	case keyTransport:
		return f.Transport
	case keyPlatform:
		return f.Platform
	case keyLink:
		return f.Link
	case keyRoom:
		return f.Room
	case keyClass:
		return k.classOf()
	case keyIdentity:
		return f.Identity
	case keyCaller:
		return f.Caller
	case keyCalled:
		return f.Called
	case keyCallerCountry:
		return k.caller.country(f.Caller)
	case keyCalledCountry:
		return k.called.country(f.Called)
	}
	return ""
}

func (k *call) classOf() string {
	if k.facts.Class != "" || k.facts.Room == "" {
		return k.facts.Class
	}
	if !k.class.done {
		k.class = derived{k.set.class(k.facts.Room), true}
	}
	return k.class.text
}

func (d *derived) country(number string) string {
	if !d.done {
		*d = derived{countryOf(number), true}
	}
	return d.text
}

func (k *call) count(what key) int {
	if what == keyInRoom {
		return k.facts.InRoom
	}
	return k.facts.OfSource
}

// in tells whether the call's time is in a window. A time that is not known is in none.
func (k *call) in(w *window) bool {
	return !k.facts.At.IsZero() && w.holds(k.moment(w.zone))
}

func (k *call) moment(zone int) moment {
	if zone >= len(k.moments) {
		return newMoment(k.facts.At, k.set.zones[zone], k.set.holidays)
	}
	if k.have&(1<<zone) == 0 {
		k.moments[zone] = newMoment(k.facts.At, k.set.zones[zone], k.set.holidays)
		k.have |= 1 << zone
	}
	return k.moments[zone]
}
