package opus

/*
#cgo pkg-config: opus
#include <opus.h>

static int passerelle_set_alone(void *encoder, int alone) {
	return opus_encoder_ctl((OpusEncoder *)encoder, OPUS_SET_PREDICTION_DISABLED(alone));
}
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"
)

// setAlone sets what the binding has no function for (libopus, opus_defines.h: OPUS_SET_PREDICTION_DISABLED).
func (e *Encoder) setAlone(alone bool) error {
	state := memory(e)
	if len(state) == 0 {
		return errors.New("the encoder has no memory")
	}
	on := C.int(0)
	if alone {
		on = 1
	}
	code := C.passerelle_set_alone(unsafe.Pointer(&state[0]), on)
	runtime.KeepAlive(e)
	if code != C.OPUS_OK {
		return fmt.Errorf("libopus: %d", int(code))
	}
	return nil
}
