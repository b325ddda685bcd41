package mix

import (
	"fmt"

	"passerelle/transcode"
	"passerelle/transcode/g722"
	"passerelle/transcode/opus"
	"passerelle/transcode/resample"
)

// line turns frames into one codec's payloads: the mixer's rate → the codec's rate → payload.
type line struct {
	codec   transcode.Codec
	enc     transcode.Encoder
	rate    int // Hz of the frames
	down    *resample.Resampler
	pcm     []int16 // the last frame, at the codec's rate
	bent    bool    // the next frame is bent to continue the last one, because it comes out of another resampler
	zeros   int     // frames of nothing in a row
	payload []byte
	size    int
	at      uint64 // the mixer's tick of the payload, of a shared line
}

// soonNothing is how many frames of nothing come out of a line before its payload is a constant, so that what it remembers has come to rest.
const soonNothing = 3

func newLine(codec transcode.Codec) (*line, error) {
	enc, err := codec.NewEncoder(opus.ForVoices(codec.SampleRate))
	if err != nil {
		return nil, fmt.Errorf("mix: %w", err)
	}
	down, err := resample.New(codec.SampleRate, codec.SampleRate)
	if err != nil {
		return nil, fmt.Errorf("mix: %w", err)
	}
	n := codec.SampleRate / 50
	l := &line{codec: codec, enc: enc, rate: codec.SampleRate, down: down, pcm: make([]int16, n), payload: make([]byte, 2*n)}
	if _, ok := enc.(*opus.Encoder); ok {
		l.payload = make([]byte, opusPayload)
	}
	return l, nil
}

// opusPayload is the longest payload of one frame (RFC 6716, section 3.2.1).
const opusPayload = 1275

// encode makes the payload of the next frame, which comes after past. It is valid until the next call. nothing: every sample of f is 0.
func (l *line) encode(f []int16, past *history, nothing bool) []byte {
	if rate := 50 * len(f); rate != l.rate {
		l.turn(rate, past)
		l.bent = l.size > 0
	}
	if l.zeros++; !nothing {
		l.zeros = 0
	}
	if l.zeros > soonNothing && l.rest() {
		return l.payload[:l.size]
	}
	var last [bend * 48]int16
	n := bend * len(l.pcm) / 20
	if l.bent {
		for i := range n {
			last[i] = l.pcm[len(l.pcm)-1-i]
		}
	}
	l.down.Process(l.pcm, f)
	if l.bent {
		l.bent = false
		for i, v := range l.pcm[:n] {
			on := 2*int(last[0]) - int(last[min(i+1, n-1)])
			l.pcm[i] = int16(min(max((int(v)*i+on*(n-i))/n, -32768), 32767))
		}
	}
	size, err := l.enc.Encode(l.payload, l.pcm)
	if err != nil {
		size = 0
	}
	l.size = size
	return l.payload[:size]
}

// bend is how many ms of a frame are bent.
const bend = 5

// rest puts the constant for nothing into payload, and says whether the codec has one. Its encoder needs not hear of it.
func (l *line) rest() bool {
	switch l.enc.(type) {
	case *g722.Encoder:
		return false
	case *opus.Encoder:
		l.size = copy(l.payload, opus.Silence)
	}
	return true // the others say the same as the time before
}

// turn goes on with frames of another rate.
func (l *line) turn(rate int, past *history) {
	down, err := resample.New(rate, l.codec.SampleRate)
	if err != nil {
		return // never: it is one of the mixer's rates
	}
	l.down.Close()
	l.rate, l.down = rate, down
	l.hear(past)
}

// hear has the resampler remember what was.
func (l *line) hear(past *history) {
	if l.rate == l.codec.SampleRate {
		return
	}
	var out [transcode.FrameSamples]int16
	for i := range preroll {
		l.down.Process(out[:], past.frame(i))
	}
}

// copier is an encoder that can go on where another one is. Implemented by opus.Encoder and g722.Encoder; the other codecs keep no state.
type copier interface {
	CopyState(from any) bool
}

// begin goes on where from is, which encoded the past; the far end's decoder has heard it. When from is nil, the encoder begins anew and hears the
// past first.
func (l *line) begin(past *history, from *line) {
	l.zeros = 0
	if l.bent = from != nil && from.rate != 50*past.n; l.bent {
		copy(l.pcm, from.pcm)
	}
	if rate := 50 * past.n; rate != l.rate {
		l.turn(rate, past)
	} else {
		l.down.Reset()
		l.hear(past)
	}
	c, ok := l.enc.(copier)
	if !ok {
		return
	}
	if from != nil && c.CopyState(from.enc) {
		return
	}
	if e, ok := l.enc.(interface{ Reset() error }); ok {
		_ = e.Reset() // it only fails for an encoder that is none
	}
	for i := range preroll {
		l.encode(past.frame(i), past, false)
	}
}

// calm is how many ticks of next to silence it takes until two encoders that heard the same may stand for each other. What G.722's predictors remember
// fades: they forget in 32 ms time and again. The others, Opus as we use it among them, remember nothing that matters.
func (l *line) calm() int {
	if _, ok := l.enc.(*g722.Encoder); ok {
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
