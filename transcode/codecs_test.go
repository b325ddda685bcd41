package transcode_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"

	"passerelle/internal/testpeer/speech"
	"passerelle/transcode"
	"passerelle/transcode/resample"
	"passerelle/transcode/wav"
)

// A codecCase is one codec and the program that knows it too. The same table drives decoding, encoding, loss, the fuzzer and the benchmarks.
type codecCase struct {
	name, codec string
	clock, rate int
	ffmpeg      []string // how ffmpeg names its payloads; nil: opus-tools
	delay       int      // of encoder and decoder in samples; -1: not to be compared sample by sample
	correlation float64  // at least. Opus for voice turns phases, ours and libopus's own alike
	snr         float64  // segmental, in dB, at least
}

var cases = []codecCase{
	{"PCMU", "PCMU", 8000, 8000, []string{"-f", "mulaw", "-ar", "8000"}, 0, 0.999, 28},
	{"PCMA", "PCMA", 8000, 8000, []string{"-f", "alaw", "-ar", "8000"}, 0, 0.999, 28},
	{"G722", "G722", 8000, 16000, []string{"-f", "g722"}, 22, 0.995, 20},
	{"L16/8000", "L16", 8000, 8000, []string{"-f", "s16be", "-ar", "8000"}, 0, 0.9999, 34.9},
	{"L16/16000", "L16", 16000, 16000, []string{"-f", "s16be", "-ar", "16000"}, 0, 0.9999, 34.9},
	{"opus", "opus", 48000, 48000, nil, -1, 0.90, 0},
	{"opus of 16 kHz", "opus", 48000, 16000, nil, -1, 0.90, 0},
	{"opus of 8 kHz", "opus", 48000, 8000, nil, -1, 0.90, 0},
}

var encoderOptions = transcode.EncoderOptions{Bitrate: 32000, Complexity: 5}

func (c codecCase) make(t testing.TB) (transcode.Encoder, transcode.Concealer) {
	t.Helper()
	codec, ok := transcode.Lookup(c.codec, c.clock)
	if !ok {
		t.Fatalf("no codec %s/%d", c.codec, c.clock)
	}
	codec.SampleRate = c.rate
	e, err := codec.NewEncoder(encoderOptions)
	if err != nil {
		t.Fatal(err)
	}
	d, err := codec.NewConcealer()
	if err != nil {
		t.Fatal(err)
	}
	return e, d
}

// said is six seconds of speech in whole frames.
func (c codecCase) said(t testing.TB) []int16 {
	return speech.Say(t, "en", speech.English, c.rate)[:6*c.rate]
}

func (c codecCase) encode(t testing.TB, e transcode.Encoder, pcm []int16) (packets [][]byte) {
	t.Helper()
	payload := make([]byte, 1500)
	for ; len(pcm) >= c.rate/50; pcm = pcm[c.rate/50:] {
		n, err := e.Encode(payload, pcm[:c.rate/50])
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, slices.Clone(payload[:n]))
	}
	return packets
}

func (c codecCase) decode(t testing.TB, d transcode.Concealer, packets [][]byte, lost func(i int) bool) (pcm []int16) {
	t.Helper()
	buf := make([]int16, c.rate*120/1000)
	for i, p := range packets {
		if lost != nil && lost(i) {
			if err := d.Conceal(buf[:c.rate/50]); err != nil {
				t.Fatal(err)
			}
			pcm = append(pcm, buf[:c.rate/50]...)
			continue
		}
		n, err := d.Decode(buf, p)
		if err != nil || n != c.rate/50 {
			t.Fatalf("%s: %d samples, %v", c.name, n, err)
		}
		pcm = append(pcm, buf[:n]...)
	}
	return pcm
}

// theirEncoder gives packets of 20 ms and the samples to skip of their sound.
func (c codecCase) theirEncoder(t *testing.T, pcm []int16) (packets [][]byte, skip int) {
	t.Helper()
	rate := fmt.Sprint(c.rate)
	if c.ffmpeg == nil {
		ogg := run(t, samples(pcm), "opusenc", "--quiet", "--raw", "--raw-rate", rate, "--raw-chan", "1", "--framesize", "20", "--bitrate", "32", "-", "-")
		packets, skip, err := readOgg(ogg)
		if err != nil {
			t.Fatal(err)
		}
		return packets, skip * c.rate / 48000
	}
	args := append([]string{"-v", "error", "-f", "s16le", "-ar", rate, "-ac", "1", "-i", "-"}, c.ffmpeg...)
	raw := run(t, samples(pcm), "ffmpeg", append(args, "-")...)
	return slices.Collect(slices.Chunk(raw, len(raw)*c.rate/50/len(pcm))), 0
}

