package media

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"passerelle/internal/egress"
)

func TestReportsToAPlainPeer(t *testing.T) {
	s := open(t)
	far, farRTCP := newPeer(t, s.LocalAddr()), newPeer(t, s.LocalAddr())
	p := params(t, far.addr())
	p.RemoteRTCP = farRTCP.addr()
	set(t, s, p)
	s.report(time.Now(), false)
	list := read(t, farRTCP.receive())
	if rr, ok := list[0].(*rtcp.ReceiverReport); !ok || len(rr.Reports) != 0 {
		t.Errorf("before anything was sent or heard: %v", list[0])
	}
	s.WriteFrame(make([]byte, 160), 160, true)
	far.receive()
	for _, seq := range []uint16{10, 11, 14} {
		far.send(raw(8, false, seq, uint32(seq)*160, 5, 1))
	}
	until(t, "they are heard", func() bool { return s.Stats().PacketsReceived == 3 })
	s.report(time.Now(), false)
	list = read(t, farRTCP.receive())
	sr, ok := list[0].(*rtcp.SenderReport)
	if !ok {
		t.Fatalf("%T", list[0])
	}
	if sr.SSRC != s.out.ssrc || sr.PacketCount != 1 || sr.OctetCount != 160 || len(sr.Reports) != 1 {
		t.Errorf("%+v", sr)
	}
	if r := sr.Reports[0]; r.SSRC != 5 || r.TotalLost != 2 || r.FractionLost != 2*256/5 || r.LastSequenceNumber != 14 || r.LastSenderReport != 0 {
		t.Errorf("%+v", r)
	}
	sdes, ok := list[1].(*rtcp.SourceDescription)
	if !ok || len(sdes.Chunks) != 1 || len(sdes.Chunks[0].Items) != 1 || len(sdes.Chunks[0].Items[0].Text) != 16 {
		t.Errorf("%v", list[1])
	}
	s.Close()
	list = read(t, farRTCP.receive())
	if bye, ok := list[len(list)-1].(*rtcp.Goodbye); !ok || bye.Sources[0] != s.out.ssrc {
		t.Errorf("ends with %v", list[len(list)-1])
	}
}

