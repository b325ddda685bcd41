package bridge

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/prometheus/client_golang/prometheus"

	"passerelle/internal/testpeer/speech"
	"passerelle/media"
	"passerelle/transcode"
	"passerelle/transcode/level"
	"passerelle/transcode/opus"
	"passerelle/transcode/tone"
)

// packets is a track that keeps what is written to it.
type packets struct {
	all []rtp.Packet
	off bool // keep nothing
}

func (p *packets) WriteRTP(x *rtp.Packet) error {
	if !p.off {
		c := *x
		c.Payload = bytes.Clone(x.Payload)
		c.Header.Extensions = nil
		_ = c.Header.SetExtension(AudioLevelID, bytes.Clone(x.GetExtension(AudioLevelID)))
		p.all = append(p.all, c)
	}
	return nil
}

func (p *packets) SetMuted(context.Context, bool) error { return nil }

// nobody is a sink that listens to nothing.
type nobody struct{}

func (nobody) WriteFrame(*media.Frame) {}

// talker feeds an uplink with packets of 20 ms.
type talker struct {
	*uplink
	t       testing.TB
	codec   transcode.Codec
	encoder transcode.Encoder
	frame   media.Frame
	payload []byte
	tones   chan byte
}

func newTalker(t testing.TB, name string, clock int) (*talker, *packets) {
	t.Helper()
	codec, ok := transcode.Lookup(name, clock)
	if !ok {
		t.Fatal(name)
	}
	encoder, err := codec.NewEncoder(transcode.EncoderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tones, track := make(chan byte, 64), &packets{}
	m := newMetrics(&Node{}, prometheus.NewRegistry())
	k := &talker{
		uplink: newUplink(slog.New(slog.DiscardHandler), m, tones), t: t, codec: codec, encoder: encoder, payload: make([]byte, 2000), tones: tones,
	}
	k.frame = media.Frame{Codec: &k.codec, Sequence: 65530, Timestamp: 1<<32 - 1000, Arrival: time.Now()}
	k.open(track, nobody{})
	return k, track
}

// pass lets time go by without a packet: lost ones, or none sent.
func (k *talker) pass(packets int, lost bool) {
	if lost {
		k.frame.Sequence += uint16(packets)
	}
	k.frame.Timestamp += uint32(packets * k.codec.ClockRate / 50)
	k.frame.Arrival = k.frame.Arrival.Add(time.Duration(packets) * 20 * time.Millisecond)
}

// say sends PCM at the codec's rate.
func (k *talker) say(pcm []int16) {
	k.t.Helper()
	for samples := k.codec.SampleRate / 50; len(pcm) >= samples; pcm = pcm[samples:] {
		n, err := k.encoder.Encode(k.payload, pcm[:samples])
		if err != nil {
			k.t.Fatal(err)
		}
		k.frame.Payload = k.payload[:n]
		k.WriteFrame(&k.frame)
		k.frame.Sequence++
		k.pass(1, false)
	}
}

// heard decodes what a track published, by its timestamps: what was not sent is silence.
func (p *packets) heard(t testing.TB) []int16 {
	t.Helper()
	d, err := opus.NewDecoder(transcode.Rate)
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]int16, 5760)
	var out []int16
	for _, x := range p.all {
		at := int(x.Timestamp - p.all[0].Timestamp)
		if at > 60*transcode.Rate || at < len(out)-transcode.FrameSamples {
			t.Fatalf("a packet is %d samples after the first one, %d were heard", at, len(out))
		}
		out = append(out, make([]int16, max(0, at-len(out)))...)
		n, err := d.Decode(pcm, x.Payload)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out[:at], pcm[:n]...)
	}
	return out
}

func TestUplinkCarriesSpeech(t *testing.T) {
	for _, c := range []struct {
		name  string
		clock int
	}{{"PCMA", 8000}, {"PCMU", 8000}, {"G722", 8000}, {"L16", 16000}, {"opus", 48000}} {
		t.Run(c.name, func(t *testing.T) {
			k, track := newTalker(t, c.name, c.clock)
			defer k.close()
			said := speech.Say(t, "en", speech.English, k.codec.SampleRate)
			k.say(make([]int16, k.codec.SampleRate)) // a second of silence
			k.say(said)
			heard := track.heard(t)
			wide := speech.Say(t, "en", speech.English, transcode.Rate)
			offset, correlation := speech.Find(heard, wide[:3*transcode.Rate], transcode.Rate)
			t.Logf("correlation %.3f at %v", correlation, offset)
			if correlation < 0.85 || math.Abs(offset.Seconds()-1.02) > 0.03 {
				t.Errorf("found at %v with %.2f, want 1.02 s after the packet that opened the track", offset, correlation)
			}
		})
	}
}

