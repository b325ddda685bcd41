package playout

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"passerelle/internal/testpeer/speech"
	"passerelle/media"
	"passerelle/transcode"
)

// link is what a simulated network does to packets.
type link struct {
	jitter   time.Duration // uniform, from 0 to twice this: packets overtake each other
	loss     float64
	twice    float64                                // share of packets that come twice
	ppm      float64                                // by which the sender's clock is fast
	phase    time.Duration                          // between packets and ticks
	packet   time.Duration                          // default 20 ms
	stall    func(sent time.Duration) time.Duration // extra delay of what is sent then; it stays in order
	drop     func(sent time.Duration) bool
	encoder  transcode.EncoderOptions
	from     time.Duration               // results are taken from here on
	readGaps func(at time.Duration) bool // nobody reads then
}

// heard is what came of it.
type heard struct {
	pcm    []int16 // of all ticks
	stats  Stats
	delays []time.Duration // of Stats.Delay, at each tick from link.from on
	quiet  int             // reads that were false
}

type packet struct {
	frame   media.Frame
	arrival time.Duration
	index   int
}

// run sends pcm (at the codec's rate) through a link and a buffer, in simulated time.
func run(t testing.TB, codec transcode.Codec, pcm []int16, l link) heard {
	t.Helper()
	if l.packet == 0 {
		l.packet = 20 * time.Millisecond
	}
	enc, err := codec.NewEncoder(l.encoder)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	zero := time.Unix(1000, 0)
	n := int(int64(codec.SampleRate) * int64(l.packet) / int64(time.Second))
	units := uint32(int64(codec.ClockRate) * int64(l.packet) / int64(time.Second))
	var packets []packet
	var held time.Duration
	for i := 0; (i+1)*n <= len(pcm); i++ {
		payload := make([]byte, 1500)
		size, err := enc.Encode(payload, pcm[i*n:(i+1)*n])
		if err != nil {
			t.Fatal(err)
		}
		sent := time.Duration(float64(l.packet) * float64(i+1) * (1 - l.ppm/1e6))
		if l.drop != nil && l.drop(sent) || rng.Float64() < l.loss {
			continue
		}
		at := sent + l.phase + time.Duration(rng.Float64()*2*float64(l.jitter))
		if l.stall != nil {
			at += l.stall(sent)
			held = max(held, at)
			if l.jitter == 0 {
				at = held
			}
		}
		p := packet{arrival: at, index: i, frame: media.Frame{
			Codec: &codec, Payload: payload[:size], Sequence: uint16(65000 + i), Timestamp: uint32(1<<32-100000) + uint32(i)*units, Arrival: zero.Add(at),
		}}
		packets = append(packets, p)
		if rng.Float64() < l.twice {
			p.arrival += 7 * time.Millisecond
			p.frame.Arrival = zero.Add(p.arrival)
			packets = append(packets, p)
		}
	}
	slices.SortStableFunc(packets, func(a, b packet) int { return int(a.arrival - b.arrival) })

	var now time.Duration
	b, err := New(codec, Config{Now: func() time.Time { return zero.Add(now) }})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var h heard
	for end := packets[len(packets)-1].arrival; now < end; now += 20 * time.Millisecond {
		for len(packets) > 0 && packets[0].arrival <= now {
			b.WriteFrame(&packets[0].frame)
			packets = packets[1:]
		}
		frame := make([]int16, frame20)
		if l.readGaps == nil || !l.readGaps(now) {
			if !b.Read(frame) {
				h.quiet++
			}
		}
		h.pcm = append(h.pcm, frame...)
		if now >= l.from {
			h.delays = append(h.delays, b.Stats().Delay)
		}
	}
	h.stats = b.Stats()
	return h
}

// percentile of delays, p from 0 to 100.
func percentile(d []time.Duration, p int) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[min(len(d)-1, len(d)*p/100)]
}

// delaysOf finds pieces of what was said in what was heard, second by second: their delays and how sure they are found, without silent pieces.
func delaysOf(said, heard []int16) (delays []time.Duration, sure []float64) {
	const piece = transcode.Rate / 2
	for at := 0; at+2*piece < len(said); at += piece {
		part := said[at : at+piece]
		if measure(part) < -50 {
			continue
		}
		from, to := max(0, at-piece/4), min(len(heard), at+2*piece+transcode.Rate)
		if to-from < piece {
			break
		}
		off, c := speech.Find(heard[from:to], part, transcode.Rate)
		delays = append(delays, off+duration(int64(from-at)))
		sure = append(sure, c)
	}
	return delays, sure
}

// talk is about a minute of speech at the codec's rate, with pauses.
func talk(t testing.TB, rate, seconds int) []int16 {
	t.Helper()
	pcm := speech.Say(t, "en", speech.English, rate)
	pcm = append(pcm, make([]int16, rate/2)...)
	pcm = append(pcm, speech.Say(t, "fr", speech.French, rate)...)
	for len(pcm) < rate*seconds {
		pcm = append(pcm, pcm...)
	}
	return pcm[:rate*seconds]
}

func codec(t testing.TB, name string) transcode.Codec {
	t.Helper()
	for _, c := range transcode.Codecs() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no codec %s", name)
	return transcode.Codec{}
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

func (h heard) String() string {
	return fmt.Sprintf("delay p50 %v p95 %v p99 %v; %+v", percentile(h.delays, 50), percentile(h.delays, 95), percentile(h.delays, 99), h.stats)
}
