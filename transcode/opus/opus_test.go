package opus

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/hraban/opus"

	"passerelle/internal/testpeer/speech"
)

func newEncoder(t testing.TB, rate int, o Options) *Encoder {
	t.Helper()
	e, err := NewEncoder(rate, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func newDecoder(t testing.TB, rate int) *Decoder {
	t.Helper()
	d, err := NewDecoder(rate)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func encode(t testing.TB, e *Encoder, pcm []int16, frame int) (packets [][]byte) {
	t.Helper()
	payload := make([]byte, 1500)
	for ; len(pcm) >= frame; pcm = pcm[frame:] {
		n, err := e.Encode(payload, pcm[:frame])
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, slices.Clone(payload[:n]))
	}
	return packets
}

var packetCases = []struct {
	name    string
	payload []byte
	samples int
	stereo  bool
	err     error
}{
	{"SILK 10 ms", []byte{0 << 3}, 480, false, nil},
	{"SILK 20 ms stereo", []byte{1<<3 | 4}, 960, true, nil},
	{"SILK 40 ms", []byte{6 << 3}, 1920, false, nil},
	{"SILK 60 ms twice", []byte{11<<3 | 1}, 5760, false, nil},
	{"hybrid 10 ms", []byte{12 << 3}, 480, false, nil},
	{"hybrid 20 ms, two of two sizes", []byte{15<<3 | 2}, 1920, false, nil},
	{"CELT 2.5 ms", []byte{16 << 3}, 120, false, nil},
	{"CELT 20 ms", []byte{31 << 3}, 960, false, nil},
	{"48 frames of 2.5 ms", []byte{16<<3 | 3, 48}, 5760, false, nil},
	{"three frames, padding and VBR bits", []byte{31<<3 | 3, 0xc3}, 2880, false, nil},
	{"nothing", nil, 0, false, ErrPacket},
	{"count missing", []byte{31<<3 | 3}, 0, false, ErrPacket},
	{"no frames", []byte{31<<3 | 3, 0}, 0, false, ErrPacket},
	{"49 frames of 2.5 ms", []byte{16<<3 | 3, 49}, 0, false, ErrPacket},
	{"63 frames of 20 ms, stereo", []byte{31<<3 | 7, 63}, 0, true, ErrPacket},
	{"three frames of 60 ms", []byte{3<<3 | 3, 3}, 0, false, ErrPacket},
}

func TestDuration(t *testing.T) {
	for _, c := range packetCases {
		n, err := Duration(c.payload)
		if n != c.samples || !errors.Is(err, c.err) || Stereo(c.payload) != c.stereo {
			t.Errorf("%s: %d samples, stereo %v, %v", c.name, n, Stereo(c.payload), err)
		}
	}
}

// What libopus decodes is as long as Duration says, at every rate.
func TestDurationIsWhatIsDecoded(t *testing.T) {
	for _, rate := range []int{8000, 12000, 16000, 24000, 48000} {
		said := speech.Say(t, "fr", speech.French, rate)[:rate]
		for _, frame := range []int{rate / 100, rate / 50, rate / 25, rate * 3 / 50} {
			d, buf := newDecoder(t, rate), make([]int16, rate*120/1000)
			for i, p := range encode(t, newEncoder(t, rate, Options{}), said, frame) {
				n, err := d.Decode(buf, p)
				want, err2 := Duration(p)
				if n != frame || want*rate/48000 != frame || err != nil || err2 != nil {
					t.Fatalf("%d Hz, packet %d of %d samples: %d, %d at 48 kHz, %v, %v", rate, i, frame, n, want, err, err2)
				}
			}
		}
	}
}

// With FEC, what was lost comes back out of the next packet, far better than a guess.
func TestFEC(t *testing.T) {
	const rate, frame = 16000, 320
	said := speech.Say(t, "en", speech.English, rate)[:5*rate]
	packets := encode(t, newEncoder(t, rate, Options{Bitrate: 32000, Complexity: 5, FEC: true, Loss: 25}), said, frame)
	heard := map[string][]int16{}
	for _, way := range []string{"whole", "fec", "plc"} {
		d, buf := newDecoder(t, rate), make([]int16, rate*120/1000)
		for i, p := range packets {
			n, err := frame, error(nil)
			switch {
			case way == "whole" || i%4 != 2 || i+1 == len(packets):
				n, err = d.Decode(buf, p)
			case way == "fec":
				err = d.DecodeFEC(buf[:frame], packets[i+1])
			default:
				err = d.Conceal(buf[:frame])
			}
			if err != nil {
				t.Fatal(err)
			}
			heard[way] = append(heard[way], buf[:n]...)
		}
	}
	fec, plc := speech.SegmentalSNR(heard["whole"], heard["fec"], rate), speech.SegmentalSNR(heard["whole"], heard["plc"], rate)
	t.Logf("every fourth packet lost: FEC %.1f dB, concealment %.1f dB", fec, plc)
	if fec < plc+3 {
		t.Errorf("FEC %.1f dB, concealment %.1f dB", fec, plc)
	}
}

func TestDTXSendsNextToNothingInSilence(t *testing.T) {
	e := newEncoder(t, 16000, Options{DTX: true})
	packets := encode(t, e, make([]int16, 2*16000), 320)
	small := 0
	for _, p := range packets[50:] {
		if len(p) <= 2 {
			small++
		}
	}
	if small < 40 {
		t.Errorf("%d of 50 packets of silence are not to be sent", small)
	}
}

func TestOptions(t *testing.T) {
	size := func(o Options) (sum int) {
		for _, p := range encode(t, newEncoder(t, 48000, o), speech.Say(t, "en", speech.English, 48000)[:2*48000], 960) {
			sum += len(p)
		}
		return sum
	}
	if low, high := size(Options{Bitrate: 12000}), size(Options{Bitrate: 48000}); low*2 > high {
		t.Errorf("%d bytes at 12 kbit/s, %d at 48", low, high)
	}
	for _, o := range []Options{{Bitrate: -5}, {Complexity: 11}, {Complexity: -1}, {Loss: 101}} {
		if _, err := NewEncoder(48000, o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	for _, rate := range []int{0, -1, 44100, 96000} {
		if _, err := NewEncoder(rate, Options{}); err == nil {
			t.Errorf("an encoder at %d Hz", rate)
		}
		if _, err := NewDecoder(rate); err == nil {
			t.Errorf("a decoder at %d Hz", rate)
		}
	}
}

func TestConcealAnyLength(t *testing.T) {
	d := newDecoder(t, 48000)
	p := encode(t, newEncoder(t, 48000, Options{}), speech.Say(t, "en", speech.English, 48000)[:960], 960)[0]
	for _, n := range []int{120, 960, 5760, 5880, 48000} {
		if err := d.Conceal(make([]int16, n)); err != nil {
			t.Errorf("conceal %d: %v", n, err)
		}
		if err := d.DecodeFEC(make([]int16, n), p); err != nil {
			t.Errorf("FEC of %d: %v", n, err)
		}
	}
	for _, n := range []int{0, 1, 119, 961} {
		if err := d.Conceal(make([]int16, n)); !errors.Is(err, ErrBuffer) {
			t.Errorf("conceal %d: %v", n, err)
		}
		if err := d.DecodeFEC(make([]int16, n), p); !errors.Is(err, ErrBuffer) {
			t.Errorf("FEC of %d: %v", n, err)
		}
	}
	if err := d.DecodeFEC(make([]int16, 960), nil); !errors.Is(err, ErrPacket) {
		t.Errorf("FEC from nothing: %v", err)
	}
	e := newEncoder(t, 48000, Options{})
	if _, err := e.Encode(nil, make([]int16, 960)); !errors.Is(err, ErrBuffer) {
		t.Errorf("encode into nothing: %v", err)
	}
	if _, err := e.Encode(make([]byte, 100), make([]int16, 961)); err == nil {
		t.Error("961 samples were encoded")
	}
}

// Thousands of forgotten encoders and decoders do not fill the memory: it is Go's.
func TestNothingToClose(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 2000 {
		newEncoder(t, 48000, Options{})
		newDecoder(t, 48000)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 8<<20 {
		t.Errorf("%d bytes more after 2000 pairs", grown)
	}
}

func FuzzPacket(f *testing.F) {
	for _, c := range packetCases {
		f.Add(c.payload)
		f.Add(append(slices.Clone(c.payload), bytes.Repeat([]byte{1, 0x80}, 30)...))
	}
	for _, p := range encode(f, newEncoder(f, 48000, Options{FEC: true, Loss: 20}), speech.Say(f, "en", speech.English, 48000)[:4800], 960) {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		Voice(p)
		want, wantErr := Duration(p)
		if wantErr == nil && (want < 120 || want > MaxDuration || want%120 != 0) {
			t.Errorf("%d samples", want)
		}
		for _, rate := range []int{8000, 48000} {
			d, buf := newDecoder(t, rate), make([]int16, rate*120/1000)
			n, err := d.Decode(buf, p)
			if err == nil && (wantErr != nil || n != want*rate/48000) {
				t.Errorf("%d Hz: %d samples decoded, Duration says %d, %v", rate, n, want, wantErr)
			}
			_ = d.DecodeFEC(buf[:rate/50], p) // an error or not, but no crash
			if err := d.Conceal(buf[:rate/50]); err != nil {
				t.Errorf("%d Hz: %v", rate, err)
			}
		}
	})
}

// A stereo sender is heard in mono, both sides of it.
func TestStereoIsMixedDown(t *testing.T) {
	const rate, frame = 48000, 960
	left := speech.Say(t, "en", speech.English, rate)[:3*rate]
	right := speech.Say(t, "fr", speech.French, rate)[:3*rate]
	e, err := opus.NewEncoder(rate, 2, opus.AppAudio)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.SetBitrate(128000); err != nil {
		t.Fatal(err)
	}
	d, buf, payload := newDecoder(t, rate), make([]int16, MaxDuration), make([]byte, 1500)
	var heard, mixed []int16
	stereo := false
	for i := 0; i+frame <= len(left); i += frame {
		var both []int16
		for k := i; k < i+frame; k++ {
			both = append(both, left[k], right[k])
			mixed = append(mixed, left[k]/2+right[k]/2)
		}
		n, err := e.Encode(both, payload)
		if err != nil {
			t.Fatal(err)
		}
		stereo = stereo || Stereo(payload[:n])
		if n, err = d.Decode(buf, payload[:n]); n != frame || err != nil {
			t.Fatalf("%d samples, %v", n, err)
		}
		heard = append(heard, buf[:n]...)
	}
	if !stereo {
		t.Error("no packet was stereo")
	}
	if _, c := speech.Find(heard, mixed[:5*rate/2], rate); c < 0.98 {
		t.Errorf("correlation with both sides %.3f", c)
	}
}
