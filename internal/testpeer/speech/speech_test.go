package speech

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestSayAtAnyRate(t *testing.T) {
	for _, rate := range []int{8000, 16000, 48000} {
		for voice, text := range map[string]string{"en": English, "fr": French} {
			pcm := Say(t, voice, text, rate)
			if seconds := float64(len(pcm)) / float64(rate); seconds < 6 || seconds > 20 {
				t.Errorf("%s at %d Hz: %.1f s", voice, rate, seconds)
			}
		}
	}
	if _, err := Make("en", "", 8000); err == nil {
		t.Error("nothing to say, and something was said")
	}
}

func TestFind(t *testing.T) {
	for _, rate := range []int{8000, 48000} {
		needle := Say(t, "en", English, rate)[:3*rate]
		other := Say(t, "fr", French, rate)
		haystack := make([]int16, 30*rate)
		noise := rand.New(rand.NewPCG(1, 2))
		for i := range haystack {
			haystack[i] = int16(noise.IntN(200) - 100)
		}
		if _, c := Find(haystack, needle, rate); math.Abs(c) > 0.2 {
			t.Errorf("%d Hz: found in noise: %.2f", rate, c)
		}
		copy(haystack, other)
		if _, c := Find(haystack, needle, rate); math.Abs(c) > 0.3 {
			t.Errorf("%d Hz: found in other speech: %.2f", rate, c)
		}
		at := 17*rate + 1234
		for i, s := range needle {
			haystack[at+i] += s / 5
		}
		offset, c := Find(haystack, needle, rate)
		if want := time.Duration(at) * time.Second / time.Duration(rate); (offset-want).Abs() > time.Millisecond || c < 0.95 {
			t.Errorf("%d Hz: at %v with %.3f, want %v", rate, offset, c, want)
		}
		for i, s := range needle {
			haystack[at+i] -= 2 * (s / 5)
		}
		if _, c := Find(haystack, needle, rate); c > -0.95 {
			t.Errorf("%d Hz: upside down: %.3f", rate, c)
		}
	}
	if _, c := Find(nil, nil, 8000); c != 0 {
		t.Error("found nothing in nothing")
	}
	if _, c := Find(make([]int16, 100), make([]int16, 200), 8000); c != 0 {
		t.Error("found more than there is")
	}
}

func TestSegmentalSNR(t *testing.T) {
	said := Say(t, "en", English, 8000)
	quieter, wrong := make([]int16, len(said)), make([]int16, len(said))
	noise := rand.New(rand.NewPCG(3, 4))
	for i, s := range said {
		quieter[i] = s / 2
		wrong[i] = int16(noise.IntN(2000) - 1000)
	}
	if snr := SegmentalSNR(said, quieter, 8000); snr < 30 {
		t.Errorf("half the gain: %.1f dB", snr)
	}
	if snr := SegmentalSNR(said, make([]int16, len(said)), 8000); math.Abs(snr) > 0.1 {
		t.Errorf("silence: %.1f dB", snr)
	}
	if snr := SegmentalSNR(said, wrong, 8000); snr > 1 {
		t.Errorf("noise: %.1f dB", snr)
	}
	if snr := SegmentalSNR(nil, nil, 8000); snr != -10 {
		t.Errorf("nothing: %.1f dB", snr)
	}
}
