package service

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"passerelle/bridge/policy"
)

// within tells where a grant gives more, or asks for less, than another: field by field, and not as policy.Intersect does it.
func within(g, of policy.Grant) error {
	index := func(word string, scale ...string) int { return slices.Index(scale, word) } // the stricter, the later
	bound := func(n, most int64) bool { return most == 0 || n > 0 && n <= most }
	for what, ok := range map[string]bool{
		"foreign":     g.Foreign || !of.Foreign,
		"room":        g.Room == of.Room,
		"lobby":       index(string(g.Lobby), "none", "host", "ask") >= index(string(of.Lobby), "none", "host", "ask"),
		"audio":       (!g.Audio.Sends() || of.Audio.Sends()) && (!g.Audio.Receives() || of.Audio.Receives()),
		"video":       (!g.Video.Sends() || of.Video.Sends()) && (!g.Video.Receives() || of.Video.Receives()),
		"content":     (!g.Content.Sends() || of.Content.Sends()) && (!g.Content.Receives() || of.Content.Receives()),
		"height":      bound(int64(g.Picture.Height), int64(of.Picture.Height)),
		"rate":        bound(int64(g.Picture.Rate), int64(of.Picture.Rate)),
		"kbps":        bound(int64(g.Picture.Kbps), int64(of.Picture.Kbps)),
		"encryption":  index(string(g.Encryption), "optional", "prefer", "require") >= index(string(of.Encryption), "optional", "prefer", "require"),
		"name":        g.Name == of.Name,
		"banner":      g.Banner == of.Banner,
		"show_number": index(string(g.ShowNumber), "full", "masked", "hidden") >= index(string(of.ShowNumber), "full", "masked", "hidden"),
		"learn":       index(string(g.Learn), "names", "count", "nothing") >= index(string(of.Learn), "names", "count", "nothing"),
		"duration":    bound(int64(g.Duration), int64(of.Duration)),
		"idle":        bound(int64(g.Idle), int64(of.Idle)),
		"max_in_room": bound(int64(g.MaxInRoom), int64(of.MaxInRoom)),
		"max_source":  bound(int64(g.MaxSource), int64(of.MaxSource)),
		"max_rule":    bound(int64(g.MaxRule), int64(of.MaxRule)),
		"recording":   of.Recording || !g.Recording,
		"keys":        !slices.ContainsFunc(g.Keys, func(k policy.Key) bool { return !slices.Contains(of.Keys, k) }),
		"codecs":      of.Codecs == nil || g.Codecs != nil && !slices.ContainsFunc(g.Codecs, func(c string) bool { return !slices.Contains(of.Codecs, c) }),
		"notices": !slices.ContainsFunc(of.Notices.Caller, func(n string) bool { return !slices.Contains(g.Notices.Caller, n) }) &&
			!slices.ContainsFunc(of.Notices.Room, func(n string) bool { return !slices.Contains(g.Notices.Room, n) }),
	} {
		if !ok {
			return fmt.Errorf("%s is wider than the rules grant: %+v, of %+v", what, g, of)
		}
	}
	for _, n := range g.Networks {
		if !slices.ContainsFunc(of.Networks, func(p netip.Prefix) bool { return p.Contains(n.Addr()) && p.Bits() <= n.Bits() }) {
			return fmt.Errorf("network %s is wider than the rules grant", n)
		}
	}
	for _, o := range g.Origins {
		if !of.TakesOrigin(o) {
			return fmt.Errorf("origin %s is wider than the rules grant", o)
		}
	}
	return nil
}

// FuzzAnswer: whatever a service says, what comes out is never more than the rules grant.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"version":1,"allow":true}`, `{"version":1,"allow":false,"text":"no","notice":"notice_x"}`, `{"version":1,"allow":true,"grant":{"audio":"receive"}}`,
		`{"version":1,"allow":true,"grant":{"codecs":null,"networks":["0.0.0.0/0"],"duration":"0s","picture":{"height":0},"notices":{"room":[]}}}`,
		`{"version":1,"allow":true,"grant":{"keys":["mute","count"],"learn":"names","show_number":"full","max_rule":0,"foreign":false}}`,
		`{"version":1,"allow":true,"grant":{"networks":["198.51.100.128/25","2001:db8::/32"],"codecs":[],"origins":["*"],"room":"x","name":"x","banner":"x"}}`,
		`[]`, `{"grant":{"grant":{}}}`, `{"version":1,"allow":true,"grant":{"duration":"9999999h"}}`,
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, rich bool) {
		d := someDecision()
		if !rich {
			d.Grant = policy.Grant{
				Lobby: policy.NoLobby, Audio: policy.Both, Video: policy.Neither, Content: policy.Neither,
				Encryption: policy.Optional, ShowNumber: policy.Hidden, Learn: policy.LearnNothing,
			}
		}
		a, err := parse(b, written(d.Grant))
		if err != nil {
			return
		}
		got := a.narrow(d)
		switch {
		case got.Allowed:
			if err := within(got.Grant, d.Grant); err != nil {
				t.Error(err)
			}
		case got.Refusal.Reason != policy.Forbidden || got.Refusal.Text == "" || len(got.Refusal.Text) > maxText:
			t.Errorf("a refusal of %+v", got.Refusal)
		}
		for _, r := range got.Refusal.Text {
			if r < ' ' || r > '~' {
				t.Errorf("a refusal with %q", r)
			}
		}
	})
}
