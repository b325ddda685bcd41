// Package vad tells speech from silence and noise, with WebRTC's detector. What sounds on purpose, music and keypad tones, counts as speech.
package vad

import (
	"fmt"
	"runtime"
	"unsafe"

	webrtcvad "github.com/maxhawkins/go-webrtcvad"

	"passerelle/transcode/level"
)

const (
	// mode is how strict the detector is, from 0 to 3. At 2 it hears keypad tones and chords, and not white noise of -31 dBFS; at 1 it takes that
	// for speech, at 3 it misses tones.
	mode = 2
	// hangover is how long speech goes on after its last sound, in ms, so that ends of words are kept.
	hangover = 240
	// gate is the level in dBFS under which nothing is speech.
	gate = -55
)

// Detector listens to one stream. It is for one goroutine. Its state in C's memory is freed with its last reference.
type Detector struct {
	vad  *webrtcvad.VAD
	rate int
	left int // samples of hangover that are left
}

// New makes a detector for mono PCM at 8, 16, 32 or 48 kHz.
func New(rate int) (*Detector, error) {
	v, err := webrtcvad.New()
	if err != nil {
		return nil, err
	}
	if !v.ValidRateAndFrameLength(rate, rate/100) {
		return nil, fmt.Errorf("no voice detector at %d Hz", rate)
	}
	if err := v.SetMode(mode); err != nil {
		return nil, err
	}
	return &Detector{vad: v, rate: rate}, nil
}

// Speech tells whether somebody speaks in pcm, a multiple of 10 ms, or did just before. What is left over 10 ms is not looked at.
func (d *Detector) Speech(pcm []int16) bool {
	if d.active(pcm) {
		d.left = hangover * d.rate / 1000
		return true
	}
	d.left = max(0, d.left-len(pcm))
	return d.left > 0
}

// active shows pcm to the detector, which learns what noise is, and says whether any of it was speech. What is too quiet to be speech is not shown: it
// is most of what comes, and costs as much as speech.
func (d *Detector) active(pcm []int16) bool {
	if level.RMS(pcm) <= gate {
		return false
	}
	found := false
	for ms := d.rate / 1000; len(pcm) >= 10*ms; {
		n := min(len(pcm)/(10*ms), 2) * 10 * ms // it would take 30 ms too, but is worse at music then
		speech, err := d.vad.Process(d.rate, unsafe.Slice((*byte)(unsafe.Pointer(&pcm[0])), 2*n))
		found = found || err == nil && speech
		pcm = pcm[n:]
	}
	// Its finalizer frees the state that the C function works on, and may run as soon as nothing refers to it.
	runtime.KeepAlive(d.vad)
	return found
}

// Reset forgets that somebody just spoke.
func (d *Detector) Reset() { d.left = 0 }
