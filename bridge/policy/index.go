package policy

import (
	"math/bits"
	"net/netip"
	"slices"
	"strings"
)

// bitset is a set of small numbers.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) add(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) remove(i int)   { b[i/64] &^= 1 << (i % 64) }
func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// keep takes out what is not in o.
func (b bitset) keep(o bitset) {
	for i := range b {
		b[i] &= o[i]
	}
}

// fill puts the first n numbers in.
func (b bitset) fill(n int) {
	for i := range b {
		b[i] = ^uint64(0)
	}
	if n%64 != 0 {
		b[len(b)-1] = 1<<(n%64) - 1
	}
}

// next is the first number from i on; -1: there is none.
func (b bitset) next(i int) int {
	for w := i / 64; w < len(b); w++ {
		word := b[w]
		if w == i/64 {
			word &= ^uint64(0) << (i % 64)
		}
		if word != 0 {
			return w*64 + bits.TrailingZeros64(word)
		}
	}
	return -1
}

// posting is who uses one pattern: a list while they are few, a set where they are many.
type posting struct {
	list []int32
	set  bitset
}

func (p *posting) add(i, n int) {
	if p.set == nil && len(p.list) < 64 {
		p.list = append(p.list, int32(i))
		return
	}
	if p.set == nil {
		p.set = newBitset(n)
	}
	p.set.add(i)
}

func (p *posting) into(b bitset) {
	if p == nil {
		return
	}
	for _, i := range p.list {
		b.add(int(i))
	}
	for i, w := range p.set {
		b[i] |= w
	}
}

// index finds those of n numbered lists of patterns that a text meets, without holding it against each.
type index struct {
	n            int
	others       bitset // have no list
	exact        map[string]*posting
	begin, end   map[string]*posting // by prefix and by suffix
	begins, ends []int               // their lengths
	any, absent  posting
	globs        []pattern // with wildcards elsewhere: these are held against the text one by one
	globbed      map[string]*posting
}

func newIndex(n int) *index {
	x := &index{
		n: n, others: newBitset(n),
		exact: map[string]*posting{}, begin: map[string]*posting{}, end: map[string]*posting{}, globbed: map[string]*posting{},
	}
	x.others.fill(n)
	return x
}

// add gives number i its patterns.
func (x *index) add(i int, list []pattern) {
	x.others.remove(i)
	for _, p := range list {
		switch p.kind {
		case exactly:
			post(x.exact, p.text, i, x.n)
		case begins:
			post(x.begin, p.text, i, x.n)
			x.begins = withLength(x.begins, len(p.text))
		case ends:
			post(x.end, p.text, i, x.n)
			x.ends = withLength(x.ends, len(p.text))
		case anything:
			x.any.add(i, x.n)
		case absent:
			x.absent.add(i, x.n)
		case globbed:
			if _, known := x.globbed[p.text]; !known {
				x.globs = append(x.globs, p)
			}
			post(x.globbed, p.text, i, x.n)
		}
	}
}

func post[K comparable](m map[K]*posting, k K, i, n int) {
	p := m[k]
	if p == nil {
		p = new(posting)
		m[k] = p
	}
	p.add(i, n)
}

func withLength(list []int, n int) []int {
	if slices.Contains(list, n) {
		return list
	}
	return append(list, n)
}

// find puts into b the numbers whose patterns a text meets.
func (x *index) find(b bitset, text string) {
	if text == "" {
		x.absent.into(b)
		return
	}
	x.any.into(b)
	x.exact[text].into(b)
	for _, n := range x.begins {
		if n <= len(text) {
			x.begin[text[:n]].into(b)
		}
	}
	for _, n := range x.ends {
		if n <= len(text) {
			x.end[text[len(text)-n:]].into(b)
		}
	}
	for i := range x.globs {
		g := &x.globs[i]
		if g.match(text) {
			x.globbed[g.text].into(b)
		}
	}
}

// netIndex does for addresses what index does for texts.
type netIndex struct {
	n      int
	others bitset
	nets   map[netip.Prefix]*posting
	v4, v6 []int // lengths of prefixes
}

func newNetIndex(n int) *netIndex {
	x := &netIndex{n: n, others: newBitset(n), nets: map[netip.Prefix]*posting{}}
	x.others.fill(n)
	return x
}

func (x *netIndex) add(i int, list []netip.Prefix) {
	x.others.remove(i)
	for _, p := range list {
		post(x.nets, p, i, x.n)
		if p.Addr().Is4() {
			x.v4 = withLength(x.v4, p.Bits())
		} else {
			x.v6 = withLength(x.v6, p.Bits())
		}
	}
}

func (x *netIndex) find(b bitset, a netip.Addr) {
	lengths := x.v6
	if a.Is4() {
		lengths = x.v4
	}
	for _, n := range lengths {
		if p, err := a.Prefix(n); err == nil {
			x.nets[p].into(b)
		}
	}
}

// sample is a text that meets a pattern, and no other one that does not cover it.
func (p *pattern) sample() string {
	return strings.NewReplacer("*", "\x00", "?", "\x00").Replace(p.glob())
}
