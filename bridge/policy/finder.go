package policy

import "sync"

// finder finds the rules whose texts and networks a call meets. What is left of 10,000 rules are a few to look at.
type finder struct {
	n       int
	texts   [lastText + 1]*index // nil: no rule has the condition
	sources *netIndex
	pool    sync.Pool
}

// scratch is the memory of one decision.
type scratch struct {
	rules, one  bitset // of rules
	rooms       bitset // of the entries in the list of rooms
	seen, kinds bitset // of grants
	asked       bitset // of what rules ask of the room
}

func newFinder(rules []rule, rooms int) *finder {
	x := &finder{n: len(rules)}
	for i := range rules {
		for j := range rules[i].conditions {
			switch c := &rules[i].conditions[j]; {
			case c.key <= lastText:
				if x.texts[c.key] == nil {
					x.texts[c.key] = newIndex(x.n)
				}
				x.texts[c.key].add(i, c.texts)
			case c.key == keySource:
				if x.sources == nil {
					x.sources = newNetIndex(x.n)
				}
				x.sources.add(i, c.nets)
			}
		}
	}
	x.pool.New = func() any {
		return &scratch{newBitset(x.n), newBitset(x.n), newBitset(rooms), newBitset(x.n), newBitset(x.n), newBitset(x.n)}
	}
	return x
}

func (x *finder) scratch() *scratch { return x.pool.Get().(*scratch) }
func (x *finder) free(sc *scratch)  { x.pool.Put(sc) }

// candidates are the rules that may match a call: every rule that does, and few others.
func (x *finder) candidates(sc *scratch, k *call) bitset {
	sc.rules.fill(x.n)
	for key := range lastText + 1 {
		if x.texts[key] == nil || k.unknown&(1<<key) != 0 {
			continue
		}
		copy(sc.one, x.texts[key].others)
		x.texts[key].find(sc.one, k.text(key))
		sc.rules.keep(sc.one)
	}
	if x.sources != nil {
		copy(sc.one, x.sources.others)
		x.sources.find(sc.one, k.source)
		sc.rules.keep(sc.one)
	}
	return sc.rules
}

// hiders are the rules that may take all calls of another one: every rule that does, and few others. It goes by one call that meets the other,
// and by the conditions that the other does not have.
func (x *finder) hiders(sc *scratch, r *rule) bitset {
	sc.rules.fill(x.n)
	for key := range lastText + 1 {
		if x.texts[key] == nil {
			continue
		}
		copy(sc.one, x.texts[key].others)
		if c := r.about(key); c != nil {
			x.texts[key].find(sc.one, c.texts[0].sample())
		}
		sc.rules.keep(sc.one)
	}
	if x.sources != nil {
		copy(sc.one, x.sources.others)
		if c := r.about(keySource); c != nil {
			x.sources.find(sc.one, c.nets[0].Addr())
		}
		sc.rules.keep(sc.one)
	}
	return sc.rules
}
