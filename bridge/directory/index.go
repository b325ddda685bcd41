package directory

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"

	"passerelle/bridge"
)

// PINs have this many digits at the least and at the most.
const (
	minDigits = 4
	maxDigits = 32
)

var errAmbiguous = errors.New("two rooms have the same PIN")

// index finds rooms by PIN without holding a PIN: it knows keyed hashes only. The key is random and never leaves the process, so that how
// long a look-up takes tells nothing about any PIN.
type index struct {
	key   [sha256.Size]byte
	rooms map[[sha256.Size]byte]bridge.RoomRef
}

func newIndex() *index {
	x := &index{rooms: map[[sha256.Size]byte]bridge.RoomRef{}}
	rand.Read(x.key[:]) // crypto/rand.Read never fails
	return x
}

func (x *index) hash(pin string) (h [sha256.Size]byte) {
	m := hmac.New(sha256.New, x.key[:])
	m.Write([]byte(pin))
	m.Sum(h[:0])
	return h
}

// add refuses a PIN that stands for another room already.
func (x *index) add(pin string, room bridge.RoomRef) error {
	h := x.hash(pin)
	if old, ok := x.rooms[h]; ok && old.Name != room.Name {
		return errAmbiguous
	}
	x.rooms[h] = room
	return nil
}

func (x *index) remove(pin string) { delete(x.rooms, x.hash(pin)) }

func (x *index) find(pin string) (bridge.RoomRef, bool) {
	room, ok := x.rooms[x.hash(pin)]
	return room, ok
}

// isPIN tells whether a text can be a PIN at all: digits of a keypad.
func isPIN(s string) bool {
	if len(s) < minDigits || len(s) > maxDigits {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
