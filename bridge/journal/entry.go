package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// What is longer is cut: an entry holds what strangers sent.
const (
	maxText   = 512 // bytes of one value
	maxKey    = 64  // bytes of the name of a field
	maxFields = 32  // fields of an entry; the first in the order of their names stay
	maxEntry  = 11*(4+maxText) + maxFields*(8+maxKey+maxText) + 64
)

// clean makes a text of at most n bytes that every database takes: UTF-8, without the NUL character.
func clean(s string, n int) string {
	if len(s) > n {
		s = s[:n]
		for len(s) > n-utf8.UTFMax { // do not leave half a character
			if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size != 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "?")
	return s
}

// appendEntry appends an entry in the form in which it waits to be stored: items, as in the canonical form, with all values clean.
func appendEntry(b []byte, e *Entry) []byte {
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(e.Time.UnixMicro()))
	i := items(b).bytes(at[:]).bool(e.Foreign)
	for _, s := range [...]string{string(e.Kind), e.Call, e.Actor, e.Room, e.Rule, e.Outcome, e.Caller, e.Called, e.Address} {
		i = i.text(clean(s, maxText))
	}
	if len(e.Fields) == 0 {
		return i
	}
	keys := slices.Sorted(maps.Keys(e.Fields))
	for _, k := range keys[:min(len(keys), maxFields)] {
		i = i.text(clean(k, maxKey)).text(clean(e.Fields[k], maxText))
	}
	return i
}

var errEntry = errors.New("this is not an entry of the journal")

// readEntry reads what appendEntry wrote. It keeps nothing of b.
func readEntry(b []byte) (Entry, error) {
	var list [11 + 2*maxFields][]byte
	n := 0
	for len(b) > 0 {
		if len(b) < 4 || n == len(list) {
			return Entry{}, errEntry
		}
		size := binary.BigEndian.Uint32(b)
		if b = b[4:]; uint64(size) > uint64(len(b)) || size > maxText {
			return Entry{}, errEntry
		}
		list[n] = b[:size]
		b = b[size:]
		n++
	}
	if n < 11 || n%2 == 0 || len(list[0]) != 8 || len(list[1]) != 1 {
		return Entry{}, errEntry
	}
	text := func(i int) string { return clean(string(list[i]), maxText) }
	e := Entry{
		Time: time.UnixMicro(int64(binary.BigEndian.Uint64(list[0]))).UTC(), Foreign: list[1][0] == '1', Kind: Kind(text(2)),
		Call: text(3), Actor: text(4), Room: text(5), Rule: text(6), Outcome: text(7), Caller: text(8), Called: text(9), Address: text(10),
	}
	for i := 11; i < n; i += 2 {
		if e.Fields == nil {
			e.Fields = make(map[string]string, (n-11)/2)
		}
		e.Fields[text(i)] = text(i + 1)
	}
	return e, nil
}

// row makes the record of an entry, without its hash. salt has 16 random bytes.
func (e *Entry) row(node string, seq uint64, salt []byte) row {
	r := row{
		node: node, seq: seq, at: e.Time.UnixMicro(), kind: string(e.Kind), call: e.Call, actor: e.Actor, room: e.Room, rule: e.Rule,
		outcome: e.Outcome, foreign: e.Foreign, fields: "{}", salt: salt,
	}
	for i, full := range [...]string{e.Caller, e.Called, e.Address} {
		short := shortName
		if personalNames[i] == "address" {
			short = shortAddress
		}
		r.personal[i] = personal{short: short(full), seal: seal(personalNames[i], salt, full), full: full}
	}
	if len(e.Fields) > 0 {
		b, _ := json.Marshal(e.Fields) // of strings: cannot fail; sorted by key
		r.fields = string(b)
	}
	return r
}
