// Package g711 is the telephone's codec: PCMU and PCMA, 8 kHz, 64 kbit/s, one byte a sample.
//
// Specification: ITU-T G.711; RFC 3551, section 4.5.14.
package g711

import (
	"errors"

	"github.com/zaf/g711"
)

// SampleRate in Hz.
const SampleRate = 8000

// Law is how samples are squeezed into bytes.
type Law int

// The two laws: PCMU in North America and Japan, PCMA in Europe and between the two.
const (
	MuLaw Law = iota // PCMU
	ALaw             // PCMA
)

// ErrPayload is returned for a payload that is empty, or for which there is no room.
var ErrPayload = errors.New("g711: empty payload or short buffer")

// Decoder decodes; it has no state.
type Decoder struct{ law Law }

// NewDecoder makes a decoder.
func NewDecoder(law Law) *Decoder { return &Decoder{law} }

// Decode writes the payload's samples into pcm, one for each byte, and says how many.
func (d *Decoder) Decode(pcm []int16, payload []byte) (int, error) {
	if len(payload) == 0 || len(payload) > len(pcm) {
		return 0, ErrPayload
	}
	pcm = pcm[:len(payload)]
	if d.law == ALaw {
		for i, b := range payload {
			pcm[i] = g711.DecodeAlawFrame(b)
		}
	} else {
		for i, b := range payload {
			pcm[i] = g711.DecodeUlawFrame(b)
		}
	}
	return len(pcm), nil
}

// Encoder encodes; it has no state.
type Encoder struct{ law Law }

// NewEncoder makes an encoder.
func NewEncoder(law Law) *Encoder { return &Encoder{law: law} }

// Encode writes one byte for each sample and says how many.
func (e *Encoder) Encode(payload []byte, pcm []int16) (int, error) {
	if len(pcm) == 0 || len(pcm) > len(payload) {
		return 0, ErrPayload
	}
	payload = payload[:len(pcm)]
	if e.law == ALaw {
		for i, s := range pcm {
			payload[i] = g711.EncodeAlawFrame(s)
		}
	} else {
		for i, s := range pcm {
			payload[i] = g711.EncodeUlawFrame(s)
		}
	}
	return len(payload), nil
}
