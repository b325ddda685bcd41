package transcode

import "passerelle/transcode/plc"

// NewConcealer makes a decoder that hides losses, as NewDecoder does otherwise: Opus has a way of its own, waveform codecs have package plc's.
func (c Codec) NewConcealer() (Concealer, error) {
	d, err := c.NewDecoder()
	if err != nil {
		return nil, err
	}
	if own, ok := d.(Concealer); ok {
		return own, nil
	}
	return &concealing{d, plc.New(c.SampleRate)}, nil
}

// concealing keeps what it decodes, to make up for what is lost.
type concealing struct {
	decoder Decoder
	plc     *plc.Concealer
}

func (c *concealing) Decode(pcm []int16, payload []byte) (int, error) {
	n, err := c.decoder.Decode(pcm, payload)
	if err == nil {
		c.plc.Accept(pcm[:n])
	}
	return n, err
}

func (c *concealing) Conceal(pcm []int16) error {
	c.plc.Conceal(pcm)
	return nil
}
