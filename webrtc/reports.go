package webrtc

import (
	"hash/maphash"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// What a far end may send of RTCP, in packets: a browser with 25 pictures sends 20 to 40 a second.
const (
	reportsASecond = 100
	reportsAtOnce  = 200
)

// reports bounds the RTCP packets of each far end. Feedback of twenty bytes can speak of 65,535 packets (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1), and pion makes
// an object of each before we see any: 3 MB and some ms of work. Far ends are told apart by a hash, so that nobody fills a memory with addresses. It is for the
// goroutine that reads.
type reports struct {
	seed maphash.Seed
	each [1024]*rate.Limiter
}

func newReports() *reports {
	r := &reports{seed: maphash.MakeSeed()}
	for i := range r.each {
		r.each[i] = rate.NewLimiter(reportsASecond, reportsAtOnce)
	}
	return r
}

// take tells whether a packet that came now may be looked at. A nil r lets all pass.
func (r *reports) take(b []byte, from netip.AddrPort, now time.Time) bool {
	return r == nil || !isRTCP(b) || r.each[maphash.Comparable(r.seed, from)%uint64(len(r.each))].AllowN(now, 1)
}

// isRTCP tells RTCP from what else comes to the same port (RFC 5761, section 4; RFC 7983, section 7).
func isRTCP(b []byte) bool { return len(b) > 1 && b[0]>>6 == 2 && b[1] >= 192 && b[1] <= 223 }
