// Package transcode turns the sound of one side into the sound of the other: codecs, resampling, playout and mixing, each in a package of its
// own. This package names the codecs and makes their encoders and decoders.
//
// PCM is signed 16-bit mono everywhere. A room is mixed at Rate, in frames of FrameSamples samples (20 ms).
package transcode

import "strings"

// Rate is the sample rate of rooms and prompts in Hz, and FrameSamples the number of samples in their 20 ms frames.
const (
	Rate         = 48000
	FrameSamples = Rate / 50
)

// Codec is one audio format on the wire.
type Codec struct {
	Name        string // the encoding name of its rtpmap: PCMU, PCMA, G722, opus, L16
	ClockRate   int    // RTP timestamp units a second. G722 says 8000 (RFC 3551, section 4.5.2).
	SampleRate  int    // Hz of the PCM that it is decoded to and encoded from
	Channels    int    // as its rtpmap says; opus says 2 (RFC 7587, section 7) and is used with one
	PayloadType uint8  // the static payload type (RFC 3551, section 6), or the one to offer
}

// Codecs lists what Passerelle speaks, best first.
func Codecs() []Codec {
	return []Codec{
		{Name: "opus", ClockRate: 48000, SampleRate: 48000, Channels: 2, PayloadType: 111},
		{Name: "G722", ClockRate: 8000, SampleRate: 16000, Channels: 1, PayloadType: 9},
		{Name: "PCMA", ClockRate: 8000, SampleRate: 8000, Channels: 1, PayloadType: 8},
		{Name: "PCMU", ClockRate: 8000, SampleRate: 8000, Channels: 1, PayloadType: 0},
		{Name: "L16", ClockRate: 16000, SampleRate: 16000, Channels: 1, PayloadType: 118},
		{Name: "L16", ClockRate: 8000, SampleRate: 8000, Channels: 1, PayloadType: 117},
	}
}

// Lookup finds a codec by the encoding name (in any case) and clock rate of an rtpmap.
func Lookup(name string, clockRate int) (Codec, bool) {
	for _, c := range Codecs() {
		if strings.EqualFold(c.Name, name) && c.ClockRate == clockRate {
			return c, true
		}
	}
	return Codec{}, false
}

// Is tells whether two codecs are the same format, whatever payload type stands for them.
func (c Codec) Is(o Codec) bool {
	return strings.EqualFold(c.Name, o.Name) && c.ClockRate == o.ClockRate
}

// Decoder turns payloads into PCM at the codec's SampleRate. It is implemented by the codec packages below this one, keeps the state of one
// stream, and is for one goroutine.
type Decoder interface {
	// Decode writes the payload's samples into pcm and says how many. pcm must hold the longest packet, 120 ms; a longer payload is an error.
	Decode(pcm []int16, payload []byte) (int, error)
}

// Concealer is a Decoder that hides losses: see Codec.NewConcealer. It is implemented by opus.Decoder and, for waveform codecs, here.
type Concealer interface {
	Decoder
	// Conceal fills pcm with a guess at what a lost packet held. len(pcm) is the lost time.
	Conceal(pcm []int16) error
}

// Encoder turns PCM at the codec's SampleRate into one payload. It is implemented by the codec packages below this one, keeps the state of one
// stream, and is for one goroutine.
type Encoder interface {
	// Encode writes one packet's payload and says how long it is. len(pcm) is 10, 20, 40 or 60 ms.
	Encode(payload []byte, pcm []int16) (int, error)
}
