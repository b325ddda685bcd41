package opus

import (
	"fmt"

	"github.com/hraban/opus"
)

// Options tune an encoder. The zero value is valid: libopus's own bit rate, least work, neither FEC nor DTX.
type Options struct {
	Bitrate    int  // bit/s, 6000 to 510000; 0: libopus chooses by rate and frame length
	Complexity int  // 0 (least work) to 10
	FEC        bool // carry a copy of the packet before, for DecodeFEC, when Loss makes it worth its bits
	Loss       int  // expected loss in percent
	DTX        bool // send next to nothing in silence: see Encode
}

// Encoder encodes one stream of speech. It is for one goroutine.
type Encoder struct{ enc *opus.Encoder }

// NewEncoder makes an encoder of mono PCM at 8, 12, 16, 24 or 48 kHz, tuned for voice.
func NewEncoder(rate int, o Options) (*Encoder, error) {
	enc, err := opus.NewEncoder(rate, 1, opus.AppVoIP)
	if err != nil {
		return nil, fmt.Errorf("encoder at %d Hz: %w", rate, err)
	}
	e := &Encoder{enc: enc}
	if err := e.Set(o); err != nil {
		return nil, err
	}
	return e, nil
}

// Set changes the options of a running encoder, from the next packet on.
func (e *Encoder) Set(o Options) error {
	setBitrate := e.enc.SetBitrateToAuto
	if o.Bitrate != 0 {
		setBitrate = func() error { return e.enc.SetBitrate(o.Bitrate) }
	}
	for _, s := range []struct {
		name string
		set  func() error
	}{
		{"bit rate", setBitrate},
		{"complexity", func() error { return e.enc.SetComplexity(o.Complexity) }},
		{"FEC", func() error { return e.enc.SetInBandFEC(o.FEC) }},
		{"loss", func() error { return e.enc.SetPacketLossPerc(o.Loss) }},
		{"DTX", func() error { return e.enc.SetDTX(o.DTX) }},
	} {
		if err := s.set(); err != nil {
			return fmt.Errorf("encoder option %s: %w", s.name, err)
		}
	}
	return nil
}

// Encode writes one packet and says how long it is. pcm is 2.5, 5, 10, 20, 40 or 60 ms; 1275 bytes hold any payload of up to 20 ms, and a shorter
// payload buffer lowers the quality. With DTX, a result of one or two bytes needs not be sent.
func (e *Encoder) Encode(payload []byte, pcm []int16) (int, error) {
	if len(payload) == 0 || len(pcm) == 0 {
		return 0, ErrBuffer
	}
	// The capacity is cut because the library writes up to it.
	return e.enc.Encode(pcm, payload[:len(payload):len(payload)])
}

// Reset forgets the stream so far, for a new talk spurt or talker.
func (e *Encoder) Reset() error { return e.enc.Reset() }
