package media

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"passerelle/internal/egress"
	"passerelle/transcode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = netip.MustParseAddr("127.0.0.1")

// open makes a stream on a port that the system chooses.
func open(t testing.TB) *Stream {
	t.Helper()
	ports, err := NewPorts(egress.New(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ports.Open(t.Context(), loopback)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if n := ports.InUse(); n != 0 {
			t.Errorf("%d ports still in use", n)
		}
	})
	return s
}

func codec(t testing.TB, name string, rate int) transcode.Codec {
	t.Helper()
	c, ok := transcode.Lookup(name, rate)
	if !ok {
		t.Fatalf("no codec %s/%d", name, rate)
	}
	return c
}

// params talks clear PCMA with telephone-events to an address.
func params(t testing.TB, to netip.AddrPort) Params {
	c := codec(t, "PCMA", 8000)
	return Params{
		Codec: c, SendPT: c.PayloadType, Receive: map[uint8]transcode.Codec{c.PayloadType: c},
		EventPT: 101, EventRate: 8000, EventReceive: map[uint8]int{101: 8000},
		Remote: to, SendEnabled: true, ReceiveEnabled: true,
	}
}

func set(t testing.TB, s *Stream, p Params) {
	t.Helper()
	if err := s.Set(p); err != nil {
		t.Fatal(err)
	}
}

// got is a frame that was received.
type got struct {
	Frame
	payload []byte
}

// ear keeps what a stream hears.
type ear struct {
	mu     sync.Mutex
	frames []got
	digits []byte
}

func (e *ear) WriteFrame(f *Frame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.frames = append(e.frames, got{*f, bytes.Clone(f.Payload)})
}

func (e *ear) press(d byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.digits = append(e.digits, d)
}

func (e *ear) heard() []got {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.frames)
}

func (e *ear) keys() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(e.digits)
}

func listen(s *Stream) *ear {
	e := new(ear)
	s.SetSink(e)
	s.OnDigit(e.press)
	return e
}

// until polls a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// peer is a bare socket that plays the far end.
type peer struct {
	*net.UDPConn
	t  testing.TB
	to netip.AddrPort
}

func newPeer(t testing.TB, to netip.AddrPort) *peer {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &peer{c, t, to}
}

func (p *peer) addr() netip.AddrPort { return unmap(p.LocalAddr().(*net.UDPAddr).AddrPort()) }

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.WriteToUDPAddrPort(b, p.to); err != nil {
		p.t.Fatal(err)
	}
}

