// Package resample changes the sample rate of mono 16-bit PCM with speexdsp at quality 3, its setting for telephony: 3 ms of delay between 8
// and 48 kHz and about 5 µs of work for 20 ms.
//
// A Resampler is for streams: every frame in gives a frame of the same length in time out. Convert is for whole clips, and takes the delay out.
package resample

/*
#cgo pkg-config: speexdsp
#cgo noescape passerelle_resample
#cgo nocallback passerelle_resample
#include <speex/speex_resampler.h>

// Lengths go in and come out by value, so that nothing of Go's has to live on its heap for a call. What was read is in the upper half.
static unsigned long long passerelle_resample(SpeexResamplerState *st, const spx_int16_t *in, unsigned inLen, spx_int16_t *out, unsigned outLen) {
	spx_uint32_t read = inLen, written = outLen;
	if (speex_resampler_process_int(st, 0, in, &read, out, &written) != RESAMPLER_ERR_SUCCESS)
		return 0;
	return (unsigned long long)read << 32 | written;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
)

// MinRate and MaxRate bound the sample rates in Hz.
const (
	MinRate = 4000
	MaxRate = 192000

	quality = 3 // SPEEX_RESAMPLER_QUALITY_VOIP
)

// ErrRate is returned for a sample rate out of bounds.
var ErrRate = errors.New("sample rate out of bounds")

// Resampler changes the rate of one stream. It is for one goroutine.
type Resampler struct {
	from, to int
	state    *C.SpeexResamplerState // nil: equal rates, or closed
	cleanup  runtime.Cleanup
}

// New makes a resampler between two rates in Hz.
func New(from, to int) (*Resampler, error) {
	if min(from, to) < MinRate || max(from, to) > MaxRate {
		return nil, fmt.Errorf("%w: %d to %d Hz", ErrRate, from, to)
	}
	r := &Resampler{from: from, to: to}
	if from == to {
		return r, nil
	}
	var code C.int
	r.state = C.speex_resampler_init(1, C.spx_uint32_t(from), C.spx_uint32_t(to), quality, &code)
	if r.state == nil {
		return nil, fmt.Errorf("speexdsp: %s", C.GoString(C.speex_resampler_strerror(code)))
	}
	// The net under Close: the state lives in C's memory, which the garbage collector does not see.
	r.cleanup = runtime.AddCleanup(r, func(st *C.SpeexResamplerState) { C.speex_resampler_destroy(st) }, r.state)
	return r, nil
}

// Process resamples src into dst and says how many samples it wrote: len(src)·to/from, exactly so in every call when that is whole, as it is
// for any multiple of 20 ms. dst must have room for them and not overlap src; what does not fit is lost. A closed resampler writes nothing.
func (r *Resampler) Process(dst, src []int16) int {
	if r.from == r.to {
		return copy(dst, src)
	}
	written := 0
	for len(src) > 0 && len(dst) > written && r.state != nil {
		res := uint64(C.passerelle_resample(r.state, (*C.spx_int16_t)(&src[0]), C.uint(len(src)), (*C.spx_int16_t)(&dst[written]), C.uint(len(dst)-written)))
		runtime.KeepAlive(r)
		if res == 0 {
			break
		}
		src = src[res>>32:]
		written += int(uint32(res))
	}
	return written
}

// Delay is how much later than its input the output is, in samples of the output.
func (r *Resampler) Delay() int {
	if r.state == nil {
		return 0
	}
	defer runtime.KeepAlive(r)
	return int(C.speex_resampler_get_output_latency(r.state))
}

// Reset forgets the stream so far.
func (r *Resampler) Reset() {
	if r.state == nil {
		return
	}
	C.speex_resampler_reset_mem(r.state)
	runtime.KeepAlive(r)
}

// Close frees the state. It may be called more than once.
func (r *Resampler) Close() {
	if r.state == nil {
		return
	}
	r.cleanup.Stop()
	C.speex_resampler_destroy(r.state)
	r.state = nil
	runtime.KeepAlive(r)
}
