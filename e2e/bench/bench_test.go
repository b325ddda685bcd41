package main

import (
	"encoding/binary"
	"net"
	"slices"
	"testing"
	"time"

	"passerelle/transcode"
	"passerelle/transcode/resample"
)

// TestMatch sends speech over a way of known delays, with one packet in fifty lost, and has them found again.
func TestMatch(t *testing.T) {
	clip, err := talk("en")
	if err != nil {
		t.Fatal(err)
	}
	codec, _ := transcode.Lookup("PCMA", 8000)
	s, err := newSound(codec, clip)
	if err != nil {
		t.Fatal(err)
	}
	said, err := resample.Convert(clip, transcode.Rate, findRate)
	if err != nil {
		t.Fatal(err)
	}
	const late, cut = 33 * time.Millisecond, 5 * frame20 / 20 // the far end begins its packets 5 ms later in the sound
	start := time.Now()
	var sent []time.Time
	var heard []packet
	var stream []byte
	for n := range 500 {
		sent = append(sent, start.Add(time.Duration(n)*period))
		stream = append(stream, s.at(n, true)...)
	}
	for n := 0; (n+1)*frame20+cut <= len(stream); n++ {
		if n%50 != 49 {
			heard = append(heard, packet{sent[n].Add(late + 5*time.Millisecond), uint32(1<<32 - 1000 + n*frame20), stream[n*frame20+cut:][:frame20]})
		}
	}
	h, err := listen(heard, codec)
	if err != nil {
		t.Fatal(err)
	}
	m := match{said: said, sent: sent, heard: h, from: start.Add(time.Second), to: start.Add(9 * time.Second)}
	m.find()
	if m.windows < 20 || m.missing > 0 {
		t.Fatalf("%d of %d windows not found", m.missing, m.windows)
	}
	if m.gaps == 0 || m.gaps > m.frames/10 {
		t.Errorf("%d gaps of %d frames; one packet in fifty is lost", m.gaps, m.frames)
	}
	slices.Sort(m.delays)
	if p50, p99 := of(m.delays, .5), of(m.delays, .99); (p50-late).Abs() > 300*time.Microsecond || (p99-late).Abs() > time.Millisecond {
		t.Errorf("found delays of %v, p99 %v; want %v", p50, p99, late)
	}
}

func TestBencode(t *testing.T) {
	got := bencode(map[string]any{"sdp": "v=0", "command": "offer", "codec": map[string]any{"mask": []string{"PCMA", "x"}}})
	if want := "d5:codecd4:maskl4:PCMA1:xee7:command5:offer3:sdp3:v=0e"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestQuantile(t *testing.T) {
	before := map[string]float64{`h_bucket{le="0.001"}`: 100, `h_bucket{le="0.01"}`: 100, `h_bucket{le="+Inf"}`: 100, "h_count": 100}
	after := map[string]float64{`h_bucket{le="0.001"}`: 100, `h_bucket{le="0.01"}`: 299, `h_bucket{le="+Inf"}`: 300, "h_count": 300}
	if got := quantile(before, after, "h", 0.99); got != 0.01 {
		t.Errorf("%v, want 0.01", got)
	}
	if got := quantile(after, after, "h", 0.99); got != 0 {
		t.Errorf("%v of nothing", got)
	}
}

func TestStages(t *testing.T) {
	got := parseStages("goos: linux\npkg: passerelle/media\nBenchmarkSend/clear_PCMA-2   \t  100\t  1500 ns/op\t  0 B/op\t  3 allocs/op\nPASS\n")
	if len(got) != 1 || got[0] != (stage{"media Send/clear PCMA", 1500, 3}) {
		t.Errorf("%+v", got)
	}
}

// TestLoss counts what is missing by sequence number, over the wrap and a new source.
func TestLoss(t *testing.T) {
	l := &load{}
	p := &phone{remote: &net.UDPAddr{Port: 1}}
	l.phones = []*phone{p}
	send := func(ssrc uint32, sequence uint16) {
		b := make([]byte, header+1)
		binary.BigEndian.PutUint16(b[2:], sequence)
		binary.BigEndian.PutUint32(b[8:], ssrc)
		p.count(b, nil)
	}
	for _, s := range []uint16{65533, 65534, 65535, 1, 0, 3} { // 2 is lost, 0 and 1 change places
		send(7, s)
	}
	for s := range uint16(10) {
		send(8, 500+s)
	}
	if received, expected := l.totals(); received != 16 || expected != 17 {
		t.Errorf("received %d of %d, want 16 of 17", received, expected)
	}
}

func TestShare(t *testing.T) {
	talks, n := share(0.3), 0
	for phone := range 100 {
		for ms := range 400 {
			if talks(phone, time.Duration(ms)*10*time.Millisecond) {
				n++
			}
		}
	}
	if n < 11_000 || n > 13_000 {
		t.Errorf("they talk %.1f%% of the time, want 30%%", float64(n)/400)
	}
}