func (c codecCase) theirDecoder(t *testing.T, packets [][]byte) []int16 {
	t.Helper()
	if c.ffmpeg == nil {
		file := run(t, writeOgg(packets), "opusdec", "--quiet", "--force-wav", "--rate", "48000", "-", "-")
		pcm, rate, err := wav.Read(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if pcm, err = resample.Convert(pcm, rate, c.rate); err != nil {
			t.Fatal(err)
		}
		return pcm
	}
	args := append([]string{"-v", "error"}, c.ffmpeg...)
	raw := run(t, bytes.Join(packets, nil), "ffmpeg", append(args, "-i", "-", "-f", "s16le", "-")...)
	pcm := make([]int16, len(raw)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(raw[2*i:]))
	}
	return pcm
}

func run(t *testing.T, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s (make setup installs it): %v", name, err)
	}
	return out
}

func samples(pcm []int16) (raw []byte) {
	for _, s := range pcm {
		raw = binary.LittleEndian.AppendUint16(raw, uint16(s))
	}
	return raw
}

func (c codecCase) check(t *testing.T, what string, said, heard []int16) {
	t.Helper()
	_, correlation := speech.Find(heard, said[c.rate/2:5*c.rate], c.rate)
	if correlation < c.correlation {
		t.Errorf("%s: correlation %.4f, want %.4f", what, correlation, c.correlation)
	}
	if c.delay >= 0 {
		if snr := speech.SegmentalSNR(said, heard[c.delay:], c.rate); snr < c.snr {
			t.Errorf("%s: %.1f dB, want %.1f dB", what, snr, c.snr)
		}
	}
}

func TestAgainstOthers(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			said := c.said(t)
			e, d := c.make(t)
			packets, skip := c.theirEncoder(t, said)
			c.check(t, "decode theirs", said, c.decode(t, d, packets, nil)[skip:])
			c.check(t, "they decode ours", said, c.theirDecoder(t, c.encode(t, e, said)))
		})
	}
}

// Of every twenty packets one is lost, sometimes two in a row. What is concealed must be nearer to the truth than silence, and must not click.
func TestLoss(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e, clean := c.make(t)
			_, lossy := c.make(t)
			packets := c.encode(t, e, c.said(t))
			random := rand.New(rand.NewPCG(7, 8))
			lost := make([]bool, len(packets))
			for i := range lost {
				lost[i] = random.IntN(20) == 0 || i > 0 && lost[i-1] && random.IntN(4) == 0
			}
			whole := c.decode(t, clean, packets, nil)
			concealed := c.decode(t, lossy, packets, func(i int) bool { return lost[i] })
			_, silent := c.make(t)
			silenced, at := make([]int16, len(whole)), c.rate/50
			for i := range lost {
				if !lost[i] {
					copy(silenced[i*at:], c.decode(t, silent, packets[i:i+1], nil))
				}
			}
			with, without := correlate(whole, concealed), correlate(whole, silenced)
			t.Logf("correlation concealed %.4f, silence %.4f; steepest %d, of the whole %d", with, without, steepest(concealed), steepest(whole))
			if with < without+0.004 {
				t.Errorf("concealed correlates by %.4f, silence by %.4f", with, without)
			}
			if a, b := steepest(concealed), steepest(whole); a > b+b/4 {
				t.Errorf("a click: steps of %d, without loss of %d", a, b)
			}
		})
	}
}

func correlate(a, b []int16) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

func steepest(pcm []int16) (step int) {
	for i := 1; i < len(pcm); i++ {
		d := int(pcm[i]) - int(pcm[i-1])
		step = max(step, d, -d)
	}
	return step
}

// A long loss fades out, and the sound comes back whole.
func TestLongLoss(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e, d := c.make(t)
			said := c.said(t)
			packets := c.encode(t, e, said)
			const from, to = 50, 100
			heard := c.decode(t, d, packets, func(i int) bool { return i >= from && i < to })
			for i, s := range heard[(from+15)*c.rate/50 : to*c.rate/50] {
				if s > 300 || s < -300 {
					t.Fatalf("still %d after %d ms", s, 300+i*1000/c.rate)
				}
			}
			if _, r := speech.Find(heard, said[(to+5)*c.rate/50:5*c.rate], c.rate); r < c.correlation-0.03 {
				t.Errorf("correlation %.4f after the loss", r)
			}
		})
	}
}