// TestUplinkKeepsWordStarts says a word out of silence: its first 60 ms must be there, too.
func TestUplinkKeepsWordStarts(t *testing.T) {
	for name, clock := range map[string]int{"PCMA": 8000, "opus": 48000} {
		k, track := newTalker(t, name, clock)
		rate := k.codec.SampleRate
		word := speech.Say(t, "en", speech.English, rate)
		for level.RMS(word[:rate/50]) < -50 {
			word = word[rate/50:]
		}
		k.say(hum(2*rate, 16))
		k.say(word[:rate])
		heard := track.heard(t)
		start := heard[2*transcode.Rate+960:][:60*48]
		if l, want := level.RMS(start), level.RMS(word[:60*rate/1000]); l < want-3 {
			t.Errorf("%s: the first 60 ms of the word have %.1f dBFS, they were said with %.1f", name, l, want)
		}
		k.close()
	}
}

// hum is noise without a voice. 16 is that of a quiet room, -66 dBov.
func hum(samples int, sigma float64) []int16 {
	r := rand.New(rand.NewPCG(1, 2))
	pcm := make([]int16, samples)
	for i := range pcm {
		pcm[i] = int16(r.NormFloat64() * sigma)
	}
	return pcm
}

// TestUplinkSendsNoSilence proves that silence costs a packet in two seconds and no encoding, and says so in the level. A word after a long pause of a
// sender with DTX brings nothing along that was kept before it.
func TestUplinkSendsNoSilence(t *testing.T) {
	for name, clock := range map[string]int{"PCMA": 8000, "opus": 48000} {
		k, track := newTalker(t, name, clock)
		rate := k.codec.SampleRate
		k.say(hum(10*rate, 16))
		if n := len(track.all); n < 5 || n > 8 {
			t.Errorf("%s: %d packets in 10 s of silence, want about 7", name, n)
		}
		for _, x := range track.all {
			if l := x.GetExtension(AudioLevelID); len(x.Payload) != len(opus.Silence) || len(l) != 1 || l[0] != 127 {
				t.Fatalf("%s: a packet of %d bytes with level %v", name, len(x.Payload), l)
			}
		}
		before := len(track.all)
		k.pass(100, false)
		k.say(speech.Say(t, "en", speech.English, rate)[rate/2 : 3*rate/2])
		if n := track.all[before].Timestamp - track.all[0].Timestamp; n < 12*transcode.Rate-2*960 {
			t.Errorf("%s: after a pause, a packet of %d ms before its end is sent", name, 12000-n/48)
		}
		if l := track.all[len(track.all)-1].GetExtension(AudioLevelID); len(l) != 1 || l[0]&0x80 == 0 || l[0]&0x7f > 60 {
			t.Errorf("%s: speech has the level %v", name, l)
		}
		k.close()
	}
}

// TestUplinkPassesLoudNoise: what an Opus encoder takes for noise, because it lasts, is still heard if it is loud.
func TestUplinkPassesLoudNoise(t *testing.T) {
	k, track := newTalker(t, "opus", 48000)
	defer k.close()
	k.say(hum(10*transcode.Rate, 1000))
	before := len(track.all)
	voices := 0
	for range 5 * 50 {
		k.say(hum(transcode.FrameSamples, 1000))
		if voice, known := opus.Voice(k.frame.Payload); voice || !known {
			voices++
		}
	}
	if n := len(track.all) - before; voices > 150 || n < 240 {
		t.Errorf("%d of 250 packets of noise passed, %d of them voices", n, voices)
	}
}

// TestUplinkKeepsGaps loses packets and pauses: the same must be missing on the track.
func TestUplinkKeepsGaps(t *testing.T) {
	for _, name := range []string{"PCMA", "opus"} {
		codec, _ := transcode.Lookup(name, map[string]int{"PCMA": 8000, "opus": 48000}[name])
		k, track := newTalker(t, name, codec.ClockRate)
		voice := speech.Say(t, "en", speech.English, codec.SampleRate)
		second := codec.SampleRate
		k.say(voice[:second])
		before := track.all[len(track.all)-1]
		k.pass(3, true)
		k.say(voice[second : 2*second])
		i := 0
		for track.all[i].SequenceNumber != before.SequenceNumber {
			i++
		}
		after := track.all[i+1]
		if s, ts := after.SequenceNumber-before.SequenceNumber, after.Timestamp-before.Timestamp; s != 4 || ts != 4*960 {
			t.Errorf("%s: after 3 lost packets the sequence goes on by %d and the timestamp by %d, want 4 and %d", name, s, ts, 4*960)
		}
		last := track.all[len(track.all)-1]
		k.pass(100, false)
		k.say(voice[2*second : 3*second])
		for i := range track.all {
			if track.all[i].SequenceNumber == last.SequenceNumber+1 {
				if ts := track.all[i].Timestamp - last.Timestamp; ts != 101*960 {
					t.Errorf("%s: after a pause of 2 s the timestamp goes on by %d, want %d", name, ts, 101*960)
				}
			}
		}
		k.close()
	}
}

