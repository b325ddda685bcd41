package policy

import (
	"net/netip"
	"slices"
)

// condition is one thing that a rule asks of a call.
type condition struct {
	key   key
	texts []pattern      // one must be met; of the keys up to lastText
	nets  []netip.Prefix // one must hold the source
	yes   bool           // encrypted, or not
	times []window       // one must hold the time
	low   int            // of a count: at least
	high  int            // and below; 0: no bound
}

// key says what of a call a condition is about.
type key uint8

// The keys, in the order in which they are looked at. Texts, which come first, have an index: see finder.
const (
	keyTrunk key = iota
	keyProtocol
	keyDirection
	keyTransport
	keyPlatform
	keyLink
	keyRoom
	keyClass
	keyIdentity
	keyCaller
	keyCalled
	keyCallerCountry
	keyCalledCountry
	keySource
	keyEncrypted
	keyInRoom
	keyFromSource
	keyTime
)

const (
	lastText    = keyCalledCountry
	lastIndexed = keySource
)

func (k key) String() string {
	return [...]string{
		"trunk", "protocol", "direction", "transport", "platform", "link", "room", "class", "identity", "caller", "called",
		"caller_country", "called_country", "source", "encrypted", "in_room", "from_source", "time",
	}[k]
}

// verdict tells whether something holds. Maybe: that depends on the room, which is not known yet.
type verdict uint8

const (
	no verdict = iota
	maybe
	yes
)

func (v verdict) String() string { return [...]string{"no", "maybe", "yes"}[v] }

func is(b bool) verdict {
	if b {
		return yes
	}
	return no
}

// match holds a condition against a call.
func (c *condition) match(k *call) verdict {
	switch {
	case c.key <= lastText:
		if k.unknown&(1<<c.key) != 0 {
			return maybe
		}
		text := k.text(c.key)
		for i := range c.texts {
			if c.texts[i].match(text) {
				return yes
			}
		}
		return no
	case c.key == keyEncrypted:
		return is(k.facts.Encrypted == c.yes)
	case c.key == keySource:
		for _, n := range c.nets {
			if n.Contains(k.source) {
				return yes
			}
		}
		return no
	case c.key == keyTime:
		for i := range c.times {
			if k.in(&c.times[i]) {
				return yes
			}
		}
		return no
	}
	if k.unknown&(1<<c.key) != 0 {
		return maybe
	}
	n := k.count(c.key)
	return is(n >= c.low && (c.high == 0 || n < c.high))
}

// implies tells whether every call that meets c meets o, which is about the same. It may answer false where that is hard to see, never true
// where it is not so.
func (c *condition) implies(o *condition) bool {
	each := func(n, m int, within func(i, j int) bool) bool {
		for i := range n {
			found := false
			for j := 0; j < m && !found; j++ {
				found = within(i, j)
			}
			if !found {
				return false
			}
		}
		return true
	}
	switch {
	case c.key <= lastText:
		return each(len(c.texts), len(o.texts), func(i, j int) bool { return o.texts[j].covers(&c.texts[i]) })
	case c.key == keyEncrypted:
		return c.yes == o.yes
	case c.key == keySource:
		return each(len(c.nets), len(o.nets), func(i, j int) bool {
			return o.nets[j].Bits() <= c.nets[i].Bits() && o.nets[j].Contains(c.nets[i].Addr())
		})
	case c.key == keyTime:
		return each(len(c.times), len(o.times), func(i, j int) bool { return c.times[i].within(&o.times[j]) })
	}
	return c.low >= o.low && (o.high == 0 || c.high != 0 && c.high <= o.high)
}

// about finds a rule's condition on a key.
func (r *rule) about(k key) *condition {
	if r.keys&(1<<k) == 0 {
		return nil
	}
	i := slices.IndexFunc(r.conditions, func(c condition) bool { return c.key == k })
	return &r.conditions[i]
}

// match holds a rule against a call.
func (r *rule) match(k *call) verdict {
	v := yes
	for i := range r.conditions {
		if v = min(v, r.conditions[i].match(k)); v == no {
			break
		}
	}
	return v
}

// match holds a rule against a call whose texts and source meet it, as far as they are known.
func (q *quick) match(k *call) verdict {
	v := yes
	if q.keys&k.unknown != 0 {
		v = maybe
	}
	for i := range q.rest {
		if v = min(v, q.rest[i].match(k)); v == no {
			break
		}
	}
	return v
}
