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

	// LowDelay uses Opus's transform alone (CELT): 4 ms less of delay, and a fifth to a third of the work. It needs more bits for a voice, sounds better at
	// enough of them, and does not mind several voices. No FEC then. It is for NewEncoder, and Set does not change it.
	LowDelay bool
	// Alone makes each packet of the same size and without regard to the one before it, for some more bits: any may be lost, or follow another encoder's.
	Alone bool
}

// ForVoices are the options for the voices of a room at a sample rate: little work, little delay, and encoders that may take each other's place. The bits
// make up for it (docs/adr/0020): with its headers, a stream still takes less than G.711.
func ForVoices(rate int) Options {
	o := Options{Bitrate: 48000, Complexity: 1, LowDelay: true, Alone: true}
	switch {
	case rate <= 8000:
		o.Bitrate = 24000
	case rate <= 16000:
		o.Bitrate = 40000
	}
	return o
}

// Encoder encodes one stream of speech. It is for one goroutine.
type Encoder struct{ enc *opus.Encoder }

// NewEncoder makes an encoder of mono PCM at 8, 12, 16, 24 or 48 kHz, tuned for voice.
func NewEncoder(rate int, o Options) (*Encoder, error) {
	application := opus.AppVoIP
	if o.LowDelay {
		application = opus.AppRestrictedLowdelay
	}
	enc, err := opus.NewEncoder(rate, 1, application)
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
		{"constant rate", func() error { return e.enc.SetVBR(!o.Alone) }},
		{"prediction", func() error { return e.setAlone(o.Alone) }},
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
