//go:build e2e && !race

package livekit_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/internal/sfuproc"
	"passerelle/media"
)

// counter is a sink that counts and allocates nothing.
type counter struct{ n atomic.Int64 }

func (c *counter) WriteFrame(*media.Frame) { c.n.Add(1) }

// TestMediaAllocatesNothing: in steady state neither a packet that is sent nor one that is heard costs an allocation. both ends are in this
// process, so one count covers both; what else runs (ICE's keepalives, RTCP, timers) is what the tolerance is for. (The
// race detector empties pools at random, so not under it.)
func TestMediaAllocatesNothing(t *testing.T) {
	leakCheck(t)
	c := newClient(t, startSFU(t, sfuproc.Options{}).URL())
	listener := join(t, c, bridge.Join{Room: "r", Identity: "listener", Hidden: true, Subscribe: true})
	phone := join(t, c, bridge.Join{Room: "r", Identity: "phone", Phone: true, Publish: true})
	spoken := speak(t, phone, "phone")
	var hears counter
	if err := listener.Subscribe(listener.expectTrack("phone"), &hears); err != nil {
		t.Fatal(err)
	}
	until := func(n int64) {
		deadline := time.Now().Add(patience)
		for hears.n.Load() < n {
			if time.Now().After(deadline) {
				t.Fatalf("heard %d packets of %d", hears.n.Load(), n)
			}
			runtime.Gosched()
		}
	}
	until(50)
	spoken.stop()

	const packets = 3000
	p := &spoken.packet
	send := func() {
		start := hears.n.Load()
		for i := range int64(packets) {
			p.SequenceNumber++
			p.Timestamp += 960
			if err := spoken.track.WriteRTP(p); err != nil {
				t.Fatal(err)
			}
			if i%10 == 9 {
				until(start + i*9/10) // a little loss is not this test's matter
			}
		}
	}
	send()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	send()
	runtime.ReadMemStats(&after)
	per := float64(after.Mallocs-before.Mallocs) / packets
	t.Logf("%.3f allocations per packet, sent and heard", per)
	if per > 0.05 {
		t.Errorf("%.3f allocations per packet", per)
	}
}

// BenchmarkPhoneSession says what a phone's session costs in memory: go test -tags "nolibopusfile e2e" -run '^$' -bench PhoneSession -benchtime 100x
func BenchmarkPhoneSession(b *testing.B) {
	c := newClient(b, startSFU(b, sfuproc.Options{}).URL())
	use := func() (heap, stack, goroutines uint64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, m.StackInuse, uint64(runtime.NumGoroutine())
	}
	first := join(b, c, bridge.Join{Room: "r", Identity: "first", Phone: true, Publish: true})
	speak(b, first, "first")
	heap, stack, goroutines := use()
	for i := range b.N {
		g := join(b, c, bridge.Join{Room: fmt.Sprintf("r%d", i/4), Identity: fmt.Sprintf("phone-%d", i), Phone: true, Publish: true})
		speak(b, g, "phone")
	}
	heap2, stack2, goroutines2 := use()
	n := float64(b.N)
	b.ReportMetric(float64(heap2-heap)/n/1024, "heap-KiB/session")
	b.ReportMetric(float64(stack2-stack)/n/1024, "stack-KiB/session")
	b.ReportMetric(float64(goroutines2-goroutines)/n, "goroutines/session")
}

// BenchmarkWriteRTP is the cost of sending one packet.
func BenchmarkWriteRTP(b *testing.B) {
	c := newClient(b, startSFU(b, sfuproc.Options{}).URL())
	phone := join(b, c, bridge.Join{Room: "r", Identity: "phone", Phone: true, Publish: true})
	s := speak(b, phone, "phone")
	s.stop()
	p := &s.packet
	b.ReportAllocs()
	for b.Loop() {
		p.SequenceNumber++
		p.Timestamp += 960
		if err := s.track.WriteRTP(p); err != nil {
			b.Fatal(err)
		}
	}
}
