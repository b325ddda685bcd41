package policy

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// weigh refuses a grant that contradicts itself or the conditions of its rule, and warns where it is probably not meant.
func (p *parser) weigh(n *yaml.Node, g *Grant, r *rule, said map[string]*yaml.Node) {
	at := func(key string) *yaml.Node {
		if said[key] != nil {
			return said[key]
		}
		return n
	}
	seen := g.Video != Neither || g.Content != Neither
	switch {
	case g.Empty():
		p.refuse(at("audio"), "audio, video and content are none: nothing would cross; refuse the call instead")
	case g.Audio == Neither && r.only(keyProtocol, "sip", "h323"):
		p.refuse(at("audio"), "audio: none: a telephone or a room system has no call without sound")
	}
	if said["codecs"] != nil && len(g.Codecs) == 0 {
		p.refuse(at("codecs"), "codecs: no call could have sound; leave codecs out for those of the trunk")
	}
	if said["codecs"] != nil && g.Audio == Neither {
		p.refuse(at("codecs"), "codecs: without audio there is nothing to encode")
	}
	if said["picture"] != nil && !seen {
		p.refuse(at("picture"), "picture: video and content are none: there is no picture to bound")
	}
	if link := r.about(keyLink); said["banner"] != nil && !seen && (link == nil || link.none()) {
		p.refuse(at("banner"), "banner: video and content are none, and the rule is not for guests (link): there is nothing to show it on")
	}
	if c := r.about(keyProtocol); said["origins"] != nil && c != nil && !c.takes("whip") {
		p.refuse(at("origins"), "origins: they are for WHIP and WHEP, which the rule does not take: its protocol is not whip")
	}
	if c := r.about(keyEncrypted); c != nil && !c.yes && g.Encryption == Require {
		p.refuse(at("encryption"), "encryption: require: the rule is for calls that are not encrypted; all of them would be refused")
	}
	if slices.Contains(g.Keys, KeyCount) && g.Learn == LearnNothing {
		p.refuse(at("keys"), "keys: count tells how many are in the room, and learn is nothing")
	}
	if badPlaceholder(g.Name) {
		p.refuse(at("name"), "name: expected {name}, {number}, {trunk} and {platform} only")
	}
	if g.Idle > 0 && g.Duration > 0 && g.Idle > g.Duration {
		p.refuse(at("idle"), "idle is longer than duration, so that it would never end a call")
	}
	p.weighRoom(at, g, r)
	p.weighLimits(at, g, r)
	if c := r.about(keyPlatform); c != nil && said["foreign"] == nil && !c.takes("") {
		p.refuse(n, "foreign: the rule is for calls with another platform: say foreign: true, or foreign: false where that one is national")
	}
	if g.Foreign && len(g.Notices.Room) == 0 {
		p.warn(at("foreign"), "foreign without notices.room: nobody in the room is told that a foreign leg comes in")
	}
	if g.Foreign && g.Encryption == Optional {
		p.warn(at("foreign"), "foreign without encryption: prefer or require: sound may leave the country unencrypted")
	}
}

// weighRoom looks at rules that send calls to a room.
func (p *parser) weighRoom(at func(string) *yaml.Node, g *Grant, r *rule) {
	if g.Room == "" {
		return
	}
	for _, k := range [...]key{keyRoom, keyClass, keyInRoom} {
		if r.about(k) != nil {
			p.refuse(at("room"), "room sends calls there that have no room yet, and the condition %s is for those that have one", k)
		}
	}
	proven := r.about(keyIdentity) != nil || r.about(keyLink) != nil || r.about(keySource) != nil || r.about(keyTrunk) != nil
	if !proven && g.Lobby == NoLobby {
		p.warn(at("room"), "room without a PIN or a lobby, for callers of whom nothing is proven: ask for identity, trunk, source or link, as a "+
			"caller's number can be made up")
	}
}

// weighLimits looks at limits that the conditions have passed already.
func (p *parser) weighLimits(at func(string) *yaml.Node, g *Grant, r *rule) {
	for _, l := range [...]struct {
		limit string
		most  int
		key   key
	}{{"max_in_room", g.MaxInRoom, keyInRoom}, {"max_source", g.MaxSource, keyFromSource}} {
		if c := r.about(l.key); c != nil && l.most > 0 && c.low >= l.most {
			p.refuse(at(l.limit), "%s: the rule begins at %d (%s), where the limit is reached", l.limit, c.low, l.key)
		}
	}
}

// contradictions refuses conditions that no call can meet together.
func (p *parser) contradictions(when *yaml.Node, r *rule) {
	if when == nil {
		return
	}
	for _, c := range [...]struct{ number, country key }{{keyCaller, keyCallerCountry}, {keyCalled, keyCalledCountry}} {
		number, country := r.about(c.number), r.about(c.country)
		if number != nil && country != nil && number.none() && !country.takes("") {
			p.refuse(when, "%s is withheld, so that %s can only be unknown", c.number, c.country)
		}
	}
	if c := r.about(keyClass); c != nil {
		for _, t := range c.texts {
			if t.kind == exactly && !p.classes[t.text] {
				p.warn(when, "class: no room has the class %q here; only a directory could give it", t.text)
			}
		}
	}
}

// takes tells whether a condition of a text is met by one.
func (c *condition) takes(text string) bool {
	return slices.ContainsFunc(c.texts, func(p pattern) bool { return p.match(text) })
}

// none tells whether a condition of a text is met only where there is none.
func (c *condition) none() bool {
	return !slices.ContainsFunc(c.texts, func(p pattern) bool { return p.kind != absent })
}

// only tells whether a rule asks for one of these words, and takes no other.
func (r *rule) only(k key, words ...string) bool {
	c := r.about(k)
	return c != nil && !slices.ContainsFunc(c.texts, func(p pattern) bool { return !slices.Contains(words, p.text) })
}