// receive reads one datagram.
func (p *peer) receive() []byte {
	p.t.Helper()
	b := make([]byte, maxPacket)
	p.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := p.Read(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return b[:n]
}

func TestPortsRange(t *testing.T) {
	// A range that the system does not hand out by itself, of which other programs may still hold some.
	ports, err := NewPorts(egress.New(), 10001, 10007)
	if err != nil {
		t.Fatal(err)
	}
	var open []*Stream
	for {
		s, err := ports.Open(t.Context(), loopback)
		if errors.Is(err, ErrNoPorts) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if p := s.LocalAddr().Port(); p%2 != 0 || p < 10002 || p > 10006 {
			t.Errorf("port %d is not an even one of the range", p)
		}
		open = append(open, s)
	}
	if len(open) > 3 || len(open) == 0 || ports.InUse() != len(open) {
		t.Fatalf("%d streams open of 3, %d in use", len(open), ports.InUse())
	}
	freed := open[0].LocalAddr()
	open[0].Close()
	open[0].Close()
	again, err := ports.Open(t.Context(), loopback)
	if err != nil {
		t.Fatal(err)
	}
	if again.LocalAddr() != freed {
		t.Errorf("%s, want %s, which was free", again.LocalAddr(), freed)
	}
	open[0] = again
	for _, s := range open {
		s.Close()
	}
	if ports.InUse() != 0 || len(ports.taken) != 0 {
		t.Errorf("%d in use after all were closed, %d taken", ports.InUse(), len(ports.taken))
	}
}

func TestPortsPassOverForeignOnes(t *testing.T) {
	taken, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.LocalAddr().(*net.UDPAddr).Port &^ 1
	ports, err := NewPorts(egress.New(), port, port+1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ports.Open(t.Context(), loopback); !errors.Is(err, ErrNoPorts) {
		t.Errorf("%v, want ErrNoPorts", err)
	}
	if len(ports.taken) != 0 || ports.InUse() != 0 {
		t.Error("a port that could not be bound stays taken")
	}
}

func TestPortsRefuseBadRanges(t *testing.T) {
	for _, r := range [][2]int{{10000, 10000}, {10001, 10002}, {70000, 70010}, {20000, 10000}, {80, 90}, {0, 100}} {
		if _, err := NewPorts(egress.New(), r[0], r[1]); err == nil {
			t.Errorf("%v was taken", r)
		}
	}
	ports, err := NewPorts(egress.New(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ports.Open(t.Context(), netip.MustParseAddr("192.0.2.1")); err == nil || errors.Is(err, ErrNoPorts) {
		t.Errorf("an address that is not ours: %v", err)
	}
}

func TestPacketTimes(t *testing.T) {
	for _, c := range []struct {
		name   string
		codec  string
		rate   int
		ptime  int
		frames int
		bytes  int   // in a 20 ms frame
		want   []int // payload lengths
		step   uint32
	}{
		{"PCMA 10", "PCMA", 8000, 10, 2, 160, []int{80, 80, 80, 80}, 80},
		{"PCMA 20", "PCMA", 8000, 20, 2, 160, []int{160, 160}, 160},
		{"PCMU 30", "PCMU", 8000, 30, 3, 160, []int{240, 240}, 240},
		{"G722 40", "G722", 8000, 40, 4, 160, []int{320, 320}, 320},
		{"PCMA 60", "PCMA", 8000, 60, 6, 160, []int{480, 480}, 480},
		{"L16 20", "L16", 16000, 20, 2, 640, []int{640, 640}, 320},
		{"L16 60, cut to what fits a packet", "L16", 16000, 60, 4, 640, []int{1280, 1280}, 640},
		{"opus", "opus", 48000, 60, 2, 33, []int{33, 33}, 960},
	} {
		s := open(t)
		far := newPeer(t, s.LocalAddr())
		p := params(t, far.addr())
		p.Codec, p.PTime = codec(t, c.codec, c.rate), time.Duration(c.ptime)*time.Millisecond
		set(t, s, p)
		var sent, received []byte
		for i := range c.frames {
			frame := bytes.Repeat([]byte{byte(i + 1)}, c.bytes)
			sent = append(sent, frame...)
			if err := s.WriteFrame(frame, p.Codec.ClockRate/50, i == 0); err != nil {
				t.Fatal(err)
			}
		}
		var last packet
		for i, want := range c.want {
			var pk packet
			if !pk.parse(copy(pk.buf[:], far.receive())) {
				t.Fatalf("%s: not RTP", c.name)
			}
			received = append(received, pk.payload...)
			if len(pk.payload) != want || pk.marker != (i == 0) {
				t.Errorf("%s, packet %d: %d bytes, marker %v", c.name, i, len(pk.payload), pk.marker)
			}
			if i > 0 && (pk.timestamp != last.timestamp+c.step || pk.sequence != last.sequence+1 || pk.ssrc != last.ssrc) {
				t.Errorf("%s, packet %d: sequence %d after %d, timestamp %d after %d", c.name, i, pk.sequence, last.sequence, pk.timestamp, last.timestamp)
			}
			last = pk
		}
		if !bytes.Equal(sent, received) {
			t.Errorf("%s: other bytes than were sent", c.name)
		}
	}
}

func TestWriteFrameRefusesWhatIsNone(t *testing.T) {
	s := open(t)
	if err := s.WriteFrame(make([]byte, 160), 160, true); err != nil {
		t.Errorf("before Set: %v", err)
	}
	set(t, s, params(t, netip.MustParseAddrPort("127.0.0.1:9")))
	for _, c := range []struct{ bytes, samples int }{{160, 0}, {160, -1}, {160, 80}, {9000, 9000}} {
		if err := s.WriteFrame(make([]byte, c.bytes), c.samples, false); !errors.Is(err, ErrFrame) {
			t.Errorf("%d bytes for %d samples: %v", c.bytes, c.samples, err)
		}
	}
	p := params(t, netip.MustParseAddrPort("127.0.0.1:9"))
	p.Codec = codec(t, "opus", 48000)
	set(t, s, p)
	if err := s.WriteFrame(make([]byte, 1500), 960, false); !errors.Is(err, ErrFrame) {
		t.Errorf("an Opus frame of 1500 bytes: %v", err)
	}
}

func TestSilenceMovesTheTimestamp(t *testing.T) {
	s := open(t)
	far := newPeer(t, s.LocalAddr())
	set(t, s, params(t, far.addr()))
	frame := make([]byte, 160)
	s.WriteFrame(frame, 160, true)
	for range 5 {
		s.WriteFrame(nil, 160, false)
	}
	s.WriteFrame(frame, 160, true)
	var a, b packet
	a.parse(copy(a.buf[:], far.receive()))
	b.parse(copy(b.buf[:], far.receive()))
	if b.timestamp-a.timestamp != 6*160 || b.sequence-a.sequence != 1 || !b.marker {
		t.Errorf("timestamp +%d, sequence +%d, marker %v; want 960, 1, true", b.timestamp-a.timestamp, b.sequence-a.sequence, b.marker)
	}
}

func TestCatchUpMovesByWholeFrames(t *testing.T) {
	c := codec(t, "PCMA", 8000)
	terms := &terms{Params: Params{Codec: c}}
	for _, x := range []struct {
		late   int // ms
		marker bool
		want   uint32
	}{
		{0, true, 0}, {15, true, 0}, {25, true, 160}, {510, true, 25 * 160}, {510, false, 0}, {3005, false, 150 * 160}, {-40, true, 0},
	} {
		o := sender{due: t0}
		o.catchUp(terms, 160, x.marker, ms(x.late))
		if o.timestamp != x.want {
			t.Errorf("%d ms late, marker %v: +%d, want +%d", x.late, x.marker, o.timestamp, x.want)
		}
		if o.due.After(ms(max(x.late, 0))) {
			t.Errorf("%d ms late: due in the future", x.late)
		}
	}
}

func TestHold(t *testing.T) {
	s := open(t)
	far := newPeer(t, s.LocalAddr())
	e := listen(s)
	p := params(t, far.addr())
	set(t, s, p)
	s.WriteFrame(make([]byte, 160), 160, true)
	first := far.receive()
	held := p
	held.SendEnabled, held.ReceiveEnabled = false, false
	set(t, s, held)
	for range 3 {
		s.WriteFrame(make([]byte, 160), 160, false)
	}
	far.send(raw(8, false, 1, 0, 5, 1))
	far.send(raw(101, true, 2, 0, 5, 3, 0x8a, 0, 160))
	until(t, "both are counted", func() bool { return s.Stats().PacketsReceived == 2 })
	if len(e.heard()) != 0 || e.keys() != "" {
		t.Error("heard while on hold")
	}
	if s.LastReceived().IsZero() {
		t.Error("nothing received")
	}
	set(t, s, p)
	s.WriteFrame(make([]byte, 160), 160, false)
	var a, b packet
	a.parse(copy(a.buf[:], first))
	b.parse(copy(b.buf[:], far.receive()))
	if b.sequence != a.sequence+1 || b.timestamp != a.timestamp+4*160 || b.ssrc != a.ssrc || !b.marker {
		t.Errorf("after hold: sequence +%d, timestamp +%d, marker %v", b.sequence-a.sequence, b.timestamp-a.timestamp, b.marker)
	}
}

func TestSetMovesToAnotherAddressAndCodec(t *testing.T) {
	s := open(t)
	one, two := newPeer(t, s.LocalAddr()), newPeer(t, s.LocalAddr())
	e := listen(s)
	set(t, s, params(t, one.addr()))
	s.WriteFrame(make([]byte, 160), 160, true)
	var a, b packet
	a.parse(copy(a.buf[:], one.receive()))
	one.send(raw(8, false, 1, 0, 5, 1))
	until(t, "the first is heard", func() bool { return len(e.heard()) == 1 })
	p := params(t, two.addr())
	p.Codec = codec(t, "opus", 48000)
	p.SendPT, p.Receive = 96, map[uint8]transcode.Codec{96: p.Codec}
	set(t, s, p)
	if !s.Codec().Is(p.Codec) {
		t.Errorf("codec %s", s.Codec().Name)
	}
	s.WriteFrame([]byte{1, 2, 3}, 960, false)
	b.parse(copy(b.buf[:], two.receive()))
	if b.pt != 96 || b.ssrc != a.ssrc || b.sequence != a.sequence+1 {
		t.Errorf("payload type %d, sequence +%d", b.pt, b.sequence-a.sequence)
	}
	two.send(raw(96, false, 900, 0, 6, 7))
	until(t, "the second is heard at once", func() bool { return len(e.heard()) == 2 })
	if f := e.heard()[1]; f.Codec.Name != "opus" || !bytes.Equal(f.payload, []byte{7}) {
		t.Errorf("%s %v", f.Codec.Name, f.payload)
	}
	one.send(raw(8, false, 2, 0, 5, 1))
	until(t, "the first is foreign now", func() bool { return s.Stats().Foreign == 1 })
}

func TestSetRefuses(t *testing.T) {
	s := open(t)
	good := params(t, netip.MustParseAddrPort("127.0.0.1:9"))
	for name, change := range map[string]func(*Params){
		"no codec":            func(p *Params) { p.Codec = transcode.Codec{} },
		"packet time":         func(p *Params) { p.PTime = time.Second },
		"payload type":        func(p *Params) { p.SendPT = 128 },
		"receive type":        func(p *Params) { p.Receive = map[uint8]transcode.Codec{200: p.Codec} },
		"event rate":          func(p *Params) { p.EventReceive = map[uint8]int{101: 0} },
		"unknown profile":     func(p *Params) { p.Protection.SDES = &SDES{Profile: "NULL"} },
		"short key":           func(p *Params) { p.Protection.SDES = &SDES{Profile: Profiles()[0], LocalKey: []byte{1}} },
		"bad fingerprint":     func(p *Params) { p.Protection.DTLS = &DTLS{Fingerprint: "sha-256 AA"} },
		"both SDES and DTLS":  func(p *Params) { p.Protection = Protection{new(SDES), new(DTLS)} },
		"negative MKI length": func(p *Params) { p.Protection.SDES = sdes(Profiles()[0], 1, 2); p.Protection.SDES.RemoteMKI = -1 },
	} {
		p := good
		change(&p)
		if err := s.Set(p); !errors.Is(err, ErrParams) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, address := range []string{"192.0.2.1:4000", "[2001:db8::1]:4000", "[::ffff:192.0.2.1]:4000"} {
		p := good
		p.Remote = netip.MustParseAddrPort(address)
		if err := s.Set(p); !errors.Is(err, egress.ErrDenied) {
			t.Errorf("%s: %v", address, err)
		}
		p = good
		p.RemoteRTCP = netip.MustParseAddrPort(address)
		if err := s.Set(p); !errors.Is(err, egress.ErrDenied) {
			t.Errorf("RTCP %s: %v", address, err)
		}
	}
	s.Close()
	if err := s.Set(good); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestSymmetricLatchResistsHijack(t *testing.T) {
	s := open(t)
	behindNAT, thief := newPeer(t, s.LocalAddr()), newPeer(t, s.LocalAddr())
	e := listen(s)
	p := params(t, netip.MustParseAddrPort("127.0.0.1:9"))
	p.Symmetric = true
	set(t, s, p)
	behindNAT.send(raw(8, false, 1, 0, 5, 1))
	until(t, "it is heard", func() bool { return len(e.heard()) == 1 })
	s.WriteFrame(make([]byte, 160), 160, true)
	behindNAT.receive()
	for i := range 10 {
		thief.send(raw(8, false, uint16(2+i), 0, 5, 66))
	}
	until(t, "the thief is counted", func() bool { return s.Stats().Foreign == 10 })
	s.WriteFrame(make([]byte, 160), 160, false)
	behindNAT.receive()
	if len(e.heard()) != 1 {
		t.Error("the thief was heard")
	}
	// A re-negotiation that changes nothing about the address keeps what was learnt.
	p.PTime = 40 * time.Millisecond
	set(t, s, p)
	s.WriteFrame(make([]byte, 320), 320, false)
	behindNAT.receive()
}

func TestAgreedAddressTakesOver(t *testing.T) {
	s := open(t)
	agreed, early := newPeer(t, s.LocalAddr()), newPeer(t, s.LocalAddr())
	e := listen(s)
	p := params(t, agreed.addr())
	p.Symmetric = true
	set(t, s, p)
	early.send(raw(8, false, 1, 0, 66, 66))
	until(t, "the early one is heard", func() bool { return len(e.heard()) == 1 })
	agreed.send(raw(8, false, 1, 0, 5, 1))
	until(t, "the agreed one is heard", func() bool { return len(e.heard()) == 2 })
	early.send(raw(8, false, 2, 0, 66, 66))
	until(t, "the early one is foreign", func() bool { return s.Stats().Foreign == 1 })
	s.WriteFrame(make([]byte, 160), 160, true)
	agreed.receive()
}

func TestRefusedSourceIsNotLearnt(t *testing.T) {
	s := open(t)
	far := newPeer(t, s.LocalAddr())
	p := params(t, netip.AddrPort{})
	p.Symmetric = true
	p.Pass = egress.Only().Pass("a")
	set(t, s, p)
	far.send(raw(8, false, 1, 0, 5, 1))
	until(t, "it is counted", func() bool { return s.Stats().Foreign == 1 })
	s.WriteFrame(make([]byte, 160), 160, true)
	if st := s.Stats(); st.PacketsSent != 0 || st.PacketsReceived != 0 {
		t.Errorf("sent %d, received %d", st.PacketsSent, st.PacketsReceived)
	}
}

// TestPass: a destination that one call was granted is refused to another, and where a pass is missing only national networks are permitted.
func TestPass(t *testing.T) {
	guard := egress.Only(netip.MustParsePrefix("127.0.0.1/32"))
	ports, err := NewPorts(guard, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := params(t, netip.MustParseAddrPort("127.0.0.2:9"))
	for name, c := range map[string]struct {
		pass    *egress.Pass
		refused bool
	}{
		"granted":            {guard.Pass("a", netip.MustParsePrefix("127.0.0.2/32")), false},
		"granted to another": {guard.Pass("b", netip.MustParsePrefix("127.0.0.3/32")), true},
		"no pass":            {nil, true},
	} {
		s, err := ports.Open(t.Context(), loopback)
		if err != nil {
			t.Fatal(err)
		}
		p.Pass = c.pass
		if err := s.Set(p); errors.Is(err, egress.ErrDenied) != c.refused || err != nil && !c.refused {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
	}
	if guard.DeniedFor(egress.RTP) != 2 {
		t.Errorf("%d refusals of media, want 2", guard.DeniedFor(egress.RTP))
	}
}

func TestComfortNoiseAndUnknownTypesAreNotAudio(t *testing.T) {
	s := open(t)
	far := newPeer(t, s.LocalAddr())
	e := listen(s)
	set(t, s, params(t, far.addr()))
	far.send(raw(8, true, 1, 0, 5, 1))
	far.send(raw(13, false, 2, 160, 5, 60))
	far.send(raw(77, false, 3, 160, 5, 60))
	far.send(raw(8, true, 3, 1600, 5, 2))
	until(t, "both are heard", func() bool { return len(e.heard()) == 2 })
	if f := e.heard()[1]; !bytes.Equal(f.payload, []byte{2}) || f.Timestamp != 1600 || !f.Marker {
		t.Errorf("%+v", f)
	}
	if st := s.Stats(); st.Invalid != 1 || st.Lost != 0 || st.PacketsReceived != 3 {
		t.Errorf("%+v", st)
	}
}

// A lossy, reordering and duplicating network, the same every time: what comes out is in order, once, with its own timestamps.
func TestBadNetwork(t *testing.T) {
	s := open(t)
	far := newPeer(t, s.LocalAddr())
	e := listen(s)
	set(t, s, params(t, far.addr()))
	const count = 120
	var arrive []int
	for i := range count {
		switch {
		case i%17 == 5: // lost
		case i%23 == 7: // twice
			arrive = append(arrive, i, i)
		case i%11 == 3 && i+1 < count && (i+1)%17 != 5 && (i+1)%23 != 7: // one place late
			arrive = append(arrive, i)
		default:
			arrive = append(arrive, i)
		}
		if n := len(arrive); i%11 == 4 && n >= 2 && arrive[n-2] == i-1 {
			arrive[n-1], arrive[n-2] = arrive[n-2], arrive[n-1]
		}
	}
	for _, i := range arrive {
		far.send(raw(8, false, uint16(65500+i), uint32(0xfffff000+160*i), 5, byte(i)))
	}
	until(t, "all have come", func() bool { return s.Stats().PacketsReceived == uint64(len(arrive)) })
	until(t, "the last is heard", func() bool {
		f := e.heard()
		return len(f) > 0 && f[len(f)-1].payload[0] == byte(count-1)
	})
	frames := e.heard()
	for i, f := range frames {
		n := f.payload[0]
		if f.Timestamp != uint32(0xfffff000+160*int(n)) || f.Sequence != uint16(65500+int(n)) {
			t.Fatalf("packet %d has timestamp %d, sequence %d", n, f.Timestamp, f.Sequence)
		}
		if i > 0 && n <= frames[i-1].payload[0] {
			t.Fatalf("%d after %d", n, frames[i-1].payload[0])
		}
	}
	st := s.Stats()
	if uint64(len(frames))+st.Duplicate+st.Late != st.PacketsReceived || st.Duplicate == 0 || st.Lost == 0 {
		t.Errorf("%d heard, %+v", len(frames), st)
	}
}

// Nothing comes after the packet that waits: the stream itself wakes up.
func TestWaitingPacketIsDeliveredInTime(t *testing.T) {
	s := open(t)
	far := newPeer(t, s.LocalAddr())
	e := listen(s)
	set(t, s, params(t, far.addr()))
	far.send(raw(8, false, 1, 0, 5, 1))
	far.send(raw(8, false, 3, 320, 5, 3))
	until(t, "both are heard", func() bool { return len(e.heard()) == 2 })
	if f := e.heard()[1]; time.Since(f.Arrival) < orderWait || s.Stats().Lost != 1 {
		t.Errorf("waited %s, %d lost", time.Since(f.Arrival), s.Stats().Lost)
	}
}

// A press over a re-negotiation is one press.
func TestDigitOverSet(t *testing.T) {
	s := open(t)
	one, two := newPeer(t, s.LocalAddr()), newPeer(t, s.LocalAddr())
	e := listen(s)
	set(t, s, params(t, one.addr()))
	one.send(raw(101, true, 1, 800, 5, 4, 0x0a, 0, 160))
	until(t, "it is heard", func() bool { return e.keys() == "4" })
	set(t, s, params(t, two.addr()))
	two.send(raw(101, false, 2, 800, 5, 4, 0x8a, 3, 32))
	two.send(raw(101, true, 3, 4000, 5, 6, 0x8a, 3, 32))
	until(t, "the next is heard", func() bool { return len(e.keys()) > 1 })
	if e.keys() != "46" {
		t.Errorf("%q", e.keys())
	}
}

func TestIPv6(t *testing.T) {
	six := netip.IPv6Loopback()
	if c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback}); err != nil {
		t.Skip("this machine has no IPv6")
	} else {
		c.Close()
	}
	ports, err := NewPorts(egress.New(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ports.Open(t.Context(), six)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	both, err := ports.Open(t.Context(), netip.IPv6Unspecified())
	if err != nil {
		t.Fatal(err)
	}
	defer both.Close()
	four := open(t)
	e := listen(both)
	set(t, a, params(t, netip.AddrPortFrom(six, both.LocalAddr().Port())))
	set(t, both, params(t, a.LocalAddr()))
	a.WriteFrame(make([]byte, 160), 160, true)
	until(t, "heard over IPv6", func() bool { return len(e.heard()) == 1 })
	ef := listen(four)
	set(t, both, params(t, four.LocalAddr()))
	set(t, four, params(t, netip.AddrPortFrom(loopback, both.LocalAddr().Port())))
	both.WriteFrame(make([]byte, 160), 160, true)
	four.WriteFrame(make([]byte, 160), 160, true)
	until(t, "both ways over IPv4 on the same kind of socket", func() bool { return len(e.heard()) == 2 && len(ef.heard()) == 1 })
}

func TestGarbageAndFlood(t *testing.T) {
	s := open(t)
	far := newPeer(t, s.LocalAddr())
	e := listen(s)
	set(t, s, params(t, far.addr()))
	garbage := [][]byte{{}, {0x80}, bytes.Repeat([]byte{0xff}, 1400), append([]byte{22}, make([]byte, 50)...), raw(8, false, 1, 2, 3)[:11], {0x80, 200, 0, 1, 0, 0, 0, 1}}
	for _, b := range garbage {
		far.send(b)
	}
	until(t, "garbage is counted", func() bool { return s.Stats().Invalid == uint64(len(garbage)) })
	if !s.LastReceived().IsZero() {
		t.Error("garbage counts as life")
	}
	sent := uint16(0)
	start := time.Now()
	until(t, "the flood is cut", func() bool {
		for range 50 {
			far.send(raw(8, false, sent, uint32(sent)*160, 5, 1))
			sent++
		}
		return s.Stats().Flooded > 100
	})
	if n, most := len(e.heard()), 201+int(200*time.Since(start).Seconds()); n < 150 || n > most {
		t.Errorf("%d were heard of a flood, at most %d should", n, most)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	s := open(t)
	far := newPeer(t, s.LocalAddr())
	set(t, s, params(t, far.addr()))
	done := make(chan error)
	go func() { done <- s.SendDigit(context.Background(), '5', time.Second) }()
	far.receive()
	s.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a digit on its way: %v", err)
	}
	if err := s.SendDigit(t.Context(), '5', time.Second); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a digit afterwards: %v", err)
	}
	if err := s.WriteFrame(make([]byte, 160), 160, true); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a frame afterwards: %v", err)
	}
}
