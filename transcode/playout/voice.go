package playout

import (
	"fmt"
	"strings"

	"passerelle/transcode"
	"passerelle/transcode/resample"
)

// voice decodes one codec to 48 kHz.
type voice struct {
	codec transcode.Codec
	dec   transcode.Decoder
	fec   fecDecoder // nil: the codec has none
	up    *resample.Resampler
	pcm   []int16 // at the codec's rate
}

// fecDecoder restores a lost packet from the one after it. Implemented by opus.Decoder.
type fecDecoder interface {
	// DecodeFEC fills pcm with what the packet before next held. len(pcm) is the lost time.
	DecodeFEC(pcm []int16, next []byte) error
}

func newVoice(codec transcode.Codec) (*voice, error) {
	dec, err := codec.NewDecoder()
	if err != nil {
		return nil, fmt.Errorf("playout: %w", err)
	}
	up, err := resample.New(codec.SampleRate, transcode.Rate)
	if err != nil {
		return nil, fmt.Errorf("playout: %w", err)
	}
	v := &voice{codec: codec, dec: dec, up: up, pcm: make([]int16, codec.SampleRate*120/1000)}
	if strings.EqualFold(codec.Name, "opus") {
		v.fec, _ = dec.(fecDecoder)
	}
	return v, nil
}

// decode appends the sound of a payload to dst.
func (v *voice) decode(dst []int16, payload []byte) ([]int16, error) {
	n, err := v.dec.Decode(v.pcm, payload)
	if err != nil {
		return dst, err
	}
	return v.append(dst, v.pcm[:n]), nil
}

// conceal appends a guess at n lost samples (at 48 kHz) to dst. It is silence when the codec has none.
func (v *voice) conceal(dst []int16, n int) []int16 {
	pcm := v.pcm[:min(len(v.pcm), n*v.codec.SampleRate/transcode.Rate)]
	if v.dec.Conceal(pcm) != nil {
		clear(pcm)
	}
	return v.append(dst, pcm)
}

// restore appends the n lost samples (at 48 kHz) before the packet next to dst, or a guess.
func (v *voice) restore(dst []int16, n int, next []byte) (_ []int16, restored bool) {
	pcm := v.pcm[:min(len(v.pcm), n*v.codec.SampleRate/transcode.Rate)]
	if v.fec == nil || !hasFEC(next) || v.fec.DecodeFEC(pcm, next) != nil {
		return v.conceal(dst, n), false
	}
	return v.append(dst, pcm), true
}

func (v *voice) append(dst, pcm []int16) []int16 {
	room := dst[len(dst):cap(dst)]
	return dst[:len(dst)+v.up.Process(room, pcm)]
}

// hasFEC tells whether an Opus packet of one mono frame holds a copy of the one before it: its LBRR flag, behind one VAD flag for each 20 ms
// (RFC 6716, sections 4.2.3 and 4.2.4). CELT has none.
func hasFEC(payload []byte) bool {
	const monoFrame, firstCELT = 0, 16
	if len(payload) < 2 || payload[0]&7 != monoFrame || payload[0]>>3 >= firstCELT {
		return false
	}
	vad := 1
	if config := payload[0] >> 3; config < 12 {
		vad = max(1, int(config&3))
	}
	return payload[1]>>(7-vad)&1 == 1
}
