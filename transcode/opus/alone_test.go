package opus

import (
	"testing"

	"passerelle/internal/testpeer/speech"
)

// TestForVoices: packets have one size, each stands alone, and what is heard is what was said, 2.5 ms later.
func TestForVoices(t *testing.T) {
	for _, rate := range []int{8000, 16000, 48000} {
		voice := speech.Say(t, "en", speech.English, rate)[:4*rate]
		packets := encode(t, newEncoder(t, rate, ForVoices(rate)), voice, rate/50)
		other := encode(t, newEncoder(t, rate, ForVoices(rate)), voice[rate:], rate/50)
		all, late, mixed := newDecoder(t, rate), newDecoder(t, rate), newDecoder(t, rate)
		var heard []int16
		different := 0
		for i, p := range packets {
			if len(p) != len(packets[0]) {
				t.Fatalf("%d Hz: packets of %d and %d bytes", rate, len(packets[0]), len(p))
			}
			if _, known := Voice(p); known {
				t.Fatalf("%d Hz: not CELT alone", rate)
			}
			a, b, c := make([]int16, rate/50), make([]int16, rate/50), make([]int16, rate/50)
			if _, err := all.Decode(a, p); err != nil {
				t.Fatal(err)
			}
			heard = append(heard, a...)
			if i >= 100 {
				_, _ = late.Decode(b, p)
				if d := worst(a, b); i > 101 && d > 1 {
					different++
					if d > 300 { // -41 dBov
						t.Fatalf("%d Hz: who missed the beginning hears packet %d differently, by %d", rate, i, d)
					}
				}
			}
			if i >= 60 && i%20 < 10 { // now from one encoder, now from another one, which began a second later
				p = other[i-50]
			}
			_, _ = mixed.Decode(c, p)
			if d := worst(a, c); d > 1 {
				t.Fatalf("%d Hz: packet %d of another encoder is heard differently, by %d", rate, i, d)
			}
		}
		if different > 5 { // the noise in a sudden sound depends on how loud the last ones were
			t.Errorf("%d Hz: who missed the beginning hears %d of 100 packets differently", rate, different)
		}
		shift := rate / 400
		if snr := speech.SegmentalSNR(voice[:len(heard)-shift], heard[shift:], rate); snr < 9 {
			t.Errorf("%d Hz: %.1f dB", rate, snr)
		}
	}
}

// worst is the largest difference of two sounds.
func worst(a, b []int16) (d int) {
	for i := range a {
		d = max(d, int(a[i])-int(b[i]), int(b[i])-int(a[i]))
	}
	return d
}
