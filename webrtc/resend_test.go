package webrtc

import (
	"bytes"
	"slices"
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// wire keeps what is written, and gives requests to whoever reads.
type wire struct {
	sent     []rtp.Packet
	requests chan []byte
}

func (w *wire) Write(h *rtp.Header, payload []byte, _ interceptor.Attributes) (int, error) {
	w.sent = append(w.sent, rtp.Packet{Header: h.Clone(), Payload: bytes.Clone(payload)})
	return len(payload), nil
}

func (w *wire) Read(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
	return copy(b, <-w.requests), a, nil
}

func bindResend(t testing.TB, info *interceptor.StreamInfo) (*wire, interceptor.RTPWriter, func(numbers ...uint16)) {
	t.Helper()
	i, err := Resend{Packets: 16}.NewInterceptor("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Close() })
	w := &wire{requests: make(chan []byte, 1)}
	out, in := i.BindLocalStream(info, w), i.BindRTCPReader(w)
	return w, out, func(numbers ...uint16) {
		t.Helper()
		b, err := (&rtcp.TransportLayerNack{MediaSSRC: info.SSRC, Nacks: rtcp.NackPairsFromSequenceNumbers(numbers)}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		w.requests <- b
		if _, _, err := in.Read(make([]byte, 1500), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestResend: what was sent is sent again as it was, over the wrap of numbers; what is too old, or never was, is not.
func TestResend(t *testing.T) {
	info := &interceptor.StreamInfo{SSRC: 7, RTCPFeedback: []interceptor.RTCPFeedback{{Type: "nack"}}}
	w, out, ask := bindResend(t, info)
	extension := []byte{1}
	for i := range 32 {
		h := rtp.Header{Version: 2, SSRC: 7, SequenceNumber: uint16(65520 + i), Timestamp: uint32(i), Marker: true}
		if err := h.SetExtension(3, extension); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(&h, []byte{byte(i)}, nil); err != nil {
			t.Fatal(err)
		}
		extension[0]++ // the caller uses its memory again
	}
	first := w.sent
	w.sent = nil
	ask(65520, 0, 15, 16, 9)
	if len(w.sent) != 3 {
		t.Fatalf("%d packets", len(w.sent))
	}
	for _, p := range w.sent {
		before := first[uint16(p.SequenceNumber-65520)]
		before.Header.SetExtension(3, []byte{byte(before.Timestamp) + 1})
		if p.SSRC != 7 || p.Timestamp != before.Timestamp || !bytes.Equal(p.Payload, before.Payload) || !bytes.Equal(p.GetExtension(3), before.GetExtension(3)) || !p.Marker {
			t.Errorf("%v came again as %v", before, p)
		}
	}
	info.SSRC = 8 // nobody's
	ask(1)
	if len(w.sent) != 3 {
		t.Error("something was sent for nothing")
	}
}

// TestResendBounded: one request cannot ask for more than is kept.
func TestResendBounded(t *testing.T) {
	w, out, ask := bindResend(t, &interceptor.StreamInfo{SSRC: 7, RTCPFeedback: []interceptor.RTCPFeedback{{Type: "nack"}}})
	_, _ = out.Write(&rtp.Header{Version: 2, SSRC: 7, SequenceNumber: 5}, []byte{1}, nil)
	w.sent = nil
	ask(slices.Repeat([]uint16{5}, 300)...)
	if len(w.sent) > 16 {
		t.Errorf("%d packets for one request", len(w.sent))
	}
}

// TestRetransmissionStream: where it was agreed, packets come again in a stream of their own, with their number in front.
func TestRetransmissionStream(t *testing.T) {
	w, out, ask := bindResend(t, &interceptor.StreamInfo{
		SSRC: 7, SSRCRetransmission: 70, PayloadTypeRetransmission: 97, RTCPFeedback: []interceptor.RTCPFeedback{{Type: "nack"}},
	})
	_, _ = out.Write(&rtp.Header{Version: 2, SSRC: 7, PayloadType: 96, SequenceNumber: 0x1234}, []byte{9}, nil)
	w.sent = nil
	ask(0x1234)
	ask(0x1234)
	if len(w.sent) != 2 || w.sent[1].SequenceNumber != w.sent[0].SequenceNumber+1 || w.sent[0].SSRC != 70 || w.sent[0].PayloadType != 97 ||
		!bytes.Equal(w.sent[0].Payload, []byte{0x12, 0x34, 9}) {
		t.Errorf("%+v", w.sent)
	}
}

// TestResendAllocs: nothing is allocated for a packet that is kept, and streams that are not asked about are left alone.
func TestResendAllocs(t *testing.T) {
	i, err := Resend{Packets: 16}.NewInterceptor("")
	if err != nil {
		t.Fatal(err)
	}
	next := interceptor.RTPWriterFunc(func(*rtp.Header, []byte, interceptor.Attributes) (int, error) { return 0, nil })
	info := &interceptor.StreamInfo{SSRC: 7, RTCPFeedback: []interceptor.RTCPFeedback{{Type: "nack"}}}
	out := i.BindLocalStream(info, next)
	h := rtp.Header{Version: 2, SSRC: 7}
	payload := make([]byte, 1100)
	write := func() {
		h.SequenceNumber++
		_, _ = out.Write(&h, payload, nil)
	}
	for range 16 {
		write()
	}
	if n := testing.AllocsPerRun(1000, write); n != 0 {
		t.Errorf("%v allocations", n)
	}
	i.UnbindLocalStream(info)
	if len(i.(*resender).streams) != 0 {
		t.Error("a stream that has ended is kept")
	}
}
