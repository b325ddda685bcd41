// Package opus is WebRTC's audio codec, by libopus. Sound is mono here, and may be at any of Opus's own rates, whatever the other side uses: a
// narrow-band leg needs no resampler.
//
// State lives in memory of Go's, so that nothing has to be closed. Specification: RFC 6716; RFC 7587 for RTP.
package opus

import (
	"errors"
	"fmt"

	"github.com/hraban/opus"
)

// ErrBuffer is returned when a buffer is too short or no multiple of 2.5 ms.
var ErrBuffer = errors.New("opus: short buffer, or no multiple of 2.5 ms")

// Decoder decodes one stream. It is for one goroutine.
type Decoder struct {
	dec  *opus.Decoder
	rate int
}

// NewDecoder makes a decoder to mono PCM at 8, 12, 16, 24 or 48 kHz.
func NewDecoder(rate int) (*Decoder, error) {
	dec, err := opus.NewDecoder(rate, 1)
	if err != nil {
		return nil, fmt.Errorf("decoder at %d Hz: %w", rate, err)
	}
	return &Decoder{dec: dec, rate: rate}, nil
}

// Decode writes the payload's samples into pcm and says how many. Garbage is an error, or noise: Opus has no checksum.
func (d *Decoder) Decode(pcm []int16, payload []byte) (int, error) {
	duration, err := Duration(payload)
	if err != nil {
		return 0, err
	}
	if len(pcm) < duration*d.rate/48000 {
		return 0, ErrBuffer
	}
	// The capacities are cut because the library writes up to them.
	return d.dec.Decode(payload, pcm[:len(pcm):len(pcm)])
}

// Conceal fills pcm, a multiple of 2.5 ms, with libopus's guess at what was lost.
func (d *Decoder) Conceal(pcm []int16) error {
	if !d.whole(pcm) {
		return ErrBuffer
	}
	for len(pcm) > 0 {
		n := min(len(pcm), d.longest())
		if err := d.dec.DecodePLC(pcm[:n:n]); err != nil {
			return err
		}
		pcm = pcm[n:]
	}
	return nil
}

// DecodeFEC fills pcm, a multiple of 2.5 ms, with what was lost just before payload's packet, as the copy inside it says. Without a copy this is
// Conceal. Decode of the same payload comes next.
func (d *Decoder) DecodeFEC(pcm []int16, payload []byte) error {
	if _, err := Duration(payload); err != nil {
		return err
	}
	if !d.whole(pcm) {
		return ErrBuffer
	}
	if before := len(pcm) - d.longest(); before > 0 {
		if err := d.Conceal(pcm[:before]); err != nil {
			return err
		}
		pcm = pcm[before:]
	}
	return d.dec.DecodeFEC(payload, pcm[:len(pcm):len(pcm)])
}

func (d *Decoder) whole(pcm []int16) bool { return len(pcm) > 0 && len(pcm)%(d.rate/400) == 0 }
func (d *Decoder) longest() int           { return MaxDuration * d.rate / 48000 }