// TestUplinkMute mutes and holds: nothing passes, and what comes after is where it belongs.
func TestUplinkMute(t *testing.T) {
	k, track := newTalker(t, "PCMA", 8000)
	defer k.close()
	voice := speech.Say(t, "en", speech.English, 8000)
	k.say(voice[:8000])
	for _, set := range []func(bool){k.mute, k.hold} {
		n := len(track.all)
		set(true)
		k.say(voice[:8000])
		if len(track.all) != n {
			t.Errorf("%d packets passed", len(track.all)-n)
		}
		set(false)
		k.say(voice[8000:16000])
		if len(track.all) == n {
			t.Error("nothing passes any more")
		}
	}
	heard := track.heard(t)
	wide := speech.Say(t, "en", speech.English, transcode.Rate)
	if offset, c := speech.Find(heard, wide[transcode.Rate:2*transcode.Rate], transcode.Rate); c < 0.8 || math.Abs(offset.Seconds()-2.02) > 0.03 {
		t.Errorf("what was said after the mute is at %v (%.2f), want 2.02 s", offset, c)
	}
}

func TestUplinkHearsTones(t *testing.T) {
	k, _ := newTalker(t, "PCMA", 8000)
	defer k.close()
	pcm, err := tone.DTMF(8000, 100*time.Millisecond, 100*time.Millisecond, "12*#0")
	if err != nil {
		t.Fatal(err)
	}
	k.say(pcm)
	if len(k.tones) != 0 {
		t.Errorf("%d tones heard where events were agreed", len(k.tones))
	}
	k.listenForTones(true)
	k.say(append(make([]int16, 800), pcm...))
	k.say(make([]int16, 800))
	var got []byte
	for len(k.tones) > 0 {
		got = append(got, <-k.tones)
	}
	if string(got) != "12*#0" {
		t.Errorf("heard %q", got)
	}
}

func TestUplinkAllocatesNothing(t *testing.T) {
	for name, clock := range map[string]int{"PCMA": 8000, "G722": 8000, "opus": 48000} {
		k, track := newTalker(t, name, clock)
		voice := speech.Say(t, "en", speech.English, k.codec.SampleRate)
		k.say(hum(k.codec.SampleRate, 16))
		k.say(voice[:k.codec.SampleRate])
		track.off = true
		for what, frame := range map[string][]int16{
			"speech": voice[k.codec.SampleRate:][:k.codec.SampleRate/50], "silence": hum(k.codec.SampleRate/50, 16),
		} {
			if n := testing.AllocsPerRun(200, func() { k.say(frame) }); n != 0 {
				t.Errorf("%s: %v allocations per packet of %s", name, n, what)
			}
		}
		k.close()
	}
}

// TestUplinkTakesGarbage feeds what no codec says.
func TestUplinkTakesGarbage(t *testing.T) {
	for _, name := range []string{"PCMA", "opus"} {
		k, _ := newTalker(t, name, map[string]int{"PCMA": 8000, "opus": 48000}[name])
		for _, payload := range [][]byte{nil, {}, {0xff}, bytes.Repeat([]byte{0xff}, 1500), bytes.Repeat([]byte{0}, 10000)} {
			k.frame.Payload = payload
			k.WriteFrame(&k.frame)
			k.frame.Sequence += 977
			k.frame.Timestamp -= 12345
		}
		k.close()
		k.WriteFrame(&k.frame) // after the end
	}
}

func BenchmarkUplink(b *testing.B) {
	for _, name := range []string{"PCMA", "G722"} {
		b.Run(name, func(b *testing.B) {
			k, track := newTalker(b, name, 8000)
			voice := speech.Say(b, "en", speech.English, k.codec.SampleRate)
			track.off = true
			b.ReportAllocs()
			samples, at := k.codec.SampleRate/50, 0
			for b.Loop() {
				k.say(voice[at : at+samples])
				if at += samples; at+samples > len(voice) {
					at = 0
				}
			}
		})
	}
}
