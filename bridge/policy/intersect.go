package policy

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Intersect is what both grants give: never more than either of them, and under the duties (lobby, encryption, notices, being foreign) of both.
// Words and orders of preference, where both have some, are those of a; but for them, the order of the two does not matter. Grants that have no
// codec in common let no sound cross: see Empty. Rooms that differ leave the question for a PIN.
func Intersect(a, b Grant) Grant {
	g := Grant{
		Foreign:    a.Foreign || b.Foreign,
		Lobby:      stricter(lobbies(), a.Lobby, b.Lobby),
		Audio:      a.Audio.and(b.Audio),
		Video:      a.Video.and(b.Video),
		Content:    a.Content.and(b.Content),
		Picture:    Picture{lower(a.Picture.Height, b.Picture.Height), lower(a.Picture.Rate, b.Picture.Rate), lower(a.Picture.Kbps, b.Picture.Kbps)},
		Encryption: stricter(encryptions(), a.Encryption, b.Encryption),
		Networks:   commonNetworks(a.Networks, b.Networks),
		Hosts:      common(a.Hosts, b.Hosts),
		Origins:    commonOrigins(a.Origins, b.Origins),
		Name:       cmp.Or(a.Name, b.Name),
		ShowNumber: stricter(shown(), a.ShowNumber, b.ShowNumber),
		Learn:      stricter(learnings(), a.Learn, b.Learn),
		Notices:    Notices{Caller: either(a.Notices.Caller, b.Notices.Caller), Room: either(a.Notices.Room, b.Notices.Room)},
		Banner:     cmp.Or(a.Banner, b.Banner),
		Duration:   lower(a.Duration, b.Duration),
		Idle:       lower(a.Idle, b.Idle),
		MaxInRoom:  lower(a.MaxInRoom, b.MaxInRoom),
		MaxSource:  lower(a.MaxSource, b.MaxSource),
		MaxRule:    lower(a.MaxRule, b.MaxRule),
		Recording:  a.Recording && b.Recording,
		Keys:       common(a.Keys, b.Keys),
	}
	if a.Room == b.Room {
		g.Room = a.Room
	}
	switch {
	case a.Codecs == nil:
		g.Codecs = b.Codecs
	case b.Codecs == nil:
		g.Codecs = a.Codecs
	default:
		if g.Codecs = common(a.Codecs, b.Codecs); g.Codecs == nil {
			g.Codecs, g.Audio = []string{}, Neither // nil would mean all that the trunk has
		}
	}
	return g
}

// Empty tells that nothing crosses: a call with such a grant has no use and is better refused.
func (g Grant) Empty() bool {
	return g.Audio.and(Both) == Neither && g.Video.and(Both) == Neither && g.Content.and(Both) == Neither
}

// The words of each scale, the most generous first.
func lobbies() []Lobby          { return []Lobby{NoLobby, WithHost, AskHost} }
func encryptions() []Encryption { return []Encryption{Optional, Prefer, Require} }
func shown() []Shown            { return []Shown{Full, Masked, Hidden} }
func learnings() []Learn        { return []Learn{LearnNames, LearnCount, LearnNothing} }

// stricter is the word that stands later on its scale. A word that is not on it is as strict as the last.
func stricter[T ~string](scale []T, a, b T) T {
	return scale[max(rank(scale, a), rank(scale, b))]
}

// milder is the word that stands earlier on its scale.
func milder[T ~string](scale []T, a, b T) T {
	return scale[min(rank(scale, a), rank(scale, b))]
}

func rank[T ~string](scale []T, word T) int {
	if i := slices.Index(scale, word); i >= 0 {
		return i
	}
	return len(scale) - 1
}

func (w Way) and(o Way) Way { return way(w.Sends() && o.Sends(), w.Receives() && o.Receives()) }

func (w Way) or(o Way) Way { return way(w.Sends() || o.Sends(), w.Receives() || o.Receives()) }

func way(sends, receives bool) Way {
	switch {
	case sends && receives:
		return Both
	case sends:
		return Send
	case receives:
		return Receive
	}
	return Neither
}

// lower is the lower of two bounds, of which 0 is none.
func lower[T int | time.Duration](a, b T) T {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// higher is the higher of two bounds, of which 0 is none.
func higher[T int | time.Duration](a, b T) T {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// common holds what is in both lists, in the order of a; nil: nothing.
func common[T comparable](a, b []T) []T {
	var out []T
	for _, v := range a {
		if slices.Contains(b, v) && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// either holds what is in one of the lists, a's first.
func either[T comparable](a, b []T) []T {
	if len(b) == 0 {
		return a
	}
	out := slices.Clip(a)
	for _, v := range b {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// commonNetworks holds the addresses that are in both lists: of two networks that overlap, one is within the other.
func commonNetworks(a, b []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, x := range a {
		for _, y := range b {
			if !x.Overlaps(y) {
				continue
			}
			if narrow := longer(x, y); !slices.Contains(out, narrow) {
				out = append(out, narrow)
			}
		}
	}
	return out
}

func longer(x, y netip.Prefix) netip.Prefix {
	if y.Bits() > x.Bits() {
		return y
	}
	return x
}
