package policy

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"passerelle/internal/egress"
)

// when reads the conditions of a rule, in the order in which they are looked at.
func (p *parser) when(n *yaml.Node) []condition {
	var out []condition
	add := func(c condition, ok bool) {
		if ok {
			out = append(out, c)
		}
	}
	texts := func(k key, read func(*yaml.Node) (pattern, bool)) entry {
		return entry{k.String(), func(n *yaml.Node) { add(p.texts(n, k, read)) }}
	}
	known := func(k key, words ...string) entry {
		return texts(k, func(n *yaml.Node) (pattern, bool) {
			var w string
			word(&p.reader, n, &w, words...)
			return pattern{exactly, w, w}, w != ""
		})
	}
	count := func(k key) entry {
		return entry{k.String(), func(n *yaml.Node) { add(p.count(n, k)) }}
	}
	if none(n) || n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		p.refuse(n, "expected conditions; leave when out where the rule is for every call")
		return nil
	}
	p.mapping(n,
		known(keyDirection, string(In), string(Out)),
		known(keyProtocol, "sip", "h323", "webrtc", "whip", "livekit"),
		texts(keyTrunk, p.glob),
		entry{keySource.String(), func(n *yaml.Node) { add(p.source(n)) }},
		known(keyTransport, "udp", "tcp", "tls", "ws", "wss"),
		entry{keyEncrypted.String(), func(n *yaml.Node) {
			c := condition{key: keyEncrypted}
			p.boolean(n, &c.yes)
			add(c, true)
		}},
		texts(keyCaller, p.number), texts(keyCalled, p.number),
		texts(keyCallerCountry, p.country), texts(keyCalledCountry, p.country),
		texts(keyIdentity, p.glob), texts(keyRoom, p.room), texts(keyClass, p.glob), texts(keyPlatform, p.glob), texts(keyLink, p.glob),
		entry{keyTime.String(), func(n *yaml.Node) { add(p.time(n)) }},
		count(keyInRoom), count(keyFromSource))
	slices.SortFunc(out, func(a, b condition) int { return cmp.Compare(a.key, b.key) })
	return out
}

// texts reads a list of patterns.
func (p *parser) texts(n *yaml.Node, k key, read func(*yaml.Node) (pattern, bool)) (condition, bool) {
	c := condition{key: k}
	items := p.list(n)
	if n.Kind == yaml.SequenceNode && len(items) == 0 {
		p.refuse(n, "%s: expected at least one; leave the key out where it does not matter", k)
	}
	for _, item := range items {
		pat, ok := read(item)
		if !ok {
			continue
		}
		if len(items) <= 100 && slices.ContainsFunc(c.texts, func(o pattern) bool { return o.covers(&pat) }) {
			p.refuse(item, "%s: one before it in the list takes this already", k)
		}
		c.texts = append(c.texts, pat)
	}
	return c, len(c.texts) > 0
}

// glob reads a pattern of a name, or any, or none.
func (p *parser) glob(n *yaml.Node) (pattern, bool) {
	s, ok := p.text(n, maxText)
	switch s {
	case "any":
		return pattern{anything, "", s}, ok
	case "none":
		return pattern{absent, "", s}, ok
	}
	return newName(s), ok
}

// number reads a pattern of a caller or called: a glob, the beginning of an E.164 number, or withheld.
func (p *parser) number(n *yaml.Node) (pattern, bool) {
	if n.Kind == yaml.ScalarNode && n.Value == "withheld" {
		return pattern{absent, "", n.Value}, true
	}
	if n.Kind == yaml.ScalarNode && isPlusDigits(n.Value) {
		return pattern{begins, n.Value, n.Value}, true
	}
	return p.glob(n)
}

func (p *parser) room(n *yaml.Node) (pattern, bool) {
	s, ok := p.text(n, maxText)
	return newName(s), ok
}

func (p *parser) country(n *yaml.Node) (pattern, bool) {
	if n.Kind == yaml.ScalarNode && n.Value == "unknown" {
		return pattern{absent, "", n.Value}, true
	}
	code := strings.ToUpper(n.Value)
	if n.Kind != yaml.ScalarNode || !isCountry(code) {
		p.refuse(n, "expected a country of ISO 3166-1 such as FR, 001 for numbers of no country, or unknown")
		return pattern{}, false
	}
	return pattern{exactly, code, code}, true
}

// network reads one network.
func (p *parser) network(n *yaml.Node) (netip.Prefix, bool) {
	net, err := egress.ParseNetwork(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		p.refuse(n, "expected an IP address, or a network such as 192.0.2.0/24")
		return net, false
	}
	if a := net.Addr(); a.Is4In6() {
		net = netip.PrefixFrom(a.Unmap(), net.Bits()-96) // a shorter one is masked, and no IPv4 any more
	}
	return net, true
}