func read(t *testing.T, b []byte) []rtcp.Packet {
	t.Helper()
	list, err := rtcp.Unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestFarReports(t *testing.T) {
	now := time.Unix(1_700_000_000, 250_000_000)
	for _, c := range []struct {
		name string
		b    rtcp.ReceptionReport
		lost uint32
		trip time.Duration
	}{
		{"no sender report yet", rtcp.ReceptionReport{SSRC: 1, TotalLost: 3, Jitter: 80}, 3, 0},
		{"half a second, of which the far end held 200 ms", rtcp.ReceptionReport{SSRC: 1, LastSenderReport: middle(ntp(now)) - 1<<15, Delay: 1 << 16 / 5, Jitter: 80}, 0, 300 * time.Millisecond},
		{"from the future", rtcp.ReceptionReport{SSRC: 1, LastSenderReport: middle(ntp(now)) + 1<<16, Jitter: 80}, 0, 0},
		{"negative loss", rtcp.ReceptionReport{SSRC: 1, TotalLost: 1<<24 - 1, Jitter: 80}, 0, 0},
	} {
		var r reports
		other := c.b
		other.SSRC, other.TotalLost, other.Jitter = 2, 99, 99
		r.judge([]rtcp.ReceptionReport{c.b, other}, 1, 8000, now)
		if off := (r.roundTrip - c.trip).Abs(); r.farLost != c.lost || r.farJitter != 10*time.Millisecond || off > time.Millisecond {
			t.Errorf("%s: lost %d, jitter %s, round trip %s", c.name, r.farLost, r.farJitter, r.roundTrip)
		}
	}
}

func TestNTP(t *testing.T) {
	if got := ntp(time.Unix(0, 500_000_000)); got != 2208988800<<32|1<<31 {
		t.Errorf("%x", got)
	}
}

func TestRTCPFromStrangersAndGarbage(t *testing.T) {
	s := open(t)
	far, farRTCP := newPeer(t, s.LocalAddr()), newPeer(t, netip.AddrPortFrom(loopback, s.LocalAddr().Port()+1))
	p := params(t, far.addr())
	p.RemoteRTCP = farRTCP.addr()
	set(t, s, p)
	rr := []byte{0x80, 201, 0, 1, 0, 0, 0, 5}
	newPeer(t, farRTCP.to).send(rr)
	until(t, "the stranger is counted", func() bool { return s.Stats().Foreign == 1 })
	for _, b := range [][]byte{{0x80, 201, 0xff, 0xff, 0, 0, 0, 5}, {0x9f, 201, 0, 1, 0, 0, 0, 5}, {1, 2, 3}, append([]byte{0x81, 202}, bytes.Repeat([]byte{0xff}, 50)...)} {
		farRTCP.send(b)
	}
	until(t, "garbage is counted", func() bool { return s.Stats().Invalid == 4 })
	if !s.LastReceived().IsZero() {
		t.Error("garbage counts as life")
	}
	farRTCP.send(rr)
	until(t, "a good one is life", func() bool { return !s.LastReceived().IsZero() })
	for range 100 {
		farRTCP.send(rr)
	}
	until(t, "a flood is cut", func() bool { return s.Stats().Flooded > 0 })
}

func TestReportsByItself(t *testing.T) {
	ports, err := NewPorts(egress.New(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	ports.every = 20 * time.Millisecond
	s, err := ports.Open(t.Context(), loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	far := newPeer(t, s.LocalAddr())
	p := params(t, far.addr())
	p.RTCPMux = true
	set(t, s, p)
	for range 3 {
		if list := read(t, far.receive()); len(list) != 2 {
			t.Errorf("%v", list)
		}
	}
}

func TestReportInterval(t *testing.T) {
	s := Stream{ports: &Ports{every: reportEvery}}
	for _, x := range []float64{0, 0.5, 0.999} {
		s.reports.random = func() float64 { return x }
		if d := s.interval(); d < reportEvery/2 || d > reportEvery*3/2 {
			t.Errorf("%s", d)
		}
	}
}

func FuzzRTCP(f *testing.F) {
	seed, _ := rtcp.Marshal([]rtcp.Packet{
		&rtcp.SenderReport{SSRC: 5, Reports: []rtcp.ReceptionReport{{SSRC: 1, LastSenderReport: 7}}},
		rtcp.NewCNAMESourceDescription(5, "x"), &rtcp.Goodbye{Sources: []uint32{5}},
	})
	f.Add(seed)
	f.Add([]byte{0x80, 201, 0, 1, 0, 0, 0, 5})
	s := open(f)
	set(f, s, params(f, s.LocalAddr()))
	s.out.ssrc = 1
	t := s.terms.Load()
	f.Fuzz(func(_ *testing.T, b []byte) {
		s.reports.mu.Lock()
		s.reports.rate = bucket{}
		s.reports.mu.Unlock()
		s.receiveRTCP(t, bytes.Clone(b), t.RemoteRTCP, t0)
		if st := s.Stats(); st.RoundTrip < 0 || st.RoundTrip > 30*time.Second {
			panic(st.RoundTrip)
		}
	})
}

// FuzzDatagram throws datagrams at a stream's whole way in, clear and encrypted.
func FuzzDatagram(f *testing.F) {
	f.Add([]byte{0x80, 8, 0, 1, 0, 0, 0, 1, 0, 0, 0, 5, 1, 2, 3})
	f.Add(raw(101, true, 9, 1, 5, 5, 0x8a, 0, 160))
	f.Add([]byte{0x80, 200, 0, 1, 0, 0, 0, 5})
	f.Add([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4})
	clear, secure := open(f), open(f)
	set(f, clear, params(f, clear.LocalAddr()))
	p := params(f, secure.LocalAddr())
	p.RTCPMux = true
	p.Protection.SDES = sdes("AEAD_AES_128_GCM", 1, 2)
	p.Protection.SDES.RemoteMKI = 3
	set(f, secure, p)
	e := listen(clear)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range []*Stream{clear, secure} {
			p := new(packet)
			now := time.Now()
			s.in.mu.Lock()
			s.in.rate = bucket{}
			s.in.mu.Unlock()
			s.receive(p, copy(p.buf[:], b), s.LocalAddr(), now)
		}
		if len(e.heard()) > 1<<16 {
			e.mu.Lock()
			e.frames = nil
			e.mu.Unlock()
		}
		if n := secure.Stats().PacketsReceived; n != 0 {
			t.Errorf("%d forged packets were taken", n)
		}
	})
}
