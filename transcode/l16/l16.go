// Package l16 is uncompressed sound on the wire: 16-bit samples, big endian, mono.
//
// Specification: RFC 3551, section 4.5.11.
package l16

import (
	"encoding/binary"
	"errors"
)

// ErrPayload is returned for a payload that is empty, ends within a sample, or for which there is no room.
var ErrPayload = errors.New("l16: empty payload, half a sample or short buffer")

// Decoder decodes; it has no state.
type Decoder struct{}

// NewDecoder makes a decoder.
func NewDecoder() *Decoder { return &Decoder{} }

// Decode writes the payload's samples into pcm, one for two bytes, and says how many.
func (d *Decoder) Decode(pcm []int16, payload []byte) (int, error) {
	n := len(payload) / 2
	if n == 0 || len(payload)%2 != 0 || n > len(pcm) {
		return 0, ErrPayload
	}
	for i := range n {
		pcm[i] = int16(binary.BigEndian.Uint16(payload[2*i:]))
	}
	return n, nil
}

// Encoder encodes; it has no state.
type Encoder struct{}

// NewEncoder makes an encoder.
func NewEncoder() *Encoder { return &Encoder{} }

// Encode writes two bytes for each sample and says how many.
func (e *Encoder) Encode(payload []byte, pcm []int16) (int, error) {
	if len(pcm) == 0 || 2*len(pcm) > len(payload) {
		return 0, ErrPayload
	}
	for i, s := range pcm {
		binary.BigEndian.PutUint16(payload[2*i:], uint16(s))
	}
	return 2 * len(pcm), nil
}
