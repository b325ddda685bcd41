package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"passerelle/bridge/policy"
	"passerelle/transcode"
)

// Bounds of an answer's words.
const (
	maxText    = 200 // bytes of a refusal's text
	maxNotices = 8
	maxNumber  = 1_000_000
)

// answer is what the service says.
type answer struct {
	allow   bool
	refusal policy.Refusal // where not
	grant   policy.Grant   // where allowed
}

var noticeName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// parse reads an answer to a question in which granted was the grant. What the answer's grant leaves out is as granted. Anything in it that
// is not known makes the whole of no worth: a service that is not understood has not agreed.
func parse(b []byte, granted grant) (answer, error) {
	granted = written(granted.read()) // its lists are overwritten
	a := struct {
		Version int    `json:"version"`
		Allow   *bool  `json:"allow"`
		Text    string `json:"text"`
		Notice  string `json:"notice"`
		Grant   *grant `json:"grant"`
	}{Grant: &granted}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return answer{}, fmt.Errorf("its answer: %.200s", err.Error())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return answer{}, errors.New("its answer: something follows the JSON")
	}
	switch {
	case a.Version != version:
		return answer{}, fmt.Errorf("its answer: version %d: expected %d", a.Version, version)
	case a.Allow == nil:
		return answer{}, errors.New("its answer: allow is not there")
	case a.Notice != "" && !noticeName.MatchString(a.Notice):
		return answer{}, errors.New("its answer: notice: expected the name of a recording")
	case !*a.Allow:
		return answer{refusal: policy.Refusal{Reason: policy.Forbidden, Text: plain(a.Text), Notice: a.Notice}}, nil
	case a.Grant == nil: // null
		a.Grant = &granted
	}
	if err := a.Grant.check(); err != nil {
		return answer{}, fmt.Errorf("its answer: grant: %w", err)
	}
	return answer{allow: true, grant: a.Grant.read()}, nil
}

// plain makes a text fit for headers of signalling: one line of ASCII.
func plain(s string) string {
	if s = strings.TrimSpace(s); s == "" {
		return "The policy service does not allow this call"
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), maxText)]
}

// check refuses words and numbers that no grant has.
func (g grant) check() error {
	ways := []policy.Way{policy.Neither, policy.Send, policy.Receive, policy.Both}
	for key, ok := range map[string]bool{
		"audio":       slices.Contains(ways, g.Audio),
		"video":       slices.Contains(ways, g.Video),
		"content":     slices.Contains(ways, g.Content),
		"lobby":       slices.Contains([]policy.Lobby{policy.NoLobby, policy.WithHost, policy.AskHost}, g.Lobby),
		"encryption":  slices.Contains([]policy.Encryption{policy.Optional, policy.Prefer, policy.Require}, g.Encryption),
		"show_number": slices.Contains([]policy.Shown{policy.Hidden, policy.Masked, policy.Full}, g.ShowNumber),
		"learn":       slices.Contains([]policy.Learn{policy.LearnNothing, policy.LearnCount, policy.LearnNames}, g.Learn),
		"keys":        all(g.Keys, []policy.Key{policy.KeyMute, policy.KeyHand, policy.KeyVolume, policy.KeyCount}),
		"codecs":      all(g.Codecs, codecs()),
		"notices":     named(g.Notices.Caller) && named(g.Notices.Room),
		"picture":     count(g.Picture.Height) && count(g.Picture.Rate) && count(g.Picture.Kbps),
		"max_in_room": count(g.MaxInRoom),
		"max_source":  count(g.MaxSource),
		"max_rule":    count(g.MaxRule),
		"duration":    g.Duration >= 0,
		"idle":        g.Idle >= 0,
	} {
		if !ok {
			return fmt.Errorf("%s: not a value that a rule can have", key)
		}
	}
	return nil
}

func all[T comparable](list, known []T) bool {
	return !slices.ContainsFunc(list, func(v T) bool { return !slices.Contains(known, v) })
}

func named(list []string) bool {
	return len(list) <= maxNotices && !slices.ContainsFunc(list, func(s string) bool { return !noticeName.MatchString(s) })
}

func count(n int) bool { return n >= 0 && n <= maxNumber }

func codecs() (names []string) {
	for _, c := range transcode.Codecs() {
		names = append(names, c.Name)
	}
	return names
}

// narrow applies the answer to the decision that the question was about. Nothing that it says gives more than the rules do: what comes out is what both
// grant, in the rules' own words where they name things.
func (a answer) narrow(d policy.Decision) policy.Decision {
	if !a.allow {
		return refuse(d, a.refusal)
	}
	g := policy.Intersect(d.Grant, a.grant)
	g.Name, g.Banner, g.Room = d.Grant.Name, d.Grant.Banner, d.Grant.Room
	if g.Codecs != nil && len(g.Codecs) == 0 {
		g.Audio = policy.Neither
	}
	if g.Empty() {
		return refuse(d, policy.Refusal{Reason: policy.Forbidden, Text: "The policy service leaves nothing of this call"})
	}
	d.Grant = g
	return d
}
