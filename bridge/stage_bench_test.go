package bridge

import (
	"log/slog"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// crowd is many places that watch one speaker.
type crowd struct {
	stage  *stage
	video  *fakeVideo
	camera *fakeCamera
	sent   atomic.Int64 // packets that came out
	places []*place
}

// countScreen counts, and does what a leg does with a packet.
type countScreen struct {
	fakeScreen
	crowd *crowd
	write func(*VideoPacket)
}

func (c *countScreen) WriteVideo(_ int, p *VideoPacket) {
	if c.write != nil {
		c.write(p)
	}
	c.crowd.sent.Add(1)
}

// newCrowd makes n places. write makes what each of them does with a packet; nil: nothing.
func newCrowd(tb testing.TB, n int, write func() func(*VideoPacket)) *crowd {
	tb.Helper()
	c := &crowd{video: newFakeVideo(), camera: newFakeCamera(65000, 0, 0, 0)}
	c.stage = newStage(slog.New(slog.DiscardHandler), c.video, nil)
	c.stage.arrive(Participant{SID: "PA_ann", Identity: "ann", Tracks: []TrackInfo{cameraOf("ann")}})
	for range n {
		s := &countScreen{fakeScreen: fakeScreen{codecs: []VideoCodec{vp8}}, crowd: c}
		if write != nil {
			s.write = write()
		}
		pl := c.stage.enter(tb.Context(), s, newFakeVideo(), Participant{Identity: "x"}, seesAll, slog.New(slog.DiscardHandler))
		pl.View(View{Tiles: []Tile{{Height: 720}}})
		c.places = append(c.places, pl)
	}
	c.stage.update(tb.Context(), time.Now())
	tb.Cleanup(func() {
		for _, pl := range c.places {
			pl.leave()
		}
	})
	c.send(true)
	return c
}

// send sends one packet and waits until it has come out everywhere.
func (c *crowd) send(key bool) {
	want := c.sent.Load() + int64(len(c.places))
	c.video.send("camera-ann", c.camera.next(key))
	for c.sent.Load() < want {
		runtime.Gosched()
	}
}

// TestAllocs: nothing is allocated for a packet, on its way to many places or from one.
func TestStageAllocs(t *testing.T) {
	c := newCrowd(t, 10, nil)
	if n := testing.AllocsPerRun(1000, func() { c.send(false) }); n != 0 {
		t.Errorf("%v allocations for a packet to 10 places", n)
	}
	// With picture ids to be changed, as after a switch.
	c.places[0].tiles[0].number.count = counters{1, 1, 1}
	if n := testing.AllocsPerRun(1000, func() { c.send(false) }); n != 0 {
		t.Errorf("%v allocations for a packet with other picture ids", n)
	}
	pl := c.places[0]
	pl.permit(Participant{CanShow: true})
	if err := pl.Start(Camera, vp8, []Layer{{}}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); pl.sends[Camera].out.Load() == nil; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("not published")
		}
	}
	packet := c.camera.next(false)
	if n := testing.AllocsPerRun(1000, func() { pl.WriteVideo(Camera, 0, packet) }); n != 0 {
		t.Errorf("%v allocations for a packet from a leg", n)
	}
}

// speakerRate is how many packets a second a picture of 1 Mbit/s has.
const speakerRate = 1_000_000 / 8 / 1000

// BenchmarkFanOut is one packet of a speaker to 100 who watch, without the network. "cores" is what it takes at 1 Mbit/s.
func BenchmarkFanOut(b *testing.B) {
	c := newCrowd(b, 100, nil)
	measure(b, c)
}

// BenchmarkFanOutUDP is the same with what a leg does with it: SRTP and a UDP socket.
func BenchmarkFanOutUDP(b *testing.B) {
	sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	out, err := net.DialUDP("udp4", nil, sink.LocalAddr().(*net.UDPAddr))
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	key := make([]byte, 30)
	c := newCrowd(b, 100, func() func(*VideoPacket) {
		cipher, err := srtp.CreateContext(key[:16], key[16:], srtp.ProtectionProfileAes128CmHmacSha1_80)
		if err != nil {
			b.Fatal(err)
		}
		var header rtp.Header
		plain, secret := make([]byte, 0, 2000), make([]byte, 0, 2000)
		return func(p *VideoPacket) {
			header = rtp.Header{Version: 2, SequenceNumber: p.Sequence, Timestamp: p.Timestamp, Marker: p.Marker, PayloadType: 96}
			n, _ := header.MarshalTo(plain[:2000])
			plain = append(plain[:n], p.Payload...)
			if s, err := cipher.EncryptRTP(secret[:0], plain, &header); err == nil {
				_, _ = out.Write(s)
			}
		}
	})
	measure(b, c)
}

func measure(b *testing.B, c *crowd) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	for range b.N {
		c.send(false)
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)*speakerRate/1e9, "cores")
}

// cpuTime is the processor time that this process has used.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
