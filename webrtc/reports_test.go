package webrtc

import (
	"hash/maphash"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"passerelle/internal/egress"
)

// flooding is feedback of a few bytes that speaks of as many packets as it can, again and again.
func flooding() []byte {
	b := []byte{0x80 | 15, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0xff, 0xff, 0, 0, 0, 0}
	for len(b) < 1390 {
		for range 7 {
			b = append(b, 0x3f, 0xff) // 8191 packets
		}
		b = append(b, 0x3f, 0xf9, 0x80, 0) // 8185, and a vector of 14: more than the 65,535 that there are
	}
	b = append(b, make([]byte, (4-len(b)%4)%4)...)
	b[2], b[3] = byte((len(b)/4-1)>>8), byte(len(b)/4-1)
	return b
}

// TestReportsOfManyPackets: a packet of feedback costs no more than what it may speak of, however it counts.
func TestReportsOfManyPackets(t *testing.T) {
	b := flooding()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _ = rtcp.Unmarshal(b)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
		t.Errorf("%d bytes of RTCP take %d MB", len(b), n>>20)
	}
}

// TestReportsBounded: of a far end that sends too many reports most are not looked at; its other packets are, and another's reports.
func TestReportsBounded(t *testing.T) {
	r, now := newReports(), time.Now()
	loud := netip.MustParseAddrPort("192.0.2.1:1")
	other := loud
	for place := maphash.Comparable(r.seed, loud) % uint64(len(r.each)); maphash.Comparable(r.seed, other)%uint64(len(r.each)) == place; {
		other = netip.AddrPortFrom(other.Addr(), other.Port()+1)
	}
	taken := 0
	for range 10 * reportsAtOnce {
		if r.take([]byte{0x80, 201, 0, 1}, loud, now) {
			taken++
		}
		now = now.Add(time.Millisecond)
	}
	if most := reportsAtOnce + 2*reportsASecond; taken < most-2 || taken > most+2 {
		t.Errorf("%d reports in two seconds", taken)
	}
	for what, b := range map[string][]byte{"RTP": {0x80, 0x80 | 96}, "STUN": {0, 1}, "DTLS": {22, 254}, "nothing": nil} {
		if !r.take(b, loud, now) {
			t.Errorf("%s is held back", what)
		}
	}
	if !r.take([]byte{0x80, 201}, other, now) {
		t.Error("another far end's reports are held back")
	}
	if n := testing.AllocsPerRun(100, func() { r.take([]byte{0x80, 201, 0, 1}, loud, now) }); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

// TestSharedBoundsReports: a port for browsers bounds them, one towards an SFU does not.
func TestSharedBoundsReports(t *testing.T) {
	for _, shared := range []*shared{nil, new(shared)} {
		p := &Port{shared: shared}
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		s := newSocket(c, egress.New().Pass(""), p.reports())
		defer s.Close()
		far, err := net.DialUDP("udp4", nil, c.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		b := make([]byte, 1500)
		got := 0
		for range reportsAtOnce + 50 {
			_, _ = far.Write([]byte{0x80, 201, 0, 1})
			_, _ = far.Write([]byte{0x80, 96})
			for {
				n, _, err := s.ReadFromAddrPort(b)
				if err != nil {
					t.Fatal(err)
				}
				if !isRTCP(b[:n]) {
					break
				}
				got++
			}
		}
		if all := got == reportsAtOnce+50; all != (shared == nil) {
			t.Errorf("%d reports were read (shared: %v)", got, shared != nil)
		}
	}
}
