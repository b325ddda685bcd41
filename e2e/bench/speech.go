package main

import (
	"fmt"
	"math/rand/v2"

	"passerelle/bridge/ivr"
	"passerelle/transcode"
	"passerelle/transcode/resample"
)

// sound is one clip in one codec, packet by packet of 20 ms.
type sound struct {
	codec   transcode.Codec
	speech  [][]byte
	silence [][]byte // a quiet room: noise at −66 dBov, which phones send for as long as nobody speaks
	step    uint32   // RTP clock units of a packet
}

// at is the payload of the n-th packet.
func (s *sound) at(n int, talking bool) []byte {
	if talking {
		return s.speech[n%len(s.speech)]
	}
	return s.silence[n%len(s.silence)]
}

// talk is a good half minute of speech at 48 kHz: the gateway's own prompts.
func talk(language string) ([]int16, error) {
	prompts, err := ivr.Load("", []string{language})
	if err != nil {
		return nil, err
	}
	var pcm []int16
	for _, name := range []ivr.Name{ivr.KeysHelp, ivr.TooManyTries, ivr.DirectoryUnavailable, ivr.LineInterrupted, ivr.Alone, ivr.UnmuteNotAllowed, ivr.RefusedE2EE} {
		pcm = append(pcm, prompts.Clip(language, name)...)
	}
	return pcm[:len(pcm)/transcode.FrameSamples*transcode.FrameSamples], nil
}

// newSound encodes a clip of 48 kHz.
func newSound(codec transcode.Codec, clip []int16) (*sound, error) {
	noise := make([]int16, 2*transcode.Rate)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = int16(r.NormFloat64() * 16)
	}
	s := &sound{codec: codec, step: uint32(codec.ClockRate / 50)}
	var err error
	if s.speech, err = encode(codec, clip); err != nil {
		return nil, err
	}
	s.silence, err = encode(codec, noise)
	return s, err
}

// encode makes packets of 20 ms out of PCM of 48 kHz.
func encode(codec transcode.Codec, pcm []int16) (packets [][]byte, err error) {
	if pcm, err = resample.Convert(pcm, transcode.Rate, codec.SampleRate); err != nil {
		return nil, err
	}
	encoder, err := codec.NewEncoder(transcode.EncoderOptions{Bitrate: 32000, Complexity: 5})
	if err != nil {
		return nil, err
	}
	frame := codec.SampleRate / 50
	for ; len(pcm) >= frame; pcm = pcm[frame:] {
		b := make([]byte, 1500)
		n, err := encoder.Encode(b, pcm[:frame])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", codec.Name, err)
		}
		packets = append(packets, b[:n:n])
	}
	return packets, nil
}
