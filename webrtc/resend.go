package webrtc

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// Resend is an interceptor that sends lost packets again when the far end asks for them (RFC 4585, section 6.2.1): in a stream of their own where that
// was agreed (RFC 4588), else as they were. pion's own allocates for every packet, and starts a goroutine for every request.
type Resend struct {
	Packets int // that are kept of each stream
}

// NewInterceptor implements interceptor.Factory.
func (r Resend) NewInterceptor(string) (interceptor.Interceptor, error) {
	return &resender{size: r.Packets, streams: map[uint32]*sent{}}, nil
}

type resender struct {
	interceptor.NoOp
	size    int
	mu      sync.Mutex
	streams map[uint32]*sent // by SSRC
}

// BindLocalStream is called once per stream, and the writer that it returns once per packet.
func (r *resender) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	if !slices.Contains(info.RTCPFeedback, interceptor.RTCPFeedback{Type: "nack"}) {
		return next
	}
	s := &sent{next: next, packets: make([]kept, r.size), ssrc: info.SSRCRetransmission, payloadType: info.PayloadTypeRetransmission}
	r.mu.Lock()
	r.streams[info.SSRC] = s
	r.mu.Unlock()
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		s.keep(h, payload)
		return next.Write(h, payload, a)
	})
}

// UnbindLocalStream is called when a stream has ended.
func (r *resender) UnbindLocalStream(info *interceptor.StreamInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.streams, info.SSRC)
}

// BindRTCPReader sees the requests.
func (r *resender) BindRTCPReader(next interceptor.RTCPReader) interceptor.RTCPReader {
	return interceptor.RTCPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := next.Read(b, a)
		if err != nil {
			return n, a, err
		}
		packets, err := rtcp.Unmarshal(b[:n])
		if err != nil {
			return n, a, nil // whoever reads it says so
		}
		for _, p := range packets {
			if nack, ok := p.(*rtcp.TransportLayerNack); ok {
				r.mu.Lock()
				s := r.streams[nack.MediaSSRC]
				r.mu.Unlock()
				s.again(nack.Nacks)
			}
		}
		return n, a, nil
	})
}

// sent are the last packets of one stream.
type sent struct {
	next        interceptor.RTPWriter
	ssrc        uint32 // for packets that are sent again; 0: the same
	payloadType uint8

	mu      sync.Mutex
	packets []kept // by sequence number, modulo their count
	number  uint16 // of the next packet in the stream for those that are sent again
}

// kept is one packet. Its memory is used again for a later one.
type kept struct {
	used   bool
	number uint16
	head   int
	bytes  []byte // header and payload
}

// keep copies a packet in the place of an older one.
func (s *sent) keep(h *rtp.Header, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &s.packets[int(h.SequenceNumber)%len(s.packets)]
	k.bytes = slices.Grow(k.bytes[:0], h.MarshalSize()+len(payload))
	n, err := h.MarshalTo(k.bytes[:cap(k.bytes)])
	k.used, k.number, k.head = err == nil, h.SequenceNumber, n
	k.bytes = append(k.bytes[:n], payload...)
}

// again sends what is still kept of the packets that are asked for, at most once per request and as many as are kept. s may be nil.
func (s *sent) again(list []rtcp.NackPair) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	left := len(s.packets)
	for i := range list {
		list[i].Range(func(number uint16) bool {
			left--
			if k := &s.packets[int(number)%len(s.packets)]; left >= 0 && k.used && k.number == number {
				s.send(k)
			}
			return left > 0
		})
	}
}

// send sends one packet again. s.mu is held.
func (s *sent) send(k *kept) {
	var h rtp.Header
	if _, err := h.Unmarshal(k.bytes); err != nil {
		return // it was marshalled here
	}
	payload := k.bytes[k.head:]
	if s.ssrc != 0 && s.payloadType != 0 {
		payload = append(binary.BigEndian.AppendUint16(make([]byte, 0, len(payload)+2), h.SequenceNumber), payload...)
		h.SSRC, h.PayloadType, h.SequenceNumber = s.ssrc, s.payloadType, s.number
		s.number++
	}
	_, _ = s.next.Write(&h, payload, nil) // a closed connection asks for nothing more
}
