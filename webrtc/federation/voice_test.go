package federation

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"passerelle/bridge"
	"passerelle/media"
)

// Sound passes, and says how loud it is; of silence a packet passes now and then, and time goes on.
func TestOutward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, track := newVoice(), &fakeSession{}
		write := func(n, level int, marker bool) {
			for range n {
				v.Meter(level)
				if err := v.WriteFrame([]byte{1, 2, 3, 4}, samples, marker); err != nil {
					t.Fatal(err)
				}
				marker = false
				time.Sleep(20 * time.Millisecond)
			}
		}
		write(5, -20, true) // nowhere
		if v.Stats().PacketsSent != 0 {
			t.Error("packets were sent nowhere")
		}
		v.connect(track)
		write(10, -20, false)
		write(linger+5*keepAlive, -90, false)
		write(1, -20, false)
		if n := len(track.packets); n != 10+linger+5+1 {
			t.Errorf("%d packets", n)
		}
		for i, p := range track.packets {
			level := p.GetExtension(bridge.AudioLevelID)[0]
			if want := map[bool]byte{true: 0x80 | 20, false: 90}[i < 10 || i == len(track.packets)-1]; level != want {
				t.Errorf("packet %d has level %#x", i, level)
			}
			if i > 0 && p.SequenceNumber != track.packets[i-1].SequenceNumber+1 {
				t.Errorf("packet %d has number %d after %d", i, p.SequenceNumber, track.packets[i-1].SequenceNumber)
			}
		}
		first, last := track.packets[0], track.packets[len(track.packets)-1]
		if !last.Marker || last.Timestamp-first.Timestamp != uint32((10+linger+5*keepAlive)*samples) {
			t.Errorf("after silence: %+v", last.Header)
		}
		time.Sleep(time.Second) // nothing is written, as while a call is held
		write(1, -20, true)
		if next := track.packets[len(track.packets)-1]; next.Timestamp-last.Timestamp != 51*samples {
			t.Errorf("after a second: %d samples", next.Timestamp-last.Timestamp)
		}
		if s := v.Stats(); s.PacketsSent != uint64(len(track.packets)) || s.BytesSent != 4*s.PacketsSent {
			t.Errorf("%+v", s)
		}
	})
}

func TestInward(t *testing.T) {
	v, sink := newVoice(), &frames{}
	write := func(n, level int) {
		for range n {
			v.in.Meter(level)
			if err := v.in.WriteFrame([]byte{1, 2}, samples, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(3, -20)
	v.SetSink(sink)
	write(2, -20)
	write(linger+2*keepAlive, -127)
	write(1, -20)
	if n := len(sink.list); n != 2+linger+2+1 {
		t.Fatalf("%d frames", n)
	}
	first, last := sink.list[0], sink.list[len(sink.list)-1]
	if !last.Marker || first.Codec.Name != "opus" || last.Timestamp-first.Timestamp != uint32((2+linger+2*keepAlive)*samples) ||
		last.Sequence-first.Sequence != uint16(len(sink.list)-1) || last.Arrival.IsZero() {
		t.Errorf("%+v … %+v", first, last)
	}
	v.SetSink(nil)
	write(1, -20)
	if v.Stats().PacketsReceived != uint64(len(sink.list)) {
		t.Errorf("%+v", v.Stats())
	}
}

func TestAllocations(t *testing.T) {
	v := newVoice()
	v.connect(nobody{})
	v.SetSink(nobody{})
	payload := make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		v.in.Meter(-20)
		_ = v.in.WriteFrame(payload, samples, false)
		v.Meter(-20)
		_ = v.WriteFrame(payload, samples, false)
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

// nobody takes everything and keeps nothing.
type nobody struct{}

func (nobody) WriteRTP(*rtp.Packet) error           { return nil }
func (nobody) SetMuted(context.Context, bool) error { return nil }
func (nobody) WriteFrame(*media.Frame)              {}
