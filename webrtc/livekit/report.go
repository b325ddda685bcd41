package livekit

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
)

// reportEvery is how often the server is told how well we hear, by which LiveKit rates connections, and what time our sound is of.
const reportEvery = 5 * time.Second

// receiverReports makes RTCP receiver reports (RFC 3550, section 6.4.2). pion's own interceptor allocates a header and a map for every packet.
type receiverReports struct{}

// NewInterceptor implements interceptor.Factory.
func (receiverReports) NewInterceptor(string) (interceptor.Interceptor, error) {
	return &reporter{streams: map[uint32]*reception{}, quit: make(chan struct{})}, nil
}

// reporter reports on the streams of one peer connection.
type reporter struct {
	interceptor.NoOp
	mu      sync.Mutex
	streams map[uint32]*reception // by SSRC
	quit    chan struct{}
	running sync.WaitGroup
	once    sync.Once
}

// BindRTCPWriter is called once, when the connection is up.
func (r *reporter) BindRTCPWriter(w interceptor.RTCPWriter) interceptor.RTCPWriter {
	var own [4]byte
	_, _ = rand.Read(own[:])
	r.running.Go(func() { r.run(w, binary.BigEndian.Uint32(own[:])) })
	return w
}

func (r *reporter) run(w interceptor.RTCPWriter, own uint32) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.quit:
			return
		case now := <-tick.C:
			var reports []rtcp.ReceptionReport
			r.mu.Lock()
			for ssrc, s := range r.streams {
				if report, ok := s.report(ssrc, now); ok && len(reports) < 31 { // as many as one packet can hold
					reports = append(reports, report)
				}
			}
			r.mu.Unlock()
			if len(reports) > 0 {
				_, _ = w.Write([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: own, Reports: reports}}, nil)
			}
		}
	}
}

// BindRemoteStream is called once per stream, and the reader that it returns once per packet.
func (r *reporter) BindRemoteStream(info *interceptor.StreamInfo, next interceptor.RTPReader) interceptor.RTPReader {
	s := &reception{rate: float64(info.ClockRate)}
	r.mu.Lock()
	r.streams[info.SSRC] = s
	r.mu.Unlock()
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := next.Read(b, a)
		if err == nil && n >= 12 {
			s.add(binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:]), time.Now())
		}
		return n, a, err
	})
}

// UnbindRemoteStream is called when a stream has ended.
func (r *reporter) UnbindRemoteStream(info *interceptor.StreamInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.streams, info.SSRC)
}

// BindRTCPReader sees the sender reports, which a receiver report refers to.
func (r *reporter) BindRTCPReader(next interceptor.RTCPReader) interceptor.RTCPReader {
	return interceptor.RTCPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := next.Read(b, a)
		if err != nil {
			return n, a, err
		}
		if packets, err := rtcp.Unmarshal(b[:n]); err == nil {
			for _, p := range packets {
				if sr, ok := p.(*rtcp.SenderReport); ok {
					r.mu.Lock()
					if s := r.streams[sr.SSRC]; s != nil {
						s.sent(sr.NTPTime, time.Now())
					}
					r.mu.Unlock()
				}
			}
		}
		return n, a, nil
	})
}

// Close ends the reports.
func (r *reporter) Close() error {
	r.once.Do(func() { close(r.quit) })
	r.running.Wait()
	return nil
}

// reception counts one stream as RFC 3550, appendix A, does.
type reception struct {
	mu                  sync.Mutex
	rate                float64 // of the clock, per second
	first, highest      uint32  // extended sequence numbers
	received            uint32
	reportedExpected    uint32
	reportedReceived    uint32
	transit             uint32 // of the last packet, in units of the clock
	jitter              float64
	lastReport          uint32 // middle 32 bits of the last sender report's NTP time
	lastReportAt, start time.Time
}

func (s *reception) add(seq uint16, timestamp uint32, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.received == 0 {
		s.start = now
		s.first = 1<<16 | uint32(seq) // packets from before the first may still come
		s.highest = s.first
	} else if d := int16(seq - uint16(s.highest)); d > 0 {
		s.highest += uint32(d)
	}
	s.received++
	transit := uint32(now.Sub(s.start).Seconds()*s.rate) - timestamp
	if s.received > 1 {
		d := float64(int32(transit - s.transit))
		s.jitter += (max(d, -d) - s.jitter) / 16
	}
	s.transit = transit
}

func (s *reception) sent(ntp uint64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastReport, s.lastReportAt = uint32(ntp>>16), now
}

// report is the report since the last, if there was a packet at all.
func (s *reception) report(ssrc uint32, now time.Time) (rtcp.ReceptionReport, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.received == 0 {
		return rtcp.ReceptionReport{}, false
	}
	expected := s.highest - s.first + 1
	r := rtcp.ReceptionReport{SSRC: ssrc, LastSequenceNumber: s.highest - 1<<16, Jitter: uint32(s.jitter)}
	if lost := int64(expected) - int64(s.received); lost > 0 {
		r.TotalLost = uint32(min(lost, 1<<23-1))
	}
	if e, got := expected-s.reportedExpected, s.received-s.reportedReceived; e > 0 && got < e {
		r.FractionLost = uint8(min((e-got)*256/e, 255))
	}
	s.reportedExpected, s.reportedReceived = expected, s.received
	if !s.lastReportAt.IsZero() {
		r.LastSenderReport = s.lastReport
		r.Delay = uint32(now.Sub(s.lastReportAt).Seconds() * 65536)
	}
	return r, true
}
