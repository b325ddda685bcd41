package media

import (
	"net/netip"
	"time"
)

// latch remembers which address is heard. Whoever sends the first valid packet is, and stays it while he sends; the agreed address may take
// over at any time, another one only after silence. A valid packet is one that SRTP authenticated, or, without SRTP, one of an agreed
// payload type.
type latch struct {
	from netip.AddrPort // zero: nobody yet
	last time.Time
}

// admits tells whether a packet from there may be looked at.
func (l *latch) admits(from, agreed netip.AddrPort, now time.Time) bool {
	return from == l.from || !l.from.IsValid() || from == agreed || now.Sub(l.last) >= silence
}

// learn notes a valid packet, and tells whether another address is heard from now on.
func (l *latch) learn(from netip.AddrPort, now time.Time) bool {
	changed := from != l.from
	l.from, l.last = from, now
	return changed
}
