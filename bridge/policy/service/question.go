package service

import (
	"crypto/sha256"
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"passerelle/bridge/policy"
)

// version is that of questions and answers.
const version = 1

// question is what the service is asked: what is known of a call, and what the rules grant it. The typed PIN is not part of it.
type question struct {
	Version int   `json:"version"`
	At      *at   `json:"at,omitempty"`
	Facts   facts `json:"facts"`
	Rule    rule  `json:"rule"`
	Grant   grant `json:"grant"`
}

// at is a time to the second, with its zone.
type at time.Time

// MarshalText implements encoding.TextMarshaler.
func (a at) MarshalText() ([]byte, error) { return []byte(time.Time(a).Format(time.RFC3339)), nil }

// facts are policy.Facts. What is not known is empty.
type facts struct {
	Direction policy.Direction `json:"direction"`
	Protocol  string           `json:"protocol"`
	Trunk     string           `json:"trunk"`
	Source    netip.Addr       `json:"source"`
	Transport string           `json:"transport"`
	Encrypted bool             `json:"encrypted"`
	Caller    string           `json:"caller"`
	Called    string           `json:"called"`
	Identity  string           `json:"identity"`
	Platform  string           `json:"platform"`
	Link      string           `json:"link"`
	Room      string           `json:"room"`
	Class     string           `json:"class"`
	InRoom    int              `json:"in_room"`
	OfSource  int              `json:"of_source"`
	OfRule    int              `json:"of_rule"` // under the rule that grants
}

// rule is the one that grants.
type rule struct {
	Name    string `json:"name"`
	Version string `json:"version"` // of all rules
	Open    bool   `json:"open"`    // the room is not known yet, and the service is asked again when it is
}

// grant is policy.Grant, in the words of a file of rules.
type grant struct {
	Foreign    bool              `json:"foreign"`
	Room       string            `json:"room"`
	Lobby      policy.Lobby      `json:"lobby"`
	Audio      policy.Way        `json:"audio"`
	Video      policy.Way        `json:"video"`
	Content    policy.Way        `json:"content"`
	Picture    picture           `json:"picture"`
	Encryption policy.Encryption `json:"encryption"`
	Codecs     []string          `json:"codecs"` // null: the trunk's
	Networks   []netip.Prefix    `json:"networks"`
	Hosts      []string          `json:"hosts"`
	Origins    []string          `json:"origins"`
	Name       string            `json:"name"`
	ShowNumber policy.Shown      `json:"show_number"`
	Learn      policy.Learn      `json:"learn"`
	Notices    notices           `json:"notices"`
	Banner     string            `json:"banner"`
	Duration   duration          `json:"duration"`
	Idle       duration          `json:"idle"`
	MaxInRoom  int               `json:"max_in_room"`
	MaxSource  int               `json:"max_source"`
	MaxRule    int               `json:"max_rule"`
	Recording  bool              `json:"recording"`
	Keys       []policy.Key      `json:"keys"`
}

type picture struct {
	Height int `json:"height"`
	Rate   int `json:"rate"`
	Kbps   int `json:"kbps"`
}

type notices struct {
	Caller []string `json:"caller"`
	Room   []string `json:"room"`
}

// duration is written as in a file of rules: 1h30m0s. 0s is no bound.
type duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = duration(v)
	return err
}

// ask puts the question about a call.
func ask(f policy.Facts, d policy.Decision) question {
	when := at(f.At)
	return question{
		Version: version, At: &when,
		Facts: facts{
			Direction: f.Direction, Protocol: f.Protocol, Trunk: f.Trunk, Source: f.Source, Transport: f.Transport, Encrypted: f.Encrypted,
			Caller: f.Caller, Called: f.Called, Identity: f.Identity, Platform: f.Platform, Link: f.Link, Room: f.Room, Class: f.Class,
			InRoom: f.InRoom, OfSource: f.OfSource, OfRule: f.OfRule[d.Rule],
		},
		Rule:  rule{d.Rule, d.Version, d.Open},
		Grant: written(d.Grant),
	}
}

// key is the question without its time, by which an answer is found again.
func (q question) key() ([sha256.Size]byte, error) {
	q.At = nil
	b, err := json.Marshal(q)
	return sha256.Sum256(b), err
}

// written is a grant as it is sent. It shares nothing with g.
func written(g policy.Grant) grant {
	return grant{
		Foreign: g.Foreign, Room: g.Room, Lobby: g.Lobby, Audio: g.Audio, Video: g.Video, Content: g.Content, Picture: picture(g.Picture),
		Encryption: g.Encryption, Codecs: slices.Clone(g.Codecs), Networks: slices.Clone(g.Networks), Hosts: slices.Clone(g.Hosts), Origins: slices.Clone(g.Origins),
		Name: g.Name, ShowNumber: g.ShowNumber,
		Learn: g.Learn, Notices: notices{slices.Clone(g.Notices.Caller), slices.Clone(g.Notices.Room)}, Banner: g.Banner,
		Duration: duration(g.Duration), Idle: duration(g.Idle), MaxInRoom: g.MaxInRoom, MaxSource: g.MaxSource, MaxRule: g.MaxRule,
		Recording: g.Recording, Keys: slices.Clone(g.Keys),
	}
}

// read is the grant that was sent.
func (g grant) read() policy.Grant {
	return policy.Grant{
		Foreign: g.Foreign, Room: g.Room, Lobby: g.Lobby, Audio: g.Audio, Video: g.Video, Content: g.Content, Picture: policy.Picture(g.Picture),
		Encryption: g.Encryption, Codecs: g.Codecs, Networks: g.Networks, Hosts: g.Hosts, Origins: g.Origins, Name: g.Name, ShowNumber: g.ShowNumber, Learn: g.Learn,
		Notices: policy.Notices(g.Notices), Banner: g.Banner, Duration: time.Duration(g.Duration), Idle: time.Duration(g.Idle),
		MaxInRoom: g.MaxInRoom, MaxSource: g.MaxSource, MaxRule: g.MaxRule, Recording: g.Recording, Keys: g.Keys,
	}
}
