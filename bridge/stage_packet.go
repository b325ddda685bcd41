package bridge

import (
	"sync"
	"sync/atomic"
	"time"
)

// maxVideoPacket is the largest payload that is handed on: what comes over the network is smaller.
const maxVideoPacket = 1500

// packet is a packet with what has been found out about it.
type packet struct {
	number     int64 // sequence number without wraps
	timestamp  uint32
	marker     bool
	marks      marks
	codec      *VideoCodec
	payload    []byte
	dependency []byte
	arrival    time.Time
}

// shared is a packet that many places send. It is written once, by the source that received it, and goes back to its pool when the last has sent it.
type shared struct {
	packet
	refs   atomic.Int32
	buffer [maxVideoPacket]byte // of payload
	extra  [256]byte            // of dependency
}

// sharedPackets are the shared packets that nobody uses. It is a type of its own so that each stage's are let go with it.
type sharedPackets struct{ pool sync.Pool }

// take copies a packet. It answers nil for one that is too large. The caller has one reference.
func (ps *sharedPackets) take(p *VideoPacket) *shared {
	if len(p.Payload) > maxVideoPacket || len(p.Dependency) > len(shared{}.extra) {
		return nil
	}
	s, ok := ps.pool.Get().(*shared)
	if !ok {
		s = new(shared)
	}
	s.refs.Store(1)
	s.timestamp, s.marker, s.codec, s.arrival = p.Timestamp, p.Marker, p.Codec, p.Arrival
	s.payload = s.buffer[:copy(s.buffer[:], p.Payload)]
	s.dependency = s.extra[:copy(s.extra[:], p.Dependency)]
	s.marks = inspect(p.Codec.Kind, s.payload, s.dependency)
	return s
}

func (s *shared) hold() { s.refs.Add(1) }

// release gives up one reference.
func (ps *sharedPackets) release(s *shared) {
	if s.refs.Add(-1) == 0 {
		ps.pool.Put(s)
	}
}
