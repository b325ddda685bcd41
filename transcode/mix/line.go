package mix

import (
	"fmt"

	"passerelle/transcode"
	"passerelle/transcode/g722"
	"passerelle/transcode/opus"
	"passerelle/transcode/resample"
)

// preroll is how many frames an encoder hears before its first frame is sent, so that it goes on where another one left off.
const preroll = 3

// history is the last frames of a sound, oldest first.
type history [preroll]frame

func (h *history) add(f *frame) {
	h[0], h[1], h[2] = h[1], h[2], *f
}

// line turns frames into one codec's payloads: 48 kHz → the codec's rate → payload.
type line struct {
	codec   transcode.Codec
	enc     transcode.Encoder
	down    *resample.Resampler
	pcm     []int16
	payload [1500]byte
	size    int
	at      uint64 // the mixer's tick of the payload, of a shared line
}

func newLine(codec transcode.Codec, o transcode.EncoderOptions) (*line, error) {
	enc, err := codec.NewEncoder(o)
	if err != nil {
		return nil, fmt.Errorf("mix: %w", err)
	}
	down, err := resample.New(transcode.Rate, codec.SampleRate)
	if err != nil {
		return nil, fmt.Errorf("mix: %w", err)
	}
	return &line{codec: codec, enc: enc, down: down, pcm: make([]int16, codec.SampleRate/50)}, nil
}

// encode makes the next payload. It is valid until the next call.
func (l *line) encode(f *frame) []byte {
	n := l.down.Process(l.pcm, f[:])
	size, err := l.enc.Encode(l.payload[:], l.pcm[:n])
	if err != nil {
		size = 0
	}
	l.size = size
	return l.payload[:size]
}

// copier is an encoder that can go on where another one is. Implemented by opus.Encoder and g722.Encoder; the other codecs keep no state.
type copier interface {
	CopyState(from any) bool
}

// begin goes on where from is, which encoded the past; the far end's decoder has heard it. When from is nil, the encoder begins anew and hears the
// past first.
func (l *line) begin(past *history, from *line) {
	l.down.Reset()
	if e, ok := l.enc.(interface{ Reset() error }); ok {
		_ = e.Reset() // it only fails for an encoder that is none
	}
	for i := range past {
		l.encode(&past[i])
	}
	if c, ok := l.enc.(copier); ok && from != nil {
		c.CopyState(from.enc)
	}
}

// calm is how many ticks of next to silence it takes until two encoders that heard the same may stand for each other. What a codec remembers
// fades: Opus begins almost anew in a pause, G.722's predictors forget in 32 ms time and again, and the others remember nothing.
func (l *line) calm() int {
	switch l.enc.(type) {
	case *opus.Encoder:
		return 2
	case *g722.Encoder:
		return 10
	}
	return 0
}

func (l *line) close() { l.down.Close() }

// chain describes the line to an operator.
func chain(codec transcode.Codec, way string) string {
	if codec.SampleRate == transcode.Rate {
		return fmt.Sprintf("mix → %s (%s)", codec.Name, way)
	}
	return fmt.Sprintf("mix → %d kHz → %s (%s)", codec.SampleRate/1000, codec.Name, way)
}
