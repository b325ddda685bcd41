package opus

import (
	"bytes"
	"math"
	"testing"
)

// TestCopyState lets a second encoder take over in the middle of a stream: its packets are those that the first one would have made.
func TestCopyState(t *testing.T) {
	pcm := make([]int16, 960)
	a, err := NewEncoder(48000, Options{Bitrate: 32000, Complexity: 5})
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewEncoder(48000, Options{})
	if err != nil {
		t.Fatal(err)
	}
	x, y := make([]byte, 1275), make([]byte, 1275)
	for i := range 40 {
		for j := range pcm {
			at := float64(i*960 + j)
			pcm[j] = int16(9000*math.Sin(at*at/1e7) + 3000*math.Sin(at/20))
		}
		if i == 20 && !b.CopyState(a) {
			t.Fatal("the state was not copied")
		}
		n, err := a.Encode(x, pcm)
		if err != nil {
			t.Fatal(err)
		}
		if i < 20 {
			continue
		}
		m, err := b.Encode(y, pcm)
		if err != nil || !bytes.Equal(x[:n], y[:m]) {
			t.Fatalf("packet %d differs (%v)", i, err)
		}
	}
	if b.CopyState(nil) || b.CopyState(3) {
		t.Error("copied the state of nothing")
	}
}
