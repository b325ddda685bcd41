package bridge

import (
	"testing"
	"time"

	"passerelle/media"
	"passerelle/transcode"
)

// TestTimeline walks packets of 20 ms of G.711 through a timeline: steps must be kept, whatever wraps, and jumps must become real time.
func TestTimeline(t *testing.T) {
	pcma, _ := transcode.Lookup("PCMA", 8000)
	opus, _ := transcode.Lookup("opus", 48000)
	start := time.Unix(0, 0)
	type packet struct {
		name      string
		codec     transcode.Codec
		sequence  uint16
		timestamp uint32
		at        time.Duration
		wantStep  uint32 // from the packet before it, 48 kHz
		wantLost  int
	}
	for _, c := range []struct {
		name    string
		packets []packet
	}{
		{"steady over both wraps", []packet{
			{"first", pcma, 65534, 1<<32 - 160, 0, 0, 0},
			{"timestamp wraps", pcma, 65535, 0, 20 * time.Millisecond, 960, 0},
			{"sequence wraps", pcma, 0, 160, 40 * time.Millisecond, 960, 0},
		}},
		{"loss stays loss", []packet{
			{"first", pcma, 10, 1600, 0, 0, 0},
			{"two are missing", pcma, 13, 1600 + 3*160, 60 * time.Millisecond, 3 * 960, 2},
		}},
		{"silence stays a gap", []packet{
			{"first", pcma, 10, 0, 0, 0, 0},
			{"after 2 s of silence", pcma, 11, 16000, 2 * time.Second, 96000, 0},
		}},
		{"a transfer in the network is the time that passed", []packet{
			{"first", pcma, 10, 0, 0, 0, 0},
			{"other source", pcma, 40000, 3_000_000_000, 100 * time.Millisecond, 4800, 0},
			{"goes on", pcma, 40001, 3_000_000_160, 120 * time.Millisecond, 960, 0},
		}},
		{"another clock rate", []packet{
			{"first", pcma, 10, 0, 0, 0, 0},
			{"opus", opus, 11, 77, 20 * time.Millisecond, 960, 0},
			{"opus goes on", opus, 12, 77 + 960, 40 * time.Millisecond, 960, 0},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The track's own timestamps wrap, too.
			line := timeline{out: 1<<32 - 500}
			last := line.out
			for _, p := range c.packets {
				at, lost := line.place(&media.Frame{
					Codec: &p.codec, Sequence: p.sequence, Timestamp: p.timestamp, Arrival: start.Add(p.at),
				}, transcode.FrameSamples)
				if step := at - last; step != p.wantStep || lost != p.wantLost {
					t.Errorf("%s: step %d and %d lost, want %d and %d", p.name, step, lost, p.wantStep, p.wantLost)
				}
				last = at
			}
		})
	}
}