func TestNothingAllocated(t *testing.T) {
	for _, c := range cases {
		e, d := c.make(t)
		payload, buf, frame := make([]byte, 1500), make([]int16, c.rate*120/1000), c.said(t)[c.rate:c.rate+c.rate/50]
		if n := testing.AllocsPerRun(50, func() {
			n, err := e.Encode(payload, frame)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Decode(buf, payload[:n]); err != nil {
				t.Fatal(err)
			}
			if err := d.Conceal(buf[:c.rate/50]); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

// Buffers are parts of larger ones: nothing is written behind their end.
func TestBuffersAreKept(t *testing.T) {
	for _, c := range cases {
		e, d := c.make(t)
		payload, pcm := bytes.Repeat([]byte{0xaa}, 3000), slices.Repeat([]int16{0x5555}, c.rate)
		frame := c.said(t)[c.rate : c.rate+c.rate/50]
		n, err := e.Encode(payload[:1500], frame)
		if err != nil {
			t.Fatal(err)
		}
		packet := slices.Clone(payload[:n])
		if _, err := e.Encode(payload[:20:1500], frame); err == nil && c.ffmpeg != nil {
			t.Errorf("%s: encoded into 20 bytes", c.name)
		}
		if _, err := d.Decode(pcm[:c.rate/50], packet); err != nil {
			t.Errorf("%s: into a buffer that just fits: %v", c.name, err)
		}
		if _, err := d.Decode(pcm[:c.rate/50-1], packet); err == nil {
			t.Errorf("%s: decoded into too short a buffer", c.name)
		}
		if err := d.Conceal(pcm[:c.rate/50]); err != nil {
			t.Error(err)
		}
		if i := slices.IndexFunc(payload[1500:], func(b byte) bool { return b != 0xaa }); i >= 0 {
			t.Errorf("%s: payload byte %d behind the end was written", c.name, i)
		}
		if i := slices.IndexFunc(pcm[c.rate/50:], func(s int16) bool { return s != 0x5555 }); i >= 0 {
			t.Errorf("%s: sample %d behind the end was written", c.name, i)
		}
	}
}

func TestUnknownCodecs(t *testing.T) {
	for _, c := range []transcode.Codec{{Name: "G729", SampleRate: 8000}, {Name: "opus", SampleRate: 44100}, {}} {
		if d, err := c.NewDecoder(); err == nil || d != nil {
			t.Errorf("%v: decoder %v, %v", c, d, err)
		}
		if e, err := c.NewEncoder(transcode.EncoderOptions{}); err == nil || e != nil {
			t.Errorf("%v: encoder %v, %v", c, e, err)
		}
	}
	for _, c := range transcode.Codecs() {
		if _, err := c.NewDecoder(); err != nil {
			t.Error(err)
		}
		if _, err := c.NewEncoder(transcode.EncoderOptions{}); err != nil {
			t.Error(err)
		}
	}
}

// FuzzDecode gives two packets, whatever they are, to every decoder.
func FuzzDecode(f *testing.F) {
	for _, c := range cases {
		e, _ := c.make(f)
		packets := c.encode(f, e, c.said(f)[:c.rate/10])
		f.Add(packets[1], packets[2])
		f.Add(packets[3][:len(packets[3])/2], packets[2])
		f.Add([]byte{}, packets[2][:1])
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		for _, c := range cases {
			_, d := c.make(t)
			buf := make([]int16, c.rate*120/1000)
			for _, p := range [][]byte{one, two} {
				if n, err := d.Decode(buf, p); n < 0 || n > len(buf) || err == nil && n == 0 {
					t.Errorf("%s: %d samples, %v", c.name, n, err)
				}
				if err := d.Conceal(buf[:c.rate/50]); err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
			}
		}
	})
}

func BenchmarkCodecs(b *testing.B) {
	for _, c := range cases {
		e, d := c.make(b)
		payload, buf, frame := make([]byte, 1500), make([]int16, c.rate*120/1000), c.said(b)[c.rate:c.rate+c.rate/50]
		n, err := e.Encode(payload, frame)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name+" encode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n, _ = e.Encode(payload, frame)
			}
		})
		b.Run(c.name+" decode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = d.Decode(buf, payload[:n])
			}
		})
		b.Run(c.name+" conceal", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = d.Decode(buf, payload[:n])
				_ = d.Conceal(buf[:c.rate/50])
			}
		})
	}
}
