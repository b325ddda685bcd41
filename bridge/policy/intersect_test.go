package policy

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"
)

// pick returns one of the words.
func pick[T any](r *rand.Rand, words ...T) T { return words[r.IntN(len(words))] }

// some returns a part of the words, in any order; nil for none.
func some[T any](r *rand.Rand, words ...T) []T {
	var out []T
	for _, i := range r.Perm(len(words))[:r.IntN(len(words)+1)] {
		out = append(out, words[i])
	}
	return out
}

// randomGrant makes any grant that a rule or a service could give.
func randomGrant(r *rand.Rand) Grant {
	network := netip.MustParsePrefix
	g := Grant{
		Foreign: pick(r, true, false), Room: pick(r, "", "a", "b"), Lobby: pick(r, lobbies()...),
		Audio: pick(r, Neither, Send, Receive, Both), Video: pick(r, Neither, Send, Receive, Both), Content: pick(r, Neither, Send, Receive, Both),
		Picture:    Picture{pick(r, 0, 360, 720), pick(r, 0, 15, 30), pick(r, 0, 500, 2000)},
		Encryption: pick(r, encryptions()...),
		Networks: some(r, network("192.0.2.0/24"), network("192.0.2.128/25"), network("198.51.100.0/24"), network("2001:db8::/32"),
			network("0.0.0.0/0")),
		Origins: some(r, "*", "https://a.example", "https://b.example"), Name: pick(r, "", "{name}", "Partner"), ShowNumber: pick(r, shown()...), Learn: pick(r, learnings()...),
		Notices: Notices{Caller: some(r, "recorded", "foreign"), Room: some(r, "foreign-here", "guest-here")},
		Banner:  pick(r, "", "FOREIGN"), Duration: pick(r, 0, time.Minute, time.Hour), Idle: pick(r, 0, time.Minute),
		MaxInRoom: pick(r, 0, 1, 5), MaxSource: pick(r, 0, 1, 5), MaxRule: pick(r, 0, 1, 5), Recording: pick(r, true, false),
		Keys: some(r, KeyMute, KeyHand, KeyVolume, KeyCount),
	}
	if pick(r, true, false) {
		if g.Codecs = some(r, "opus", "PCMA", "G722"); g.Codecs == nil {
			g.Codecs, g.Audio = []string{}, Neither
		}
	}
	return g
}

// within lists in which way a gives more than b, or is bound by less.
func within(a, b Grant) (beyond []string) {
	must := func(holds bool, what string) {
		if !holds {
			beyond = append(beyond, what)
		}
	}
	bound := func(x, y int) bool { return y == 0 || x != 0 && x <= y }
	must(a.Foreign || !b.Foreign, "foreign")
	must(a.Room == "" || a.Room == b.Room, "room")
	must(rank(lobbies(), a.Lobby) >= rank(lobbies(), b.Lobby), "lobby")
	for _, w := range [][2]Way{{a.Audio, b.Audio}, {a.Video, b.Video}, {a.Content, b.Content}} {
		must((!w[0].Sends() || w[1].Sends()) && (!w[0].Receives() || w[1].Receives()), "media")
	}
	must(bound(a.Picture.Height, b.Picture.Height) && bound(a.Picture.Rate, b.Picture.Rate) && bound(a.Picture.Kbps, b.Picture.Kbps), "picture")
	must(rank(encryptions(), a.Encryption) >= rank(encryptions(), b.Encryption), "encryption")
	must(b.Codecs == nil || a.Codecs != nil, "codecs")
	for _, c := range a.Codecs {
		must(b.Codecs == nil || slices.Contains(b.Codecs, c), "codec "+c)
	}
	for _, n := range a.Networks {
		must(slices.ContainsFunc(b.Networks, func(m netip.Prefix) bool { return m.Overlaps(n) && m.Bits() <= n.Bits() }), "network "+n.String())
	}
	for _, o := range a.Origins {
		must(b.TakesOrigin(o), "origin "+o)
	}
	must(rank(shown(), a.ShowNumber) >= rank(shown(), b.ShowNumber), "number")
	must(rank(learnings(), a.Learn) >= rank(learnings(), b.Learn), "learn")
	for _, n := range b.Notices.Caller {
		must(slices.Contains(a.Notices.Caller, n), "notice "+n)
	}
	for _, n := range b.Notices.Room {
		must(slices.Contains(a.Notices.Room, n), "notice "+n)
	}
	must(bound(int(a.Duration), int(b.Duration)) && bound(int(a.Idle), int(b.Idle)), "time")
	must(bound(a.MaxInRoom, b.MaxInRoom) && bound(a.MaxSource, b.MaxSource) && bound(a.MaxRule, b.MaxRule), "limits")
	must(!a.Recording || b.Recording, "recording")
	for _, k := range a.Keys {
		must(slices.Contains(b.Keys, k), "key")
	}
	return beyond
}

