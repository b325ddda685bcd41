package playout

import (
	"math"
	"strings"

	"passerelle/media"
)

// Guessing levels.
const (
	unreadFrames = 10  // packets without a Read after which nobody reads this stream
	unknownLevel = -40 // dBov of a stream whose packets do not show their level: loud enough to be decoded, and then it is known
	quietOpus    = -55 // dBov of the shortest Opus packets that are not DTX
	quietRoom    = -60 // dBov of a room in which nobody talks
	dtxBytes     = 3   // an Opus packet of this length or less holds silence
)

// hear notes how loud a packet is, as far as that shows without decoding it. b.mu is held.
func (b *Buffer) hear(f *media.Frame, given int) {
	switch {
	case given != noLevel:
		b.louder(given)
	case b.unread < unreadFrames && !isG711(f.Codec.Name):
		// It is being read: Read knows better.
	default:
		b.louder(b.guess(f.Codec.Name, f.Payload))
	}
}

// learn compares how long an Opus packet was with how loud it is: a sender without DTX spends many bytes on the noise of a silent room, and is not to
// be taken for a talker again and again. b.mu is held.
func (b *Buffer) learn(bytes int, pcm []int16) {
	switch quiet := measure(pcm) < quietRoom; {
	case quiet && bytes > b.hushed:
		b.hushed = bytes
	case !quiet && bytes <= b.hushed:
		b.hushed = bytes - 1
	}
}

// louder raises the level for the next call of Level.
func (b *Buffer) louder(dBov int) {
	for v := int32(dBov); ; {
		old := b.level.Load()
		if v <= old || b.level.CompareAndSwap(old, v) {
			return
		}
	}
}

func isG711(name string) bool {
	return strings.EqualFold(name, "PCMU") || strings.EqualFold(name, "PCMA")
}

// guess is the level of a payload in dBov, without decoding.
func (b *Buffer) guess(name string, payload []byte) int {
	switch {
	case strings.EqualFold(name, "opus"):
		if len(payload) <= max(dtxBytes, b.hushed) {
			return silence
		}
		return quietOpus + 30*min(len(payload), 100)/100
	case strings.EqualFold(name, "PCMU"):
		return sample(payload, ulaw)
	case strings.EqualFold(name, "PCMA"):
		return sample(payload, alaw)
	}
	return unknownLevel
}

// sample measures every fourth sample of a G.711 payload.
func sample(payload []byte, magnitude func(byte) int) int {
	sum, n := 0, 0
	for i := 0; i < len(payload); i += 4 {
		m := magnitude(payload[i])
		sum += m * m
		n++
	}
	return decibels(float64(sum) / float64(n))
}

// ulaw is the magnitude of a µ-law code word on the scale of 16-bit PCM (ITU-T G.711, table 2).
func ulaw(c byte) int {
	c = ^c
	return (int(c&0x0f)<<3+0x84)<<(c&0x70>>4) - 0x84
}

// alaw is the magnitude of an A-law code word on the scale of 16-bit PCM (ITU-T G.711, table 1).
func alaw(c byte) int {
	c ^= 0x55
	m := int(c&0x0f)<<4 + 8
	if segment := c & 0x70 >> 4; segment > 0 {
		m = (m + 0x100) << (segment - 1)
	}
	return m
}

// decibels turns a mean square of 16-bit PCM into dBov (RFC 6464, section 3, counts them from the overload point of the digital scale).
func decibels(meanSquare float64) int {
	if meanSquare < 1 {
		return silence
	}
	return max(silence, min(0, int(math.Round(10*math.Log10(meanSquare/(1<<30))))))
}

// measure is the level of PCM in dBov.
func measure(pcm []int16) int {
	if len(pcm) == 0 {
		return silence
	}
	sum := 0
	for _, v := range pcm {
		sum += int(v) * int(v)
	}
	return decibels(float64(sum) / float64(len(pcm)))
}
