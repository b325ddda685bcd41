package playout

import (
	"fmt"
	"strings"

	"passerelle/transcode"
	"passerelle/transcode/resample"
)

// voice decodes one codec to the rate that is read.
type voice struct {
	codec transcode.Codec
	rate  int // Hz of what dec makes. Opus makes what is asked for.
	dec   transcode.Concealer
	fec   fecDecoder // nil: the codec has none
	up    *resample.Resampler
	pcm   []int16 // what dec made
	made  int     // samples of it, last
}

// fecDecoder restores a lost packet from the one after it. Implemented by opus.Decoder.
type fecDecoder interface {
	// DecodeFEC fills pcm with what the packet before next held. len(pcm) is the lost time.
	DecodeFEC(pcm []int16, next []byte) error
}

func newVoice(codec transcode.Codec, rate int) (*voice, error) {
	v := &voice{codec: codec, rate: codec.SampleRate}
	as := codec
	if strings.EqualFold(codec.Name, "opus") {
		v.rate, as.SampleRate = rate, rate
	}
	var err error
	if v.dec, err = as.NewConcealer(); err != nil {
		return nil, fmt.Errorf("playout: %w", err)
	}
	if v.up, err = resample.New(v.rate, rate); err != nil {
		return nil, fmt.Errorf("playout: %w", err)
	}
	v.pcm = make([]int16, v.rate*120/1000)
	v.fec, _ = v.dec.(fecDecoder)
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

// conceal appends a guess at what was lost for n (1/48000 s) to dst. It is silence when the codec has none.
func (v *voice) conceal(dst []int16, n int) []int16 {
	pcm := v.pcm[:min(len(v.pcm), n*v.rate/transcode.Rate)]
	if v.dec.Conceal(pcm) != nil {
		clear(pcm)
	}
	return v.append(dst, pcm)
}

// restore appends what was lost for n (1/48000 s) before the packet next to dst, or a guess.
func (v *voice) restore(dst []int16, n int, next []byte) (_ []int16, restored bool) {
	pcm := v.pcm[:min(len(v.pcm), n*v.rate/transcode.Rate)]
	if v.fec == nil || !hasFEC(next) || v.fec.DecodeFEC(pcm, next) != nil {
		return v.conceal(dst, n), false
	}
	return v.append(dst, pcm), true
}

// append takes the first samples of v.pcm.
func (v *voice) append(dst, pcm []int16) []int16 {
	v.made = len(pcm)
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
