package g711

import (
	"bytes"
	"encoding/binary"
	"os/exec"
	"testing"
)

func ffmpeg(t *testing.T, stdin []byte, from, to string) []byte {
	t.Helper()
	cmd := exec.Command("ffmpeg", "-v", "error", "-f", from, "-ar", "8000", "-i", "-", "-f", to, "-")
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg (make setup installs it): %v", err)
	}
	return out
}

var laws = map[string]Law{"mulaw": MuLaw, "alaw": ALaw}

// All 256 bytes and all 65536 samples.
func TestAgainstFFmpeg(t *testing.T) {
	for format, law := range laws {
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		want := ffmpeg(t, all, format, "s16le")
		pcm := make([]int16, 256)
		if n, err := NewDecoder(law).Decode(pcm, all); n != 256 || err != nil {
			t.Fatal(n, err)
		}
		for i, s := range pcm {
			if w := int16(binary.LittleEndian.Uint16(want[2*i:])); s != w {
				t.Errorf("%s: byte %d is %d, ffmpeg says %d", format, i, s, w)
			}
		}

		samples, raw := make([]int16, 65536), make([]byte, 0, 131072)
		for i := range samples {
			samples[i] = int16(i - 32768)
			raw = binary.LittleEndian.AppendUint16(raw, uint16(samples[i]))
		}
		theirs, ours := ffmpeg(t, raw, "s16le", format), make([]byte, 65536)
		if n, err := NewEncoder(law).Encode(ours, samples); n != 65536 || err != nil {
			t.Fatal(n, err)
		}
		for i, s := range samples {
			// Where a sample lies between two steps, the two may differ by half a step in what is best.
			got, want := int(pcm[ours[i]]), int(pcm[theirs[i]])
			if step := max(int(s), -int(s))/16 + 32; max(got-want, want-got) > step || max(got-int(s), int(s)-got) > step {
				t.Errorf("%s: sample %d becomes %d, ffmpeg's %d", format, s, got, want)
				break
			}
		}
	}
}

// What was decoded is encoded to the same byte again, so that G.711 through G.711 loses nothing.
func TestTandemLosesNothing(t *testing.T) {
	for format, law := range laws {
		for b := range 256 {
			pcm, again, payload := make([]int16, 1), make([]int16, 1), make([]byte, 1)
			if _, err := NewDecoder(law).Decode(pcm, []byte{byte(b)}); err != nil {
				t.Fatal(err)
			}
			if _, err := NewEncoder(law).Encode(payload, pcm); err != nil {
				t.Fatal(err)
			}
			if _, err := NewDecoder(law).Decode(again, payload); err != nil {
				t.Fatal(err)
			}
			if again[0] != pcm[0] { // µ-law has two bytes for 0
				t.Errorf("%s: byte %d is %d and then %d", format, b, pcm[0], again[0])
			}
		}
	}
}

func TestBadLengths(t *testing.T) {
	if _, err := NewDecoder(ALaw).Decode(make([]int16, 160), nil); err == nil {
		t.Error("empty payload decoded")
	}
	if _, err := NewDecoder(ALaw).Decode(make([]int16, 159), make([]byte, 160)); err == nil {
		t.Error("decoded into too short a buffer")
	}
	if _, err := NewEncoder(ALaw).Encode(make([]byte, 159), make([]int16, 160)); err == nil {
		t.Error("encoded into too short a buffer")
	}
}
