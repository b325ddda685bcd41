package webrtc

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/interceptor"
	pion "github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"passerelle/internal/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openPort(t testing.TB, guard *egress.Guard) *Port {
	t.Helper()
	p, err := OpenPort(t.Context(), guard, "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func newPeer(t testing.TB, p *Port) *Peer {
	t.Helper()
	m := new(pion.MediaEngine)
	if err := m.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	peer, err := p.NewPeer(m, new(interceptor.Registry))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	return peer
}

func admit(t *testing.T, p *Peer, address string) error {
	t.Helper()
	ok, err := p.admit(netip.MustParseAddrPort(address))
	if !ok {
		t.Fatalf("%s was not admitted", address)
	}
	return err
}

// TestSharing: one socket serves all peers of a far end that has a port for each, and a far end with one port for all is noticed.
func TestSharing(t *testing.T) {
	t.Run("a port for each", func(t *testing.T) {
		port := openPort(t, egress.New())
		for i, far := range []string{"10.0.0.1:1001", "10.0.0.1:1002", "10.0.0.1:1003", "10.0.0.1:1004"} {
			if err := admit(t, newPeer(t, port), far); err != nil {
				t.Errorf("peer %d: %v", i, err)
			}
		}
		if n := port.Sockets(); n != 2 { // the second was needed before anything was known
			t.Errorf("%d sockets", n)
		}
	})
	t.Run("one port for all", func(t *testing.T) {
		port := openPort(t, egress.New())
		var peers []*Peer
		for i := range 4 {
			p := newPeer(t, port)
			if err := admit(t, p, "10.0.0.1:7882"); err != nil {
				t.Errorf("peer %d: %v", i, err)
			}
			peers = append(peers, p)
		}
		if n := port.Sockets(); n != 4 {
			t.Errorf("%d sockets", n)
		}
		for _, p := range peers {
			_ = p.Close()
		}
		if n := port.Sockets(); n != 1 {
			t.Errorf("%d sockets are left", n)
		}
	})
	t.Run("a wrong guess", func(t *testing.T) {
		port := openPort(t, egress.New())
		for _, far := range []string{"10.0.0.1:1001", "10.0.0.1:1002"} {
			if err := admit(t, newPeer(t, port), far); err != nil {
				t.Error(err)
			}
		}
		if err := admit(t, newPeer(t, port), "10.0.0.1:1001"); !errors.Is(err, ErrPortTaken) {
			t.Errorf("error %v", err)
		}
		if err := admit(t, newPeer(t, port), "10.0.0.1:1001"); err != nil {
			t.Errorf("the next has no port of its own: %v", err)
		}
	})
}

// TestConnect: two peers on two ports connect, and nothing is left of them.
func TestConnect(t *testing.T) {
	a, b := newPeer(t, openPort(t, egress.New())), newPeer(t, openPort(t, egress.New()))
	up := make(chan struct{})
	a.OnConnectionStateChange(func(s pion.PeerConnectionState) {
		if s == pion.PeerConnectionStateConnected {
			close(up)
		}
	})
	if _, err := a.AddTransceiverFromKind(pion.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	offer, err := a.Offer(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(offer) {
		if c, ok := parseCandidate(strings.TrimSpace(line)); strings.HasPrefix(line, "a=candidate") && (!ok || !c.Addr().IsLoopback()) {
			t.Errorf("we tell %q", line)
		}
	}
	answer, err := b.Answer(t.Context(), offer)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Accept(answer); err != nil {
		t.Fatal(err)
	}
	select {
	case <-up:
	case <-time.After(20 * time.Second):
		t.Fatal("not connected")
	}
}

// TestGuard: addresses that the guard refuses get neither a place among the candidates nor a packet, and are counted.
func TestGuard(t *testing.T) {
	guard := egress.New()
	port := openPort(t, guard)
	p := newPeer(t, port)
	if err := p.AddCandidate(`{"candidate":"candidate:1 1 udp 1 192.0.2.1 1000 typ host","sdpMid":"0"}`); err != nil {
		t.Error(err)
	}
	if len(p.early) != 0 || guard.Denied() != 1 {
		t.Errorf("%d candidates kept, %d denied", len(p.early), guard.Denied())
	}
	c, err := guard.ListenUDP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := newSocket(c, guard.Pass(""), nil)
	if _, err := s.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}); !errors.Is(err, egress.ErrDenied) {
		t.Errorf("write: %v", err)
	}
	if _, err := s.WriteToAddrPort([]byte("x"), c.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
		t.Errorf("write: %v", err)
	}
	if _, err := s.WriteTo([]byte("x"), &net.TCPAddr{}); err == nil {
		t.Error("wrote to a TCP address")
	}
}

// TestPass: what one peer connection may reach, no other one of the same port does; after it nobody does. Asking for each packet costs no memory.
func TestPass(t *testing.T) {
	guard := egress.Only(netip.MustParsePrefix("127.0.0.1/32"))
	port := openPort(t, guard)
	newFor := func(pass *egress.Pass) *Peer {
		m := new(pion.MediaEngine)
		if err := m.RegisterDefaultCodecs(); err != nil {
			t.Fatal(err)
		}
		p, err := port.NewPeerFor(pass, m, new(interceptor.Registry))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		return p
	}
	foreign := netip.MustParseAddr("127.0.0.2")
	guest, other := newFor(guard.Pass("guest", netip.PrefixFrom(foreign, 32))), newPeer(t, port)
	s := guest.lane.socket
	if s.permits(foreign) {
		t.Error("permitted before anybody is there")
	}
	if ok, err := other.admit(netip.AddrPortFrom(foreign, 1000)); ok || err != nil {
		t.Errorf("another peer connection may go there: %v", err)
	}
	if err := admit(t, guest, "127.0.0.2:1000"); err != nil {
		t.Error(err)
	}
	if !guest.reaches(foreign) || !guest.reaches(netip.MustParseAddr("::ffff:127.0.0.2").Unmap()) || guest.reaches(netip.MustParseAddr("127.0.0.3")) {
		t.Error("the pass is not what the peer connection reaches")
	}
	for _, a := range []string{"127.0.0.1", "127.0.0.2", "::ffff:127.0.0.2", "127.0.0.3"} {
		a, want := netip.MustParseAddr(a), a != "127.0.0.3"
		if n := testing.AllocsPerRun(100, func() {
			if s.permits(a) != want {
				t.Errorf("%s: permitted %v, want %v", a, !want, want)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", a, n)
		}
	}
	_ = guest.Close()
	if s.permits(foreign) || guest.reaches(foreign) {
		t.Error("permitted after the last peer connection that was")
	}
	if guard.DeniedFor(egress.ICE) == 0 || guard.Denied() != guard.DeniedFor(egress.ICE) {
		t.Errorf("%d refusals, %d of them for ICE", guard.Denied(), guard.DeniedFor(egress.ICE))
	}
}

func candidates() map[string]string {
	return map[string]string{
		"candidate:1 1 udp 2130706431 10.0.0.1 1000 typ host":                      "10.0.0.1:1000",
		"a=candidate:1 1 UDP 2130706431 10.0.0.1 1000 typ host generation 0":       "10.0.0.1:1000",
		"candidate:1 1 udp 1 ::ffff:10.0.0.1 1000 typ srflx raddr 0.0.0.0 rport 0": "10.0.0.1:1000",
		"candidate:1 1 udp 1 fd00::1 65535 typ host":                               "[fd00::1]:65535",
		"candidate:1 1 tcp 1 10.0.0.1 1000 typ host tcptype passive":               "",
		"candidate:1 1 udp 1 fe80::1%eth0 1000 typ host":                           "",
		"candidate:1 1 udp 1 0f3a.local 1000 typ host":                             "",
		"candidate:1 1 udp 1 stun.example.org 1000 typ host":                       "",
		"candidate:1 1 udp 1 10.0.0.1 0 typ host":                                  "",
		"candidate:1 1 udp 1 10.0.0.1 65536 typ host":                              "",
		"candidate:1 1 udp 1 10.0.0.1 1000":                                        "",
		"candidate:":                                                               "",
		"":                                                                         "",
	}
}

func TestParseCandidate(t *testing.T) {
	for in, want := range candidates() {
		a, ok := parseCandidate(in)
		if ok != (want != "") || ok && a.String() != want {
			t.Errorf("%q: %v %v, want %q", in, a, ok, want)
		}
	}
}

func FuzzFilterCandidates(f *testing.F) {
	for c := range candidates() {
		f.Add("v=0\r\na=" + strings.TrimPrefix(c, "a=") + "\r\nm=audio 9 RTP/AVP 0\r\n")
	}
	permitted := netip.MustParsePrefix("10.0.0.0/8")
	f.Fuzz(func(t *testing.T, sdp string) {
		keep := func(a netip.AddrPort) bool { return permitted.Contains(a.Addr()) }
		once := filterCandidates(sdp, keep)
		for line := range strings.Lines(once) {
			if !strings.HasPrefix(line, "a=candidate:") {
				continue
			}
			if a, ok := parseCandidate(line); !ok || !keep(a) {
				t.Errorf("%q passed", line)
			}
		}
		if again := filterCandidates(once, keep); again != once {
			t.Errorf("%q, then %q", once, again)
		}
	})
}
