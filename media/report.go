package media

import (
	"net/netip"
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// reportEvery is the mean time between two reports (RFC 3550, section 6.2).
const reportEvery = 5 * time.Second

// More RTCP than this a second is a flood.
const (
	reportRate  = 20
	reportBurst = 40
)

// reports is the RTCP side. Everything is under mu.
type reports struct {
	mu     sync.Mutex
	to     netip.AddrPort
	cname  string
	random func() float64
	rate   bucket
	due    *time.Timer // calls reportAgain
	over   bool

	lastSR   uint32 // middle of the NTP time of the far end's last sender report
	lastSRAt time.Time
	sent     uint64 // RTP packets that were sent when we last reported

	farLost   uint32
	farJitter time.Duration
	roundTrip time.Duration
}

// receiveReport is the RTCP socket's handler.
func (s *Stream) receiveReport(p *packet, n int, from netip.AddrPort, now time.Time) *packet {
	if t := s.terms.Load(); t != nil && classify(p.buf[:n]) == classRTCP {
		s.receiveRTCP(t, p.buf[:n], from, now)
	} else {
		s.in.count(&s.in.stats.Invalid)
	}
	return p
}

// reportAgain is called when a report is due.
func (s *Stream) reportAgain() {
	s.report(time.Now(), false)
	s.reports.mu.Lock()
	defer s.reports.mu.Unlock()
	if !s.reports.over {
		s.reports.due.Reset(s.interval())
	}
}

// stop has no more reports sent.
func (r *reports) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.due.Stop()
}

// interval is the time to the next report, spread so that streams do not report together (RFC 3550, section 6.3.1).
func (s *Stream) interval() time.Duration {
	return time.Duration((0.5 + s.reports.random()) * float64(s.ports.every))
}

// receiveRTCP takes a compound packet from either socket. The far end's address is that of its RTP; its port may be another behind a NAT.
func (s *Stream) receiveRTCP(t *terms, b []byte, from netip.AddrPort, now time.Time) {
	if !s.expectsRTCP(t, from) {
		s.in.count(&s.in.stats.Foreign)
		return
	}
	s.reports.mu.Lock()
	ok := s.reports.rate.take(now, reportRate, reportBurst)
	if ok {
		ok = s.readReports(t, b, from, now)
		s.reports.mu.Unlock()
		if !ok {
			s.in.count(&s.in.stats.Invalid)
		}
		return
	}
	s.reports.mu.Unlock()
	s.in.count(&s.in.stats.Flooded)
}

// expectsRTCP tells whether reports may come from there.
func (s *Stream) expectsRTCP(t *terms, from netip.AddrPort) bool {
	if from == t.RemoteRTCP || t.RTCPMux && from == t.Remote {
		return true
	}
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if t.RTCPMux {
		return from == s.in.latch.from
	}
	return from.Addr() == s.in.latch.from.Addr()
}

// readReports decrypts and reads one compound packet. reports.mu is held.
func (s *Stream) readReports(t *terms, b []byte, from netip.AddrPort, now time.Time) bool {
	if t.protected {
		k := t.keys()
		if k == nil {
			return false
		}
		var err error
		if b, err = k.decryptRTCP(b); err != nil {
			return false
		}
	}
	list, err := rtcp.Unmarshal(b)
	if err != nil {
		return false
	}
	s.heard(now)
	if t.Symmetric && !t.RTCPMux {
		s.reports.to = from
	}
	for _, p := range list {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			s.reports.lastSR, s.reports.lastSRAt = uint32(p.NTPTime>>16), now
			s.reports.judge(p.Reports, s.out.ssrc, t.Codec.ClockRate, now)
		case *rtcp.ReceiverReport:
			s.reports.judge(p.Reports, s.out.ssrc, t.Codec.ClockRate, now)
		}
	}
	return true
}

