package policy

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"passerelle/transcode"
)

// least is what a grant gives where nothing more is said: sound both ways and the keys for one's own ear and mouth. The caller proves by a PIN
// what room they may enter.
func least() Grant {
	return Grant{
		Lobby: NoLobby, Audio: Both, Video: Neither, Content: Neither, Encryption: Optional, ShowNumber: Masked, Learn: LearnNothing,
		Recording: true, Keys: []Key{KeyMute, KeyHand, KeyVolume},
	}
}

// grant reads what a rule gives, and refuses what contradicts itself or the rule's conditions.
func (p *parser) grant(n *yaml.Node, r *rule) Grant {
	g := least()
	said := map[string]*yaml.Node{}
	read := func(key string, read func(*yaml.Node)) entry {
		return entry{key, func(n *yaml.Node) { said[key] = n; read(n) }}
	}
	way := func(key string, to *Way) entry {
		return read(key, func(n *yaml.Node) { word(&p.reader, n, to, Neither, Send, Receive, Both) })
	}
	limit := func(key string, to *int) entry {
		return read(key, func(n *yaml.Node) { p.reader.number(n, to, 1, 1_000_000) })
	}
	p.mapping(n,
		read("foreign", func(n *yaml.Node) { p.boolean(n, &g.Foreign) }),
		read("room", func(n *yaml.Node) { g.Room, _ = p.text(n, maxText) }),
		read("lobby", func(n *yaml.Node) { word(&p.reader, n, &g.Lobby, lobbies()...) }),
		way("audio", &g.Audio), way("video", &g.Video), way("content", &g.Content),
		read("picture", func(n *yaml.Node) { p.picture(n, &g.Picture) }),
		read("encryption", func(n *yaml.Node) { word(&p.reader, n, &g.Encryption, encryptions()...) }),
		read("codecs", func(n *yaml.Node) { words(&p.reader, n, &g.Codecs, codecs()...) }),
		read("networks", func(n *yaml.Node) { g.Networks = p.networks(n) }),
		read("hosts", func(n *yaml.Node) { g.Hosts = p.hosts(n) }),
		read("origins", func(n *yaml.Node) { g.Origins = p.readOrigins(n) }),
		read("name", func(n *yaml.Node) { g.Name, _ = p.text(n, maxText) }),
		read("show_number", func(n *yaml.Node) { word(&p.reader, n, &g.ShowNumber, shown()...) }),
		read("learn", func(n *yaml.Node) { word(&p.reader, n, &g.Learn, learnings()...) }),
		read("notices", func(n *yaml.Node) { p.notices(n, &g.Notices) }),
		read("banner", func(n *yaml.Node) { g.Banner, _ = p.text(n, maxText) }),
		read("duration", func(n *yaml.Node) { p.duration(n, &g.Duration) }),
		read("idle", func(n *yaml.Node) { p.duration(n, &g.Idle) }),
		limit("max_in_room", &g.MaxInRoom), limit("max_source", &g.MaxSource), limit("max_rule", &g.MaxRule),
		read("recording", func(n *yaml.Node) { p.boolean(n, &g.Recording) }),
		read("keys", func(n *yaml.Node) { words(&p.reader, n, &g.Keys, allKeys()...) }))
	switch keys := said["keys"]; {
	case keys == nil && g.Learn != LearnNothing:
		g.Keys = allKeys()
	case keys != nil && keys.Value == "all" && g.Learn == LearnNothing:
		g.Keys = least().Keys
	}
	p.weigh(n, &g, r, said)
	return g
}

// hosts reads DNS names.
func (p *parser) hosts(n *yaml.Node) []string {
	var names []string
	for _, item := range p.list(n) {
		if item.Kind != yaml.ScalarNode || len(item.Value) > 253 || !regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z][a-zA-Z0-9-]{0,62}$`).MatchString(item.Value) {
			p.refuse(item, "expected the name of a host, such as media.partner.example; addresses belong to networks")
			continue
		}
		names = append(names, strings.ToLower(item.Value))
	}
	if len(names) > 16 {
		p.refuse(n, "expected at most 16 hosts")
	}
	return names
}

func allKeys() []Key { return []Key{KeyMute, KeyHand, KeyVolume, KeyCount} }

// codecs are the names of the codecs of sound.
func codecs() []string {
	var names []string
	for _, c := range transcode.Codecs() {
		if !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

func (p *parser) picture(n *yaml.Node, to *Picture) {
	p.mapping(n,
		entry{"height", func(n *yaml.Node) { p.reader.number(n, &to.Height, 90, 2160) }},
		entry{"rate", func(n *yaml.Node) { p.reader.number(n, &to.Rate, 1, 60) }},
		entry{"kbps", func(n *yaml.Node) { p.reader.number(n, &to.Kbps, 64, 50_000) }})
}

func (p *parser) notices(n *yaml.Node, to *Notices) {
	p.mapping(n,
		entry{"caller", func(n *yaml.Node) { to.Caller = p.prompts(n) }},
		entry{"room", func(n *yaml.Node) { to.Room = p.prompts(n) }})
}

// prompts reads names of recordings.
func (p *parser) prompts(n *yaml.Node) []string {
	var names []string
	for _, item := range p.list(n) {
		if name := p.prompt(item); name != "" {
			names = append(names, name)
		}
	}
	if len(names) > 8 {
		p.refuse(n, "expected at most 8 recordings, one after the other")
	}
	return names
}

func (p *parser) prompt(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || !regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`).MatchString(n.Value) {
		p.refuse(n, "expected the name of a recording: small letters, digits, hyphens and underscores")
		return ""
	}
	return n.Value
}

// refusal reads why a rule refuses: the text alone, or reason, text and notice.
func (p *parser) refusal(n *yaml.Node, r *rule) Refusal {
	out := Refusal{Reason: Forbidden, Text: "This call is not allowed"}
	if n.Kind == yaml.ScalarNode && !none(n) {
		out.Text = p.ascii(n)
		return out
	}
	p.mapping(n,
		entry{"reason", func(n *yaml.Node) {
			word(&p.reader, n, &out.Reason, Forbidden, NotEncrypted, TooMany, Unavailable)
			if c := r.about(keyEncrypted); c != nil && c.yes && out.Reason == NotEncrypted {
				p.refuse(n, "the rule is for encrypted calls, and says that they are not")
			}
		}},
		entry{"text", func(n *yaml.Node) { out.Text = p.ascii(n) }},
		entry{"notice", func(n *yaml.Node) { out.Notice = p.prompt(n) }})
	return out
}

// placeholder is what a name in the room may hold.
func badPlaceholder(name string) bool {
	rest := strings.NewReplacer("{name}", "", "{number}", "", "{trunk}", "", "{platform}", "").Replace(name)
	return strings.ContainsAny(rest, "{}")
}
