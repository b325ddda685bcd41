package tone

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"

	"passerelle/internal/testpeer/speech"
	"passerelle/transcode/g711"
)

const ms = time.Millisecond

// hear runs a detector over pcm by frames of 20 ms.
func hear(pcm []int16, rate int) string {
	d := NewDetector(rate)
	var heard []byte
	for len(pcm) > 0 {
		n := min(rate/50, len(pcm))
		for k, ok := d.Detect(pcm[:n]); ok; k, ok = d.Detect(nil) {
			heard = append(heard, k)
		}
		pcm = pcm[n:]
	}
	return string(heard)
}

func dtmf(t testing.TB, rate int, on, off time.Duration, digits string) []int16 {
	pcm, err := DTMF(rate, on, off, digits)
	if err != nil {
		t.Fatal(err)
	}
	return append(pcm, make([]int16, rate/10)...)
}

func mulaw(t *testing.T, pcm []int16) []int16 {
	payload, out := make([]byte, len(pcm)), make([]int16, len(pcm))
	if _, err := g711.NewEncoder(g711.MuLaw).Encode(payload, pcm); err != nil {
		t.Fatal(err)
	}
	if _, err := g711.NewDecoder(g711.MuLaw).Decode(out, payload); err != nil {
		t.Fatal(err)
	}
	return out
}

// with mixes white noise into pcm, of so many dB below its tones.
func with(pcm []int16, snr float64) []int16 {
	// A key has two sines of dtmfLevel.
	rms := 32767 * math.Pow(10, (dtmfLevel-snr)/20)
	r := rand.New(rand.NewPCG(5, 6))
	out := make([]int16, len(pcm))
	for i, s := range pcm {
		out[i] = int16(max(-32768, min(32767, float64(s)+rms*r.NormFloat64())))
	}
	return out
}

func TestEveryKeyOnce(t *testing.T) {
	const digits = "0123456789*#ABCD1155500##"
	for _, rate := range []int{8000, 16000, 48000} {
		for _, c := range []struct{ on, off time.Duration }{{40 * ms, 40 * ms}, {50 * ms, 50 * ms}, {70 * ms, 70 * ms}, {100 * ms, 60 * ms}, {500 * ms, 40 * ms}} {
			pcm := dtmf(t, rate, c.on, c.off, digits)
			// A press may begin anywhere in a block.
			for shift := range 8 {
				lead := make([]int16, shift*rate/600)
				if got := hear(append(lead, pcm...), rate); got != digits {
					t.Errorf("%d Hz, %v on, %v off, shift %d: %s", rate, c.on, c.off, shift, got)
				}
			}
			if got := hear(with(pcm, 15), rate); got != digits {
				t.Errorf("%d Hz, %v on, %v off, 15 dB over noise: %s", rate, c.on, c.off, got)
			}
			if rate == 8000 {
				if got := hear(mulaw(t, pcm), rate); got != digits {
					t.Errorf("%v on, %v off, G.711: %s", c.on, c.off, got)
				}
			}
		}
	}
}

// sox makes keys independently: other levels, twist, and frequencies that are off by as much as Q.24 allows.
func TestKeysMadeBySox(t *testing.T) {
	type pair struct{ row, column []float64 }
	made := map[[3]float64]pair{} // sox is started once for each pair of frequencies
	for _, c := range []struct {
		name        string
		row, column float64 // volumes
		off         float64 // of the frequencies, in parts
		want        bool
	}{
		{"plain", 0.2, 0.2, 0, true},
		{"faint", 0.02, 0.02, 0, true},
		{"loud", 0.49, 0.49, 0, true},
		{"row louder by 6 dB", 0.3, 0.15, 0, true},
		{"column louder by 4 dB", 0.19, 0.3, 0, true},
		{"1.5 % high", 0.2, 0.2, 0.015, true},
		{"1.5 % low", 0.2, 0.2, -0.015, true},
		{"inaudible", 0.002, 0.002, 0, false},
		{"row louder by 14 dB", 0.4, 0.08, 0, false},
		{"column louder by 10 dB", 0.1, 0.32, 0, false},
		{"5 % high", 0.2, 0.2, 0.05, false},
		{"row alone", 0.3, 0, 0, false},
		{"column alone", 0, 0.3, 0, false},
	} {
		for _, rate := range []int{8000, 48000} {
			for key, name := range keys {
				id := [3]float64{float64(rate), rows[key/4] * (1 + c.off), columns[key%4] * (1 + c.off)}
				if _, ok := made[id]; !ok {
					row, column := soxSines(t, rate, id[1], id[2])
					made[id] = pair{row, column}
				}
				sines := made[id]
				pcm := make([]int16, len(sines.row)+rate/10)
				for i := range sines.row {
					pcm[i] = int16(c.row*sines.row[i] + c.column*sines.column[i])
				}
				want := ""
				if c.want {
					want = string(name)
				}
				if got := hear(pcm, rate); got != want {
					t.Errorf("%s, %c at %d Hz: heard %q", c.name, name, rate, got)
				}
			}
		}
	}
}