// judge takes what the far end says about our packets (RFC 3550, section 6.4.1).
func (r *reports) judge(list []rtcp.ReceptionReport, ssrc uint32, rate int, now time.Time) {
	for _, b := range list {
		if b.SSRC != ssrc {
			continue
		}
		r.farLost = b.TotalLost
		if b.TotalLost >= 1<<23 { // a negative number: duplicates outweigh losses
			r.farLost = 0
		}
		r.farJitter = time.Duration(b.Jitter) * time.Second / time.Duration(rate)
		if b.LastSenderReport == 0 {
			continue
		}
		trip := middle(ntp(now)) - b.LastSenderReport - b.Delay
		if d := time.Duration(trip) * time.Second >> 16; d < 30*time.Second { // else its clock or ours was set
			r.roundTrip = max(d, time.Microsecond)
		}
	}
}

// report sends a sender or receiver report with our name, and a goodbye at the end.
func (s *Stream) report(now time.Time, bye bool) {
	t := s.terms.Load()
	if t == nil {
		return
	}
	block := s.receptionReport(t, now)
	info := s.senderInfo(t, now)
	r := &s.reports
	r.mu.Lock()
	defer r.mu.Unlock()
	if !usable(r.to) {
		return
	}
	var list rtcp.CompoundPacket
	if uint64(info.PacketCount) != r.sent {
		r.sent = uint64(info.PacketCount)
		info.Reports = block
		list = append(list, &info)
	} else {
		list = append(list, &rtcp.ReceiverReport{SSRC: info.SSRC, Reports: block})
	}
	list = append(list, rtcp.NewCNAMESourceDescription(info.SSRC, r.cname))
	if bye {
		list = append(list, &rtcp.Goodbye{Sources: []uint32{info.SSRC}})
	}
	s.sendRTCP(t, list)
}

// senderInfo describes what we sent (RFC 3550, section 6.4.1).
func (s *Stream) senderInfo(t *terms, now time.Time) rtcp.SenderReport {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return rtcp.SenderReport{
		SSRC:        s.out.ssrc,
		NTPTime:     ntp(now),
		RTPTime:     s.out.clock(now, t.Codec.ClockRate),
		PacketCount: uint32(s.out.packets),
		OctetCount:  uint32(s.out.octets),
	}
}

// receptionReport describes what we hear; none when nothing has come yet.
func (s *Stream) receptionReport(t *terms, now time.Time) []rtcp.ReceptionReport {
	s.in.mu.Lock()
	src := &s.in.source
	if !src.active {
		s.in.mu.Unlock()
		return nil
	}
	fraction, total := src.lossSince()
	b := rtcp.ReceptionReport{
		SSRC:               src.ssrc,
		FractionLost:       fraction,
		TotalLost:          total,
		LastSequenceNumber: src.highest,
		Jitter:             uint32(int64(src.jitter) * int64(max(src.rate, 1)) / int64(time.Second)),
	}
	s.in.mu.Unlock()
	s.reports.mu.Lock()
	defer s.reports.mu.Unlock()
	if !s.reports.lastSRAt.IsZero() {
		b.LastSenderReport = s.reports.lastSR
		b.Delay = uint32(min(now.Sub(s.reports.lastSRAt), time.Hour) << 16 / time.Second)
	}
	return []rtcp.ReceptionReport{b}
}

// sendRTCP encrypts and sends a compound packet from the socket that was agreed. reports.mu is held. A lost report is not worth an error.
func (s *Stream) sendRTCP(t *terms, list rtcp.CompoundPacket) {
	b, err := list.Marshal()
	if err != nil {
		return
	}
	if t.protected {
		k := t.keys()
		if k == nil {
			return
		}
		if b, err = k.encryptRTCP(b); err != nil {
			return
		}
	}
	c := s.rtcp
	if t.RTCPMux {
		c = s.rtp
	}
	_ = c.send(b, s.reports.to)
}

// ntp is a time in the format of RFC 3550, section 4: seconds since 1900, with 32 bits of fraction.
func ntp(t time.Time) uint64 {
	const epoch = 2208988800 // seconds from 1900 to 1970
	return uint64(t.Unix()+epoch)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// middle is its middle, which round trips are counted in: units of 1/65536 s.
func middle(t uint64) uint32 { return uint32(t >> 16) }
