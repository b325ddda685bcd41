package livekit

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
)

// How lost packets of video are asked for again (RFC 4585, section 6.2.1). Between a node and its SFU a round trip is short.
const (
	lossTick  = 20 * time.Millisecond // a packet that is only late by less is not asked for
	lossPause = 100 * time.Millisecond
	maxAsks   = 5   // of one packet; then a keyframe will be asked for by who shows it
	maxLost   = 128 // of one stream, at one time: more is not a loss but an outage
)

// lossNotices asks for lost packets of video. pion's own interceptor allocates a header and a map for every packet.
type lossNotices struct{}

// NewInterceptor implements interceptor.Factory.
func (lossNotices) NewInterceptor(string) (interceptor.Interceptor, error) {
	return &noticer{streams: map[uint32]*losses{}, quit: make(chan struct{})}, nil
}

// noticer watches the streams of one peer connection. Its goroutine starts with the first stream that can be asked about.
type noticer struct {
	interceptor.NoOp
	mu      sync.Mutex
	streams map[uint32]*losses // by SSRC
	writer  interceptor.RTCPWriter
	started bool
	closed  bool
	quit    chan struct{}
	running sync.WaitGroup
}

// BindRTCPWriter is called once, when the connection is up.
func (n *noticer) BindRTCPWriter(w interceptor.RTCPWriter) interceptor.RTCPWriter {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.writer = w
	n.start()
	return w
}

// BindRemoteStream is called once per stream, and the reader that it returns once per packet.
func (n *noticer) BindRemoteStream(info *interceptor.StreamInfo, next interceptor.RTPReader) interceptor.RTPReader {
	if !slices.Contains(info.RTCPFeedback, interceptor.RTCPFeedback{Type: "nack"}) {
		return next
	}
	s := new(losses)
	n.mu.Lock()
	n.streams[info.SSRC] = s
	n.start()
	n.mu.Unlock()
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		size, a, err := next.Read(b, a)
		if err == nil && size >= 12 {
			s.add(binary.BigEndian.Uint16(b[2:]), time.Now())
		}
		return size, a, err
	})
}

// UnbindRemoteStream is called when a stream has ended.
func (n *noticer) UnbindRemoteStream(info *interceptor.StreamInfo) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.streams, info.SSRC)
}

// Close ends the notices.
func (n *noticer) Close() error {
	n.mu.Lock()
	if !n.closed {
		n.closed = true
		close(n.quit)
	}
	n.mu.Unlock()
	n.running.Wait()
	return nil
}

// start runs the notices when there is something to ask for and a way to ask. n.mu is held.
func (n *noticer) start() {
	if n.started || n.closed || n.writer == nil || len(n.streams) == 0 {
		return
	}
	n.started = true
	n.running.Go(n.run)
}

func (n *noticer) run() {
	var own [4]byte
	_, _ = rand.Read(own[:])
	tick := time.NewTicker(lossTick)
	defer tick.Stop()
	for {
		select {
		case <-n.quit:
			return
		case now := <-tick.C:
			var out []rtcp.Packet
			n.mu.Lock()
			for ssrc, s := range n.streams {
				if lost := s.due(now); len(lost) > 0 {
					out = append(out, &rtcp.TransportLayerNack{
						SenderSSRC: binary.BigEndian.Uint32(own[:]), MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(lost),
					})
				}
			}
			n.mu.Unlock()
			if len(out) > 0 {
				_, _ = n.writer.Write(out, nil)
			}
		}
	}
}

// losses are the missing packets of one stream.
type losses struct {
	mu      sync.Mutex
	begun   bool
	highest uint16
	missing []missing // in the order of their numbers
}

type missing struct {
	seq  uint16
	asks int
	next time.Time // when it is asked for
}

// add notes a packet that came.
func (l *losses) add(seq uint16, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.begun {
		l.begun, l.highest = true, seq
		return
	}
	ahead := int16(seq - l.highest)
	switch {
	case ahead <= 0:
		if i := slices.IndexFunc(l.missing, func(m missing) bool { return m.seq == seq }); i >= 0 {
			l.missing = slices.Delete(l.missing, i, i+1)
		}
		return
	case int(ahead)-1+len(l.missing) > maxLost:
		l.missing = l.missing[:0]
	default:
		for s := l.highest + 1; s != seq; s++ {
			l.missing = append(l.missing, missing{seq: s, next: now.Add(lossTick / 2)})
		}
	}
	l.highest = seq
}

// due are the packets to ask for now.
func (l *losses) due(now time.Time) []uint16 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.missing) == 0 {
		return nil
	}
	var list []uint16
	for i := range l.missing {
		m := &l.missing[i]
		if now.Before(m.next) {
			continue
		}
		if m.asks++; m.asks <= maxAsks {
			list = append(list, m.seq)
			m.next = now.Add(lossPause)
		}
	}
	l.missing = slices.DeleteFunc(l.missing, func(m missing) bool { return m.asks > maxAsks })
	return list
}