// sorted is the grant without what the order of a and b may decide.
func sorted(g Grant) Grant {
	g.Name, g.Banner = "", ""
	g.Codecs, g.Keys, g.Origins, g.Networks = sortedList(g.Codecs), sortedList(g.Keys), sortedList(g.Origins), slices.Clone(g.Networks)
	slices.SortFunc(g.Networks, func(a, b netip.Prefix) int { return a.Compare(b) })
	g.Notices = Notices{sortedList(g.Notices.Caller), sortedList(g.Notices.Room)}
	return g
}

func sortedList[T ~string](l []T) []T {
	l = slices.Clone(l)
	slices.Sort(l)
	return l
}

func TestIntersectNarrows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		a, b := randomGrant(r), randomGrant(r)
		g := Intersect(a, b)
		if m := append(within(g, a), within(g, b)...); m != nil {
			t.Fatalf("more than it may: %v\na %+v\nb %+v\ng %+v", m, a, b, g)
		}
		if o := Intersect(b, a); !reflect.DeepEqual(sorted(g), sorted(o)) {
			t.Fatalf("the order matters:\na %+v\nb %+v\n%+v\n%+v", a, b, g, o)
		}
		if again := Intersect(g, a); !reflect.DeepEqual(sorted(again), sorted(g)) {
			t.Fatalf("a second time changes it:\na %+v\nb %+v\n%+v\n%+v", a, b, g, again)
		}
		if self := Intersect(b, b); len(within(self, b))+len(within(b, self)) != 0 || self.Name != b.Name || self.Banner != b.Banner {
			t.Fatalf("a grant and itself:\n%+v\n%+v", b, self)
		}
	}
}

func TestUnionWidens(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		a, b := randomGrant(r), randomGrant(r)
		a.Room, b.Room = "x", "x" // a room of the union's own would be no more than theirs
		g := union(a, b)
		if m := append(within(a, g), within(b, g)...); m != nil {
			t.Fatalf("less than one of them: %v\na %+v\nb %+v\ng %+v", m, a, b, g)
		}
	}
}

func TestIntersect(t *testing.T) {
	for _, c := range []struct {
		name       string
		a, b, want Grant
	}{
		{
			"nothing said is the strictest",
			Grant{Audio: Both, Recording: true},
			Grant{},
			Grant{Lobby: AskHost, Audio: Neither, Video: Neither, Content: Neither, Encryption: Require, ShowNumber: Hidden, Learn: LearnNothing},
		},
		{
			"codecs without one in common",
			Grant{Audio: Both, Codecs: []string{"opus"}},
			Grant{Audio: Both, Codecs: []string{"PCMA"}},
			Grant{
				Lobby: AskHost, Audio: Neither, Video: Neither, Content: Neither, Encryption: Require, ShowNumber: Hidden, Learn: LearnNothing,
				Codecs: []string{},
			},
		},
		{
			"words of the first",
			Grant{Name: "a", Codecs: []string{"PCMA", "opus"}, Audio: Both, Banner: "x"},
			Grant{Name: "b", Codecs: []string{"opus", "G722", "PCMA"}, Audio: Send, Banner: "y"},
			Grant{
				Name: "a", Codecs: []string{"PCMA", "opus"}, Audio: Send, Banner: "x",
				Lobby: AskHost, Video: Neither, Content: Neither, Encryption: Require, ShowNumber: Hidden, Learn: LearnNothing,
			},
		},
	} {
		if got := Intersect(c.a, c.b); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

func TestIntersectLeavesItsArgumentsAlone(t *testing.T) {
	a := Grant{Notices: Notices{Caller: append(make([]string, 0, 4), "x")}}
	b := Grant{Notices: Notices{Caller: []string{"y"}}}
	Intersect(a, b)
	if extra := a.Notices.Caller[:2][1]; extra != "" {
		t.Errorf("%q was written behind the first grant's list", extra)
	}
}

func TestEmpty(t *testing.T) {
	if !(Grant{}).Empty() || (Grant{Content: Receive}).Empty() || !Intersect(Grant{Audio: Send}, Grant{Audio: Receive}).Empty() {
		t.Error("Empty is wrong")
	}
}
