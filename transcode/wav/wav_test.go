package wav

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func ramp(n int) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(12000 * math.Sin(float64(i)/9))
	}
	return pcm
}

func encode(t testing.TB, pcm []int16, rate int) []byte {
	var b bytes.Buffer
	if err := Write(&b, pcm, rate); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWriteThenRead(t *testing.T) {
	for _, n := range []int{0, 1, 2047, 2048, 2049, 50000} {
		want := ramp(n)
		got, rate, err := Read(bytes.NewReader(encode(t, want, 16000)))
		if err != nil || rate != 16000 || !slices.Equal(got, want) {
			t.Errorf("%d samples: got %d at %d Hz, %v", n, len(got), rate, err)
		}
	}
}

// Each format is made by ffmpeg out of our own file; what comes back may differ by what the format loses.
func TestReadsWhatFFmpegWrites(t *testing.T) {
	want := ramp(16000)
	for _, c := range []struct {
		codec, channels string // channels in ffmpeg's words: from the one that we give it
		worst           int
	}{
		{"pcm_u8", "mono|c0=c0", 256},
		{"pcm_s16le", "mono|c0=c0", 0},
		{"pcm_s16le", "stereo|c0=c0|c1=c0", 0},
		{"pcm_s16le", "5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0", 0},
		{"pcm_s24le", "mono|c0=c0", 0},
		{"pcm_s32le", "stereo|c0=c0|c1=c0", 0},
		{"pcm_f32le", "mono|c0=c0", 0},
		{"pcm_alaw", "mono|c0=c0", 512},
		{"pcm_mulaw", "mono|c0=c0", 512},
	} {
		// From a pipe, ffmpeg cannot know the sizes when it writes the header: that is part of the test.
		cmd := exec.Command("ffmpeg", "-v", "error", "-i", "-", "-af", "pan="+c.channels, "-c:a", c.codec, "-f", "wav", "-")
		cmd.Stdin = bytes.NewReader(encode(t, want, 16000))
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("ffmpeg (make setup installs it): %v", err)
		}
		got, rate, err := Read(bytes.NewReader(out))
		if err != nil || rate != 16000 || len(got) != len(want) {
			t.Errorf("%s, %s channels: %d samples at %d Hz, %v", c.codec, c.channels, len(got), rate, err)
			continue
		}
		for i := range got {
			if d := int(got[i]) - int(want[i]); max(d, -d) > c.worst {
				t.Errorf("%s, %s channels: sample %d is %d, want %d", c.codec, c.channels, i, got[i], want[i])
				break
			}
		}
	}
}

func TestSoxReadsIt(t *testing.T) {
	b := encode(t, ramp(1600), 8000)
	path := filepath.Join(t.TempDir(), "x.wav")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	raw, err := exec.Command("sox", path, "-t", "raw", "-").Output()
	if err != nil || !bytes.Equal(raw, b[44:]) {
		t.Errorf("sox (make setup installs it) reads %d bytes, %v", len(raw), err)
	}
}

func TestBadFiles(t *testing.T) {
	good := encode(t, ramp(10), 8000)
	with := func(at int, b ...byte) []byte {
		c := slices.Clone(good)
		copy(c[at:], b)
		return c
	}
	for _, c := range []struct {
		name string
		file []byte
		want error
	}{
		{"empty", nil, ErrFormat},
		{"not RIFF", with(0, 'X'), ErrFormat},
		{"big endian", with(0, []byte("RIFX")...), ErrFormat},
		{"no data", good[:36], ErrFormat},
		{"fmt cut", good[:30], ErrFormat},
		{"huge fmt", with(16, 0xff, 0xff, 0xff, 0xff), ErrFormat},
		{"data first", append(slices.Clone(good[:12]), good[36:]...), ErrFormat},
		{"unknown tag", with(20, 2), ErrUnsupported},
		{"no channels", with(22, 0), ErrUnsupported},
		{"too many channels", with(22, 9), ErrUnsupported},
		{"no rate", with(24, 0, 0), ErrUnsupported},
		{"absurd rate", with(24, 0xff, 0xff, 0xff), ErrUnsupported},
		{"odd bits", with(34, 12), ErrUnsupported},
	} {
		if _, _, err := Read(bytes.NewReader(c.file)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if pcm, _, err := Read(bytes.NewReader(good[:len(good)-3])); err != nil || len(pcm) != 8 {
		t.Errorf("cut short: %d samples, %v", len(pcm), err)
	}
	if err := Write(io.Discard, nil, 0); !errors.Is(err, ErrUnsupported) {
		t.Errorf("rate 0: %v", err)
	}
}

func TestTooLong(t *testing.T) {
	head := appendHeader(nil, 8000, math.MaxUint32)
	head[34], head[20], head[32] = 8, formatMuLaw, 1
	_, _, err := Read(io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, MaxSamples+1)))
	if !errors.Is(err, ErrTooLong) {
		t.Errorf("%v, want %v", err, ErrTooLong)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func FuzzRead(f *testing.F) {
	good := encode(f, ramp(10), 8000)
	f.Add(good)
	f.Add(good[:40])
	f.Add(append(append(slices.Clone(good[:36]), "LIST\x03\x00\x00\x00abc\x00"...), good[36:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		pcm, rate, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		if rate < minRate || rate > maxRate || len(pcm) > len(b) {
			t.Errorf("%d samples at %d Hz out of %d bytes", len(pcm), rate, len(b))
		}
		again, _, err := Read(bytes.NewReader(encode(t, pcm, rate)))
		if err != nil || !slices.Equal(again, pcm) {
			t.Errorf("not the same after a round trip: %v", err)
		}
	})
}
