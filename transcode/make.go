package transcode

import (
	"fmt"
	"strings"

	"passerelle/transcode/g711"
	"passerelle/transcode/g722"
	"passerelle/transcode/l16"
	"passerelle/transcode/opus"
)

// EncoderOptions tune encoders. Opus heeds them; the other codecs have nothing to tune.
type EncoderOptions = opus.Options

// NewDecoder makes a decoder to PCM at c.SampleRate. For opus that may be set to any of 8, 12, 16, 24 and 48 kHz beforehand.
func (c Codec) NewDecoder() (Decoder, error) {
	switch strings.ToLower(c.Name) {
	case "opus":
		d, err := opus.NewDecoder(c.SampleRate)
		if err != nil {
			return nil, err // not d: a nil pointer in an interface is not nil
		}
		return d, nil
	case "g722":
		return g722.NewDecoder(), nil
	case "pcma":
		return g711.NewDecoder(g711.ALaw), nil
	case "pcmu":
		return g711.NewDecoder(g711.MuLaw), nil
	case "l16":
		return l16.NewDecoder(), nil
	}
	return nil, fmt.Errorf("no decoder for %q", c.Name)
}

// NewEncoder makes an encoder of PCM at c.SampleRate. For opus that may be set to any of 8, 12, 16, 24 and 48 kHz beforehand, so that a
// narrow-band leg needs no resampler.
func (c Codec) NewEncoder(o EncoderOptions) (Encoder, error) {
	switch strings.ToLower(c.Name) {
	case "opus":
		e, err := opus.NewEncoder(c.SampleRate, o)
		if err != nil {
			return nil, err
		}
		return e, nil
	case "g722":
		return g722.NewEncoder(), nil
	case "pcma":
		return g711.NewEncoder(g711.ALaw), nil
	case "pcmu":
		return g711.NewEncoder(g711.MuLaw), nil
	case "l16":
		return l16.NewEncoder(), nil
	}
	return nil, fmt.Errorf("no encoder for %q", c.Name)
}
