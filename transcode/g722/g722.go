// Package g722 is wideband telephony: 16 kHz, 64 kbit/s, one byte for two samples. Its RTP clock says 8000 by an old error that RFC 3551 keeps.
//
// A filter splits the sound in two bands of 8000 samples a second. The low one is coded in six bits, the high one in two, each as the difference
// from what an adaptive predictor expects.
//
// Specification: ITU-T G.722, mode 1; RFC 3551, section 4.5.2.
package g722

import "errors"

// SampleRate in Hz of the sound; the RTP clock is half of it.
const SampleRate = 16000

// ErrPayload is returned for a payload that is empty, for which there is no room, or that would hold half a byte.
var ErrPayload = errors.New("g722: empty payload, odd samples or short buffer")

// Decoder decodes one stream. It is for one goroutine.
type Decoder struct {
	low, high band
	x         [24]int // the filter's memory
}

// NewDecoder makes a decoder.
func NewDecoder() *Decoder {
	return &Decoder{low: lowBand(), high: highBand()}
}

// Decode writes the payload's samples into pcm, two for each byte, and says how many.
func (d *Decoder) Decode(pcm []int16, payload []byte) (int, error) {
	n := 2 * len(payload)
	if n == 0 || n > len(pcm) {
		return 0, ErrPayload
	}
	for i, code := range payload {
		low := saturate15(d.low.s + d.low.det*lowValues6[code&63]>>15)
		four := code >> 2 & 15
		diff := d.low.det * lowValues4[four] >> 15
		d.low.scale(lowScale[four])
		d.low.adapt(diff)

		diff = d.high.det * highValues[code>>6] >> 15
		high := saturate15(d.high.s + diff)
		d.high.scale(highScale[code>>6])
		d.high.adapt(diff)

		copy(d.x[:22], d.x[2:])
		d.x[22], d.x[23] = low+high, low-high
		odd, even := filter(&d.x)
		pcm[2*i], pcm[2*i+1] = int16(saturate(even>>11)), int16(saturate(odd>>11))
	}
	return n, nil
}

// Encoder encodes one stream. It is for one goroutine.
type Encoder struct {
	low, high band
	x         [24]int
}

// NewEncoder makes an encoder.
func NewEncoder() *Encoder { return &Encoder{low: lowBand(), high: highBand()} }

// Encode writes one byte for two samples and says how many.
func (e *Encoder) Encode(payload []byte, pcm []int16) (int, error) {
	n := len(pcm) / 2
	if n == 0 || len(pcm)%2 != 0 || n > len(payload) {
		return 0, ErrPayload
	}
	for i := range n {
		copy(e.x[:22], e.x[2:])
		e.x[22], e.x[23] = int(pcm[2*i]), int(pcm[2*i+1])
		odd, even := filter(&e.x)

		low := lowCode(saturate(saturate15((even+odd)>>14)-e.low.s), e.low.det)
		four := low >> 2
		diff := e.low.det * lowValues4[four] >> 15
		e.low.scale(lowScale[four])
		e.low.adapt(diff)

		high := highCode(saturate(saturate15((even-odd)>>14)-e.high.s), e.high.det)
		diff = e.high.det * highValues[high] >> 15
		e.high.scale(highScale[high])
		e.high.adapt(diff)

		payload[i] = high<<6 | low
	}
	return n, nil
}

// filter weighs the samples in even and odd places by the two halves of the quadrature mirror filter.
func filter(x *[24]int) (odd, even int) {
	for i, m := range mirror {
		odd += x[2*i] * m
		even += x[23-2*i] * m
	}
	return odd, even
}

// lowCode quantizes a difference to six bits (QUANTL).
func lowCode(diff, det int) byte {
	size := diff
	if diff < 0 {
		size = -diff - 1
	}
	step := 1
	for step < len(lowSteps) && size >= lowSteps[step]*det>>12 {
		step++
	}
	switch {
	case diff >= 0:
		return byte(62 - step)
	case step <= 2:
		return byte(64 - step)
	default:
		return byte(34 - step)
	}
}

// highCode quantizes a difference to two bits (QUANTH).
func highCode(diff, det int) byte {
	step := highStep * det >> 12
	switch {
	case diff >= step:
		return 2
	case diff >= 0:
		return 3
	case -diff-1 >= step:
		return 0
	default:
		return 1
	}
}
