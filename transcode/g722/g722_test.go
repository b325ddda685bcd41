package g722

import (
	"bytes"
	"encoding/binary"
	"math"
	"os/exec"
	"testing"

	"passerelle/internal/testpeer/speech"
)

func ffmpeg(t *testing.T, stdin []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("ffmpeg", append([]string{"-v", "error"}, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg (make setup installs it): %v", err)
	}
	return out
}

// Our decoder gives ffmpeg's samples, bit by bit, and our encoder gives payloads that hold the same sound as ffmpeg's: for speech, and for
// sounds so loud that arithmetic overflows where it does not saturate.
func TestAgainstFFmpeg(t *testing.T) {
	const n = SampleRate
	sounds := map[string][]int16{"speech": speech.Say(t, "en", speech.English, SampleRate)[:4*n]}
	for name, f := range map[string]func(x float64) float64{
		"silence":        func(float64) float64 { return 0 },
		"loud sine":      func(x float64) float64 { return 32767 * math.Sin(2*math.Pi*300*x) },
		"loud square":    func(x float64) float64 { return math.Copysign(32767, math.Sin(2*math.Pi*300*x)) },
		"loud and high":  func(x float64) float64 { return 32767 * math.Sin(2*math.Pi*7000*x) },
		"clipped chords": func(x float64) float64 { return 60000*math.Sin(2*math.Pi*300*x) + 20000*math.Sin(2*math.Pi*5000*x) },
	} {
		pcm := make([]int16, n)
		for i := range pcm {
			pcm[i] = int16(saturate(int(f(float64(i) / n))))
		}
		sounds[name] = pcm
	}
	for name, pcm := range sounds {
		raw := make([]byte, 0, 2*len(pcm))
		for _, s := range pcm {
			raw = binary.LittleEndian.AppendUint16(raw, uint16(s))
		}
		theirs := ffmpeg(t, raw, "-f", "s16le", "-ar", "16000", "-ac", "1", "-i", "-", "-f", "g722", "-")
		ours := make([]byte, len(pcm)/2)
		if _, err := NewEncoder().Encode(ours, pcm); err != nil {
			t.Fatal(err)
		}
		heard := map[string][]int16{}
		for side, payload := range map[string][]byte{"theirs": theirs, "ours": ours} {
			want := ffmpeg(t, payload, "-f", "g722", "-i", "-", "-f", "s16le", "-")
			got := make([]int16, 2*len(payload))
			if _, err := NewDecoder().Decode(got, payload); err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if w := int16(binary.LittleEndian.Uint16(want[2*i:])); got[i] != w {
					t.Errorf("%s, encoded by %s: sample %d is %d, ffmpeg says %d", name, side, i, got[i], w)
					break
				}
			}
			heard[side] = got
		}
		const delay = 22 // of the two filters, in samples
		snrOurs := speech.SegmentalSNR(pcm, heard["ours"][delay:], SampleRate)
		snrTheirs := speech.SegmentalSNR(pcm, heard["theirs"][delay:], SampleRate)
		if snrOurs < snrTheirs-0.5 {
			t.Errorf("%s: our encoder gives %.1f dB, ffmpeg's %.1f dB", name, snrOurs, snrTheirs)
		}
		t.Logf("%s: %.1f dB, ffmpeg %.1f dB, same bytes: %v", name, snrOurs, snrTheirs, bytes.Equal(ours, theirs))
	}
}

func TestBadLengths(t *testing.T) {
	d, e := NewDecoder(), NewEncoder()
	if _, err := d.Decode(make([]int16, 320), nil); err == nil {
		t.Error("empty payload decoded")
	}
	if _, err := d.Decode(make([]int16, 319), make([]byte, 160)); err == nil {
		t.Error("decoded into too short a buffer")
	}
	if _, err := e.Encode(make([]byte, 160), make([]int16, 319)); err == nil {
		t.Error("odd samples encoded")
	}
	if _, err := e.Encode(make([]byte, 159), make([]int16, 320)); err == nil {
		t.Error("encoded into too short a buffer")
	}
}
