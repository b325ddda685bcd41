// Package g722 is wideband telephony: 16 kHz, 64 kbit/s, one byte for two samples. Its RTP clock says 8000 by an old error that RFC 3551 keeps.
//
// Specification: ITU-T G.722, mode 1; RFC 3551, section 4.5.2.
package g722

import (
	"errors"

	"github.com/gotranspile/g722"

	"passerelle/transcode/plc"
)

// SampleRate in Hz of the sound; the RTP clock is half of it.
const SampleRate = 16000

// ErrPayload is returned for a payload that is empty, for which there is no room, or that would hold half a byte.
var ErrPayload = errors.New("g722: empty payload, odd samples or short buffer")

// Decoder decodes one stream. It is for one goroutine.
type Decoder struct {
	dec     *g722.Decoder
	conceal *plc.Concealer
}

// NewDecoder makes a decoder.
func NewDecoder() *Decoder {
	return &Decoder{dec: g722.NewDecoder(g722.Rate64000, 0), conceal: plc.New(SampleRate)}
}

// Decode writes the payload's samples into pcm, two for each byte, and says how many.
func (d *Decoder) Decode(pcm []int16, payload []byte) (int, error) {
	if len(payload) == 0 || 2*len(payload) > len(pcm) {
		return 0, ErrPayload
	}
	n := d.dec.Decode(pcm, payload)
	d.conceal.Accept(pcm[:n])
	return n, nil
}

// Conceal fills pcm with a guess at what was lost.
func (d *Decoder) Conceal(pcm []int16) error {
	d.conceal.Conceal(pcm)
	return nil
}

// Encoder encodes one stream. It is for one goroutine.
type Encoder struct{ enc *g722.Encoder }

// NewEncoder makes an encoder.
func NewEncoder() *Encoder { return &Encoder{enc: g722.NewEncoder(g722.Rate64000, 0)} }

// Encode writes one byte for two samples and says how many.
func (e *Encoder) Encode(payload []byte, pcm []int16) (int, error) {
	if len(pcm) == 0 || len(pcm)%2 != 0 || len(pcm)/2 > len(payload) {
		return 0, ErrPayload
	}
	return e.enc.Encode(payload, pcm), nil
}
