package opus

import "errors"

// MaxDuration is the longest packet, 120 ms, in samples at 48 kHz (RFC 6716, section 3.2.5, requirement 5).
const MaxDuration = 5760

// ErrPacket is returned for a payload that is no Opus packet.
var ErrPacket = errors.New("opus: malformed packet")

// Duration reads from a packet's first two bytes how much sound it holds, in samples at 48 kHz, which is also RTP's clock for it. What is behind
// them is not looked at.
//
// RFC 6716, section 3.1: the first byte is config (5 bits), stereo (1), number of frames (2: one, two, two, or as the second byte says).
func Duration(payload []byte) (int, error) {
	if len(payload) == 0 {
		return 0, ErrPacket
	}
	frames := 2
	switch payload[0] & 3 {
	case 0:
		frames = 1
	case 3:
		if len(payload) < 2 {
			return 0, ErrPacket
		}
		frames = int(payload[1] & 0x3f)
	}
	d := frames * frameDuration(payload[0])
	if d == 0 || d > MaxDuration {
		return 0, ErrPacket
	}
	return d, nil
}

// frameDuration is the length of one frame in samples at 48 kHz (RFC 6716, table 2).
func frameDuration(toc byte) int {
	config := toc >> 3
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		return [4]int{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		return 480 << (config & 1)
	default: // CELT: 2.5, 5, 10, 20 ms
		return 120 << (config & 3)
	}
}

// Stereo tells whether a packet was encoded from two channels. Our decoder mixes them down.
func Stereo(payload []byte) bool { return len(payload) > 0 && payload[0]&4 != 0 }
