package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// Names of what is hashed or signed: the first item of each, so that nothing can be taken for something else. docs/journal.md describes them.
const (
	recordForm = "passerelle journal record 1"
	sealForm   = "passerelle journal seal 1"
	headForm   = "passerelle journal head 1"
	runForm    = "passerelle journal pruned 1"
)

// personalNames are the names of row.personal in seals.
var personalNames = [3]string{"caller", "called", "address"}

// items is a list of byte strings in canonical form: each is its length, 4 bytes with the highest first, and its bytes.
type items []byte

func (i items) text(s string) items {
	return append(binary.BigEndian.AppendUint32(i, uint32(len(s))), s...)
}

func (i items) bytes(b []byte) items {
	return append(binary.BigEndian.AppendUint32(i, uint32(len(b))), b...)
}

// number adds an integer in decimal digits.
func (i items) number(n int64) items {
	var digits [20]byte
	return i.bytes(strconv.AppendInt(digits[:0], n, 10))
}

func (i items) bool(b bool) items {
	if b {
		return i.text("1")
	}
	return i.text("0")
}

// appendContent appends the canonical content of a record to b: all of it but the hash, the salt and the full personal values.
func (r *row) appendContent(b []byte) []byte {
	c := items(b).text(recordForm).text(r.node).number(int64(r.seq)).number(r.at).
		text(r.kind).text(r.call).text(r.actor).text(r.room).text(r.rule).text(r.outcome).bool(r.foreign)
	for _, p := range r.personal {
		c = c.text(p.short).bytes(p.seal)
	}
	return c.text(r.fields)
}

// follow is the hash of a record: over the hash of the one before it, and its own content. scratch saves an allocation.
func (r *row) follow(previous Hash, scratch *[]byte) Hash {
	*scratch = r.appendContent(append((*scratch)[:0], previous[:]...))
	return sha256.Sum256(*scratch)
}

// seal commits to a personal value without showing it, once its salt is gone. No value has no seal.
func seal(name string, salt []byte, value string) []byte {
	if value == "" {
		return nil
	}
	h := sha256.Sum256(items(nil).text(sealForm).text(name).bytes(salt).text(value))
	return h[:]
}
