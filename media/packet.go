package media

import (
	"encoding/binary"
	"sync"
	"time"

	"passerelle/transcode"
)

// maxPacket is the longest datagram that is read; what is longer is cut and then fails.
const maxPacket = 2048

// headerSize is the RTP header without contributing sources and extensions.
const headerSize = 12

// packet is one received datagram. It has one owner at a time: the read goroutine, the reordering window, or the pool.
type packet struct {
	buf       [maxPacket]byte
	payload   []byte // inside buf
	ssrc      uint32
	timestamp uint32
	sequence  uint16
	pt        uint8
	marker    bool
	kind      kind
	codec     *transcode.Codec
	arrival   time.Time
}

// packets is the pool of all streams. It has no state that anyone could see.
var packets = sync.Pool{New: func() any { return new(packet) }}

// parse reads the RTP header of the first n bytes (RFC 3550, section 5.1) and finds the payload between extensions and padding.
func (p *packet) parse(n int) bool {
	b := p.buf[:n]
	if n < headerSize || b[0]>>6 != 2 {
		return false
	}
	p.pt, p.marker = b[1]&0x7f, b[1]&0x80 != 0
	p.sequence = binary.BigEndian.Uint16(b[2:])
	p.timestamp = binary.BigEndian.Uint32(b[4:])
	p.ssrc = binary.BigEndian.Uint32(b[8:])
	start := headerSize + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 {
		if start+4 > n {
			return false
		}
		start += 4 + 4*int(binary.BigEndian.Uint16(b[start+2:]))
	}
	end := n
	if b[0]&0x20 != 0 {
		end -= int(b[n-1])
		if b[n-1] == 0 {
			return false
		}
	}
	if start > end {
		return false
	}
	p.payload = b[start:end]
	return true
}

// putHeader writes an RTP header without extensions into the first 12 bytes of b.
func putHeader(b []byte, pt uint8, marker bool, sequence uint16, timestamp, ssrc uint32) {
	b[0], b[1] = 0x80, pt&0x7f
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], sequence)
	binary.BigEndian.PutUint32(b[4:], timestamp)
	binary.BigEndian.PutUint32(b[8:], ssrc)
}
