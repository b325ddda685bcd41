package l16

import (
	"bytes"
	"slices"
	"testing"
)

// One table for both ways; what ffmpeg says of speech is tested in transcode.
func TestBothWays(t *testing.T) {
	for _, c := range []struct {
		pcm     []int16
		payload []byte
	}{
		{[]int16{0}, []byte{0, 0}},
		{[]int16{1, 256, -1}, []byte{0, 1, 1, 0, 0xff, 0xff}},
		{[]int16{32767, -32768}, []byte{0x7f, 0xff, 0x80, 0}},
	} {
		payload, pcm := make([]byte, 100), make([]int16, 100)
		if n, err := NewEncoder().Encode(payload, c.pcm); err != nil || !bytes.Equal(payload[:n], c.payload) {
			t.Errorf("%v becomes %v, %v", c.pcm, payload[:n], err)
		}
		if n, err := NewDecoder().Decode(pcm, c.payload); err != nil || !slices.Equal(pcm[:n], c.pcm) {
			t.Errorf("%v becomes %v, %v", c.payload, pcm[:n], err)
		}
	}
}

func TestBadLengths(t *testing.T) {
	d := NewDecoder()
	for _, n := range []int{0, 1, 3, 322} {
		if _, err := d.Decode(make([]int16, 160), make([]byte, n)); err == nil {
			t.Errorf("%d bytes decoded into 160 samples", n)
		}
	}
	if _, err := NewEncoder().Encode(make([]byte, 319), make([]int16, 160)); err == nil {
		t.Error("encoded into too short a buffer")
	}
	if _, err := NewEncoder().Encode(make([]byte, 319), nil); err == nil {
		t.Error("nothing was encoded")
	}
}
