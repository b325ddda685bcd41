package media

import (
	"context"
	"net/netip"
	"sync"
	"testing"

	"passerelle/internal/egress"
)

// Streams come and go on few readers while one of them is flooded: each hears what is its own, and readers end with their last socket.
func TestReadersServeManyStreams(t *testing.T) {
	ports, err := NewPorts(egress.New(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	flooded, err := ports.Open(t.Context(), loopback)
	if err != nil {
		t.Fatal(err)
	}
	set(t, flooded, params(t, flooded.LocalAddr()))
	far := newPeer(t, flooded.LocalAddr())
	flood, stop := context.WithCancel(t.Context())
	var flooding, others sync.WaitGroup
	flooding.Go(func() {
		for n := uint16(0); flood.Err() == nil; n++ {
			far.send(raw(8, false, n, 0, 5, 1))
		}
	})
	for range 4 {
		others.Go(func() {
			for range 20 {
				s, err := ports.Open(t.Context(), loopback)
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Set(params(t, s.LocalAddr())); err != nil {
					t.Error(err)
				}
				heard := make(told, 8)
				s.SetSink(heard)
				for range 5 {
					if err := s.WriteFrame(make([]byte, 160), 160, false); err != nil {
						t.Error(err)
					}
					<-heard
				}
				s.Close()
			}
		})
	}
	others.Wait()
	stop()
	flooding.Wait()
	flooded.Close()
	for _, r := range ports.readers {
		if r.poll != nil {
			t.Error("a reader goes on without sockets")
		}
	}
}

func TestSocketRefusesOtherFamily(t *testing.T) {
	s := open(t)
	if err := s.rtp.send([]byte{1}, netip.MustParseAddrPort("[2001:db8::1]:9")); err == nil {
		t.Error("sent to IPv6 from a socket of IPv4")
	}
	if err := s.rtp.send([]byte{1}, netip.MustParseAddrPort("[::ffff:127.0.0.1]:9")); err != nil {
		t.Errorf("to a mapped address: %v", err)
	}
}
