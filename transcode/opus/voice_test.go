package opus

import (
	"math/rand/v2"
	"testing"

	"github.com/hraban/opus"

	"passerelle/internal/testpeer/speech"
	"passerelle/transcode/level"
)

// Speech, then the noise of a quiet room, in packets of every kind that says whether there is a voice: of one channel, and of two with the voice in
// the second one only.
func TestVoice(t *testing.T) {
	for _, rate := range []int{8000, 16000, 48000} {
		voice := speech.Say(t, "en", speech.English, rate)[:4*rate]
		hum := make([]int16, 4*rate)
		r := rand.New(rand.NewPCG(1, 2))
		for i := range hum {
			hum[i] = int16(r.NormFloat64() * 16) // -66 dBov
		}
		for _, ms := range []int{10, 20, 40, 60} {
			for _, channels := range []int{1, 2} {
				for _, bitrate := range []int{16000, 24000, 32000} {
					if channels == 2 && bitrate < 24000 {
						continue // libopus makes mono of it
					}
					e, err := opus.NewEncoder(rate, channels, opus.AppVoIP)
					if err != nil {
						t.Fatal(err)
					}
					_ = e.SetBitrate(bitrate)
					_ = e.SetComplexity(5)
					_ = e.SetVBR(ms != 40) // of which two frames then have the same length
					spoken, missed, said := look(t, e, voice, channels, rate*ms/1000, func(pcm []int16) bool { return level.RMS(pcm) > -30 })
					quiet, _, found := look(t, e, hum, channels, rate*ms/1000, func([]int16) bool { return true })
					if missed > spoken/50 || said != spoken-missed || ms == 20 && spoken < 100 {
						t.Errorf("%d Hz, %d ms, %d channels, %d bit/s: no voice in %d of %d packets", rate, ms, channels, bitrate, missed, spoken)
					}
					if found > quiet/10 {
						t.Errorf("%d Hz, %d ms, %d channels, %d bit/s: voice in %d of %d packets of noise", rate, ms, channels, bitrate, found, quiet)
					}
				}
			}
		}
	}
}

// look encodes pcm and counts the packets that are of interest and say something, those of them without a voice, and those with one.
func look(t *testing.T, e *opus.Encoder, pcm []int16, channels, frame int, of func([]int16) bool) (all, without, with int) {
	b := make([]byte, 1500)
	for ; len(pcm) >= frame; pcm = pcm[frame:] {
		in := pcm[:frame]
		if channels == 2 {
			in = make([]int16, 2*frame)
			for i, v := range pcm[:frame] {
				in[2*i+1] = v
			}
		}
		n, err := e.Encode(in, b)
		if err != nil {
			t.Fatal(err)
		}
		voice, known := Voice(b[:n])
		switch {
		case !known || !of(pcm[:frame]):
			continue
		case voice:
			with++
		default:
			without++
		}
		all++
	}
	return all, without, with
}

func TestVoiceByHand(t *testing.T) {
	for name, c := range map[string]struct {
		payload      []byte
		voice, known bool
	}{
		"nothing":                     {nil, false, false},
		"CELT":                        {[]byte{31 << 3, 0xff}, false, false},
		"no length":                   {[]byte{1<<3 | 2}, false, false},
		"too long a length":           {[]byte{1<<3 | 2, 9, 0xff}, false, false},
		"half a length":               {[]byte{1<<3 | 2, 252}, false, false},
		"two lengths, voice in one":   {[]byte{1<<3 | 2, 1, 0x80, 0, 0}, true, true},
		"two lengths, in the other":   {[]byte{1<<3 | 2, 1, 0, 0x80, 0}, true, true},
		"two lengths, no voice":       {[]byte{1<<3 | 2, 1, 0, 0, 0xff}, false, true},
		"many":                        {[]byte{1<<3 | 3, 2, 0xff, 0xff}, false, false},
		"empty frame":                 {[]byte{1 << 3}, false, true},
		"voice":                       {[]byte{1 << 3, 0x80}, true, true},
		"a copy, no voice":            {[]byte{1 << 3, 0x40}, false, true},
		"second channel":              {[]byte{1<<3 | 4, 0x20}, true, true},
		"second channel's copy":       {[]byte{1<<3 | 4, 0x10}, false, true},
		"last of three frames":        {[]byte{3 << 3, 0x20}, true, true},
		"the same of second channel":  {[]byte{3<<3 | 4, 0x02}, true, true},
		"60 ms, copies of both":       {[]byte{3<<3 | 4, 0x11}, false, true},
		"the second of two frames":    {[]byte{15<<3 | 1, 0, 0, 0x80, 0}, true, true},
		"neither of two":              {[]byte{15<<3 | 1, 0x40, 0x40, 0x40, 0x40}, false, true},
		"the first byte of one frame": {[]byte{15 << 3, 0x7f, 0xff}, false, true},
	} {
		if voice, known := Voice(c.payload); voice != c.voice || known != c.known {
			t.Errorf("%s: voice %v, known %v", name, voice, known)
		}
	}
}
