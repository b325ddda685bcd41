package webrtc

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/interceptor"
	pion "github.com/pion/webrtc/v4"

	"passerelle/internal/egress"
)

func openShared(t testing.TB, guard *egress.Guard, s Shared) *Port {
	t.Helper()
	s.UDP = "127.0.0.1:0"
	p, err := OpenShared(t.Context(), guard, s, slog.New(slog.DiscardHandler))
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

// browser makes a peer connection as far ends have them: with sockets of its own, full ICE, and whatever networks it is told to use.
func browser(t testing.TB, networks ...pion.NetworkType) *pion.PeerConnection {
	t.Helper()
	var e pion.SettingEngine
	e.SetIncludeLoopbackCandidate(true)
	e.SetNetworkTypes(networks)
	e.LoggerFactory = pionLog{log: slog.New(slog.DiscardHandler)}
	pc, err := pion.NewAPI(pion.WithSettingEngine(e)).NewPeerConnection(pion.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	return pc
}

// call has a browser offer a data channel, and returns our answer and a channel that is closed when the browser is connected.
func call(t testing.TB, pc *pion.PeerConnection, p *Peer) (string, <-chan struct{}) {
	t.Helper()
	if _, err := pc.CreateDataChannel("x", nil); err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	pc.OnConnectionStateChange(func(s pion.PeerConnectionState) {
		if s == pion.PeerConnectionStateConnected {
			close(up)
		}
	})
	d, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := pion.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(d); err != nil {
		t.Fatal(err)
	}
	<-gathered
	answer, err := p.Answer(t.Context(), pc.LocalDescription().SDP)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	return answer, up
}

func connected(t testing.TB, up <-chan struct{}) {
	t.Helper()
	select {
	case <-up:
	case <-time.After(20 * time.Second):
		t.Fatal("not connected")
	}
}

// TestShared: browsers connect over one UDP socket, and over one TCP port where UDP does not get through.
func TestShared(t *testing.T) {
	port := openShared(t, egress.New(), Shared{TCP: "127.0.0.1:0", Connections: 10})
	for _, n := range []pion.NetworkType{pion.NetworkTypeUDP4, pion.NetworkTypeUDP4, pion.NetworkTypeTCP4} {
		p := newPeer(t, port)
		answer, up := call(t, browser(t, n), p)
		if !strings.Contains(answer, "a=ice-lite") {
			t.Error("ICE is not lite")
		}
		for _, want := range []netip.AddrPort{port.Addr(), port.TCPAddr()} {
			if !strings.Contains(answer, strings.ReplaceAll(want.String(), ":", " ")) {
				t.Errorf("%v is not in the answer:\n%s", want, answer)
			}
		}
		connected(t, up)
		if len(p.remotes) != 0 {
			t.Errorf("candidates of the far end were looked at: %v", p.remotes)
		}
	}
	if n := port.Sockets(); n != 1 {
		t.Errorf("%d sockets", n)
	}
}

func TestAdvertise(t *testing.T) {
	port := openShared(t, egress.New(), Shared{TCP: "127.0.0.1:0", Advertise: []netip.Addr{netip.MustParseAddr("203.0.113.7")}})
	answer, _ := call(t, browser(t, pion.NetworkTypeUDP4), newPeer(t, port))
	for line := range strings.Lines(answer) {
		if strings.HasPrefix(line, "a=candidate") && !strings.Contains(line, " 203.0.113.7 ") {
			t.Errorf("we tell %q", line)
		}
	}
	if n := strings.Count(answer, "a=candidate"); n < 2 {
		t.Errorf("%d candidates", n)
	}
}

// TestUnreachable: a browser where no rule lets us send gets no answer to its checks.
func TestUnreachable(t *testing.T) {
	guard := egress.Only(netip.MustParsePrefix("192.0.2.0/24"))
	port := openShared(t, guard, Shared{})
	pass := guard.Pass("call", netip.MustParsePrefix("198.51.100.0/24"))
	defer pass.Close()
	m := new(pion.MediaEngine)
	p, err := port.NewPeerFor(pass, m, new(interceptor.Registry))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_, up := call(t, browser(t, pion.NetworkTypeUDP4), p)
	deadline := time.After(20 * time.Second)
	for guard.DeniedFor(egress.ICE) == 0 {
		select {
		case <-up:
			t.Fatal("connected")
		case <-deadline:
			t.Fatal("no check was refused")
		case <-time.After(5 * time.Millisecond):
		}
	}
}