func (p *parser) networks(n *yaml.Node) (nets []netip.Prefix) {
	for _, item := range p.list(n) {
		if net, ok := p.network(item); ok {
			nets = append(nets, net)
		}
	}
	return nets
}

func (p *parser) source(n *yaml.Node) (condition, bool) {
	c := condition{key: keySource, nets: p.networks(n)}
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		p.refuse(n, "source: expected at least one network")
	}
	return c, len(c.nets) > 0
}

// count reads the bounds of a number of legs.
func (p *parser) count(n *yaml.Node, k key) (condition, bool) {
	c := condition{key: k}
	p.mapping(n,
		entry{"below", func(n *yaml.Node) { p.reader.number(n, &c.high, 1, 1_000_000) }},
		entry{"at_least", func(n *yaml.Node) { p.reader.number(n, &c.low, 1, 1_000_000) }})
	switch {
	case c.low == 0 && c.high == 0:
		p.refuse(n, "%s: expected below: N, at_least: N or both", k)
		return c, false
	case c.high != 0 && c.low >= c.high:
		p.refuse(n, "%s: expected at_least less than below; no number is both", k)
	}
	return c, true
}

// time reads one window or a list of them.
func (p *parser) time(n *yaml.Node) (condition, bool) {
	c := condition{key: keyTime}
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = p.list(n)
	}
	for _, item := range items {
		if w, ok := p.window(item); ok {
			c.times = append(c.times, w)
		}
	}
	if n.Kind == yaml.SequenceNode && len(items) == 0 {
		p.refuse(n, "time: expected at least one window")
	}
	return c, len(c.times) > 0
}

// window reads one window.
func (p *parser) window(n *yaml.Node) (window, bool) {
	w := window{days: allDays, to: dayMinutes}
	before := len(p.problems) + p.more
	zone := p.zone
	said := false
	say := func(read func(*yaml.Node)) func(*yaml.Node) {
		return func(n *yaml.Node) { said = true; read(n) }
	}
	p.mapping(n,
		entry{"zone", func(n *yaml.Node) { zone = n }},
		entry{"days", say(func(n *yaml.Node) { w.days = p.days(n) })},
		entry{"from", say(func(n *yaml.Node) { w.from = p.clock(n, dayMinutes-1) })},
		entry{"to", say(func(n *yaml.Node) { w.to = p.clock(n, dayMinutes) })},
		entry{"holidays", say(func(n *yaml.Node) {
			var s string
			word(&p.reader, n, &s, "except", "only")
			w.holidays = except
			if s == "only" {
				w.holidays = only
			}
			if len(p.set.holidays) == 0 {
				p.refuse(n, "holidays: there are none at the top of the file")
			}
		})})
	switch {
	case len(p.problems)+p.more > before:
		return w, false
	case !said:
		p.refuse(n, "time: expected days, from, to or holidays")
	case zone == nil:
		p.refuse(n, "time: expected zone: Europe/Paris here, or at the top of the file for all rules")
	case w.from == w.to:
		p.refuse(n, "time: from and to are the same; leave both out for the whole day")
	default:
		if w.to < w.from {
			w.to += dayMinutes
		}
		w.zone = p.zoneOf(zone)
		return w, w.zone >= 0
	}
	return w, false
}

// clock reads a time of day, in minutes.
func (p *parser) clock(n *yaml.Node, highest int) int {
	m := regexp.MustCompile(`^(\d{1,2}):(\d\d)$`).FindStringSubmatch(n.Value)
	if m != nil && n.Kind == yaml.ScalarNode {
		hours, _ := strconv.Atoi(m[1])
		minutes, _ := strconv.Atoi(m[2])
		if all := hours*60 + minutes; minutes < 60 && all <= highest {
			return all
		}
	}
	p.refuse(n, "expected a time of day such as 08:30, up to %02d:%02d", highest/60, highest%60)
	return 0
}

// days reads days of the week: mon, or mon-fri, or a list of such.
func (p *parser) days(n *yaml.Node) (days uint8) {
	for _, item := range p.list(n) {
		first, last, span := strings.Cut(item.Value, "-")
		if !span {
			last = first
		}
		i, j := slices.Index(weekdays(), first), slices.Index(weekdays(), last)
		if i < 0 || j < 0 || item.Kind != yaml.ScalarNode {
			p.refuse(item, "expected days such as mon, mon-fri or [sat, sun]")
			continue
		}
		for ; ; i = (i + 1) % 7 {
			days |= 1 << ((i + 1) % 7)
			if i == j {
				break
			}
		}
	}
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		p.refuse(n, "days: expected at least one")
	}
	return days
}
