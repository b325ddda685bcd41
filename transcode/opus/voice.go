package opus

// Voice tells whether the sender's encoder found somebody speaking in a packet, without decoding it. known is false where a packet does not say: CELT
// ones do not, and those of more than two frames are not looked at.
//
// RFC 6716, section 4.2.3: a frame with a SILK layer begins with one bit for each 20 ms of its first channel, one that announces a copy of the frame
// before, and the same again for its second channel. Their probability is one half, so that they are the payload's first bits as they are.
func Voice(payload []byte) (voice, known bool) {
	if len(payload) == 0 {
		return false, false
	}
	toc, data := payload[0], payload[1:]
	const firstCELT, oneFrame, twoEqual, two = 16, 0, 1, 2
	if toc>>3 >= firstCELT {
		return false, false
	}
	switch toc & 3 {
	case oneFrame:
		return frameVoice(toc, data), true
	case twoEqual:
		half := len(data) / 2
		return frameVoice(toc, data[:half]) || frameVoice(toc, data[half:]), true
	case two:
		if first, rest, ok := cut(data); ok {
			return frameVoice(toc, first) || frameVoice(toc, rest), true
		}
	}
	return false, false
}

// cut takes off a frame that begins with its length (section 3.2.1).
func cut(data []byte) (frame, rest []byte, ok bool) {
	if len(data) == 0 {
		return nil, nil, false
	}
	length, at := int(data[0]), 1
	if length >= 252 {
		if len(data) < 2 {
			return nil, nil, false
		}
		length, at = 4*int(data[1])+length, 2
	}
	if at+length > len(data) {
		return nil, nil, false
	}
	return data[at : at+length], data[at+length:], true
}

// frameVoice reads one frame's flags. An empty frame is silence (section 3.2.1).
func frameVoice(toc byte, frame []byte) bool {
	if len(frame) == 0 {
		return false
	}
	flags := 1
	if config := toc >> 3; config < 12 {
		flags = max(1, int(config&3))
	}
	mask := byte(0xff) << (8 - flags)
	if toc&4 != 0 { // stereo
		mask |= mask >> (flags + 1)
	}
	return frame[0]&mask != 0
}