// soxSines makes two sines of 80 ms and full scale.
func soxSines(t *testing.T, rate int, hz1, hz2 float64) (a, b []float64) {
	t.Helper()
	out, err := exec.Command("sox", "-R", "-n", "-r", fmt.Sprint(rate), "-c", "2", "-b", "16", "-e", "signed", "-t", "raw", "-",
		"synth", "0.08", "sine", fmt.Sprint(hz1), "sine", fmt.Sprint(hz2)).Output()
	if err != nil {
		t.Fatalf("sox (make setup installs it): %v", err)
	}
	for ; len(out) >= 4; out = out[4:] {
		a = append(a, float64(int16(binary.LittleEndian.Uint16(out))))
		b = append(b, float64(int16(binary.LittleEndian.Uint16(out[2:]))))
	}
	return a, b
}

// Nothing that people say, nothing that telephones sing and no noise is a key.
func TestTalkOff(t *testing.T) {
	const pangrams = " The five boxing wizards jump quickly. How vexingly quick daft zebras jump. Oh, you do too? We knew it all through June. " +
		"A mad boxer shot a quick, gloved jab to the jaw of his dizzy opponent. Moo, boo, who, loo, ooh, aah, eee, oh."
	for _, rate := range []int{8000, 16000, 48000} {
		for _, voice := range []string{"en", "en+f3", "en+m5", "fr", "fr+f2", "fr+croak"} {
			pcm := speech.Say(t, voice, speech.English+speech.French+pangrams, rate)
			if got := hear(pcm, rate); got != "" {
				t.Errorf("%s at %d Hz: heard %q in %d s of speech", voice, rate, got, len(pcm)/rate)
			}
			if rate == 8000 {
				if got := hear(mulaw(t, pcm), rate); got != "" {
					t.Errorf("%s through G.711: heard %q", voice, got)
				}
			}
		}
		for name, pcm := range map[string][]int16{
			"dial tone":     Make(rate, 1500*ms, -20, 440), // of France, as it rings and as it is engaged
			"US dial tone":  Make(rate, time.Second, -15, 350, 440),
			"short keys":    dtmf(t, rate, 20*ms, 60*ms, "147*2580"),
			"noise":         with(make([]int16, 5*rate), 0),
			"keys in noise": with(dtmf(t, rate, 100*ms, 100*ms, "1234567890"), -3),
		} {
			if got := hear(pcm, rate); got != "" {
				t.Errorf("%s at %d Hz: heard %q", name, rate, got)
			}
		}
	}
}

// A press that is heard over somebody's voice still counts.
func TestKeysOverSoftSpeech(t *testing.T) {
	const digits = "1234567890*#"
	pcm := dtmf(t, 8000, 120*ms, 80*ms, digits)
	for i, s := range speech.Say(t, "en", speech.English, 8000)[:len(pcm)] {
		pcm[i] += s / 12
	}
	if got := hear(pcm, 8000); got != digits {
		t.Errorf("heard %q", got)
	}
}

func TestManyPressesInOneCall(t *testing.T) {
	pcm := dtmf(t, 8000, 50*ms, 50*ms, "123456789")
	d, got := NewDetector(8000), ""
	for k, ok := d.Detect(pcm); ok; k, ok = d.Detect(nil) {
		got += string(k)
	}
	if got != "12345678" { // the queue is bounded
		t.Errorf("heard %q", got)
	}
}

func TestMake(t *testing.T) {
	for _, rate := range []int{8000, 16000, 48000} {
		pcm := Make(rate, 100*ms, -6, 440)
		if len(pcm) != rate/10 || pcm[0] != 0 || pcm[len(pcm)-1] != 0 {
			t.Errorf("%d Hz: %d samples from %d to %d", rate, len(pcm), pcm[0], pcm[len(pcm)-1])
		}
		var peak int16
		for _, s := range pcm {
			peak = max(peak, s)
		}
		if peak < 16000 || peak > 16500 {
			t.Errorf("%d Hz: peak %d, want half of full scale", rate, peak)
		}
	}
	if len(Make(8000, 0, -6, 440)) != 0 || len(Make(8000, ms/8, 0, 1, 2, 3)) != 1 {
		t.Error("short tones have the wrong length")
	}
	if _, err := DTMF(8000, ms, ms, "12x"); err == nil {
		t.Error("key x has tones")
	}
}

func FuzzDetect(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3}, 8000)
	f.Add([]byte("\xff\x7f\x00\x80"), 48000)
	f.Fuzz(func(t *testing.T, b []byte, rate int) {
		if rate < 8000 || rate > 48000 {
			return
		}
		pcm := make([]int16, len(b)/2)
		for i := range pcm {
			pcm[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
		}
		if got := hear(pcm, rate); len(got) > len(pcm)*50/rate+1 {
			t.Errorf("%d presses in %d samples", len(got), len(pcm))
		}
	})
}

func TestDetectAllocatesNothing(t *testing.T) {
	d, pcm := NewDetector(48000), dtmf(t, 48000, 50*ms, 50*ms, "123")
	if n := testing.AllocsPerRun(20, func() {
		for _, ok := d.Detect(pcm); ok; _, ok = d.Detect(nil) {
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDetect(b *testing.B) {
	for _, rate := range []int{8000, 48000} {
		b.Run(fmt.Sprint(rate), func(b *testing.B) {
			d, pcm := NewDetector(rate), dtmf(b, rate, 50*ms, 50*ms, "1")[:rate/50]
			b.ReportAllocs()
			for b.Loop() {
				d.Detect(pcm)
			}
		})
	}
}
