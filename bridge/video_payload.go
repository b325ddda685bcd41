package bridge

import "encoding/binary"

// What has to be known of a payload to hand it on: where a keyframe begins, and which numbers of the format's own count pictures, because a receiver
// wants them to go on when the picture changes its source.

// marks are what a payload, or its dependency descriptor, says.
type marks struct {
	key bool // a keyframe begins here
	// Offsets of what counts pictures; 0: it is not there. All counters of a format are of one width for a whole stream.
	pictureAt int // VP8 and VP9 picture id; in the payload
	wide      bool
	tl0At     int // VP8 and VP9 TL0PICIDX; in the payload
	frameAt   int // AV1 frame number; in the dependency descriptor
}

// inspect reads a payload. What is not understood has no marks; nothing is read beyond the slices.
func inspect(kind VideoKind, payload, dependency []byte) marks {
	switch kind {
	case VP8:
		return inspectVP8(payload)
	case VP9:
		return inspectVP9(payload)
	case H264:
		return marks{key: beginsH264(payload)}
	case AV1:
		return inspectAV1(payload, dependency)
	}
	return marks{}
}

// inspectVP8 reads a payload descriptor and the first byte of a frame (RFC 7741, sections 4.2 and 4.3).
func inspectVP8(b []byte) (m marks) {
	if len(b) < 1 {
		return m
	}
	first := b[0]&0x10 != 0 && b[0]&0x07 == 0 // S, and the first partition
	at := 1
	if b[0]&0x80 != 0 { // X
		if len(b) < 2 {
			return m
		}
		bits := b[1]
		at = 2
		if bits&0x80 != 0 { // I
			if at >= len(b) {
				return marks{}
			}
			m.pictureAt, m.wide = at, b[at]&0x80 != 0
			at++
			if m.wide {
				at++
			}
		}
		if bits&0x40 != 0 { // L
			m.tl0At = at
			at++
		}
		if bits&0x30 != 0 { // T or K
			at++
		}
	}
	if at >= len(b) {
		return marks{}
	}
	m.key = first && b[at]&0x01 == 0
	return m
}

// inspectVP9 reads a payload descriptor (RFC 9628, section 4.2).
func inspectVP9(b []byte) (m marks) {
	if len(b) < 1 {
		return m
	}
	bits, at := b[0], 1
	if bits&0x80 != 0 { // I
		if at >= len(b) {
			return m
		}
		m.pictureAt, m.wide = at, b[at]&0x80 != 0
		at++
		if m.wide {
			at++
		}
	}
	base := true
	if bits&0x20 != 0 { // L
		if at >= len(b) {
			return marks{}
		}
		base = b[at]&0x0e == 0 // the lowest spatial layer
		at++
		if bits&0x10 == 0 { // not F
			m.tl0At = at
			at++
		}
	}
	if at >= len(b) {
		return marks{}
	}
	m.key = bits&0x40 == 0 && bits&0x08 != 0 && base // not P, B
	return m
}

// beginsH264 looks for a sequence parameter set (RFC 6184, section 5): a keyframe without one cannot be shown by who sees it first.
func beginsH264(b []byte) bool {
	const sps, stapA, fuA = 7, 24, 28
	if len(b) < 2 {
		return false
	}
	switch b[0] & 0x1f {
	case sps:
		return true
	case fuA:
		return b[1]&0x80 != 0 && b[1]&0x1f == sps
	case stapA:
		for b = b[1:]; len(b) > 2; {
			n := int(binary.BigEndian.Uint16(b))
			if n == 0 || n > len(b)-2 {
				return false
			}
			if b[2]&0x1f == sps {
				return true
			}
			b = b[2+n:]
		}
	}
	return false
}

// inspectAV1 reads the aggregation header, whose N bit begins a coded video sequence, and the frame number of the dependency descriptor (AV1 RTP
// specification, section 4.4 and appendix A.8.2).
func inspectAV1(b, dependency []byte) (m marks) {
	if len(b) < 2 {
		return m
	}
	m.key = b[0]&0x88 == 0x08 // not Z, N
	if len(dependency) >= 3 {
		m.frameAt = 1
	}
	return m
}

// counters are the values of what counts pictures.
type counters struct {
	picture uint16 // 15 bits, or 7
	tl0     uint8
	frame   uint16
}

// read takes the counters out of a packet.
func (m marks) read(payload, dependency []byte) (c counters) {
	switch {
	case m.pictureAt != 0 && m.wide:
		c.picture = binary.BigEndian.Uint16(payload[m.pictureAt:]) & 0x7fff
	case m.pictureAt != 0:
		c.picture = uint16(payload[m.pictureAt] & 0x7f)
	}
	if m.tl0At != 0 {
		c.tl0 = payload[m.tl0At]
	}
	if m.frameAt != 0 {
		c.frame = binary.BigEndian.Uint16(dependency[m.frameAt:])
	}
	return c
}

// write puts counters into a packet.
func (m marks) write(payload, dependency []byte, c counters) {
	switch {
	case m.pictureAt != 0 && m.wide:
		binary.BigEndian.PutUint16(payload[m.pictureAt:], 0x8000|c.picture&0x7fff)
	case m.pictureAt != 0:
		payload[m.pictureAt] = byte(c.picture & 0x7f)
	}
	if m.tl0At != 0 {
		payload[m.tl0At] = c.tl0
	}
	if m.frameAt != 0 {
		binary.BigEndian.PutUint16(dependency[m.frameAt:], c.frame)
	}
}

// plus adds counters, each in its own width.
func (c counters) plus(d counters) counters {
	return counters{c.picture + d.picture, c.tl0 + d.tl0, c.frame + d.frame}
}

// minus subtracts them.
func (c counters) minus(d counters) counters {
	return counters{c.picture - d.picture, c.tl0 - d.tl0, c.frame - d.frame}
}

// after tells whether any of them is further on than d's, by less than half of its width.
func (c counters) after(d counters) bool {
	return int16((c.picture-d.picture)<<1) > 0 || int8(c.tl0-d.tl0) > 0 || int16(c.frame-d.frame) > 0
}
