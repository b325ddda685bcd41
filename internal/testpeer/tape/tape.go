// Package tape records what somebody hears, so that tests and the demo can look for what was said in it.
package tape

import (
	"context"
	"sync"
	"time"

	"passerelle/transcode"
	"passerelle/transcode/level"
)

// Source is what is heard, in frames of 20 ms at 48 kHz. Implemented by playout.Buffer.
type Source interface {
	// Read fills the frame and answers true, or false for silence.
	Read(frame []int16) bool
}

// Tape keeps the sound of its sources, added up, for as long as Run runs. Its methods may be called from any goroutine.
type Tape struct {
	mu      sync.Mutex
	sources map[Source]struct{}
	started time.Time
	pcm     []int16
}

// New makes an empty tape.
func New() *Tape { return &Tape{sources: map[Source]struct{}{}, started: time.Now()} }

// longest bounds a recording: the oldest half is dropped.
const longest = 10 * 60 * transcode.Rate

// Run records until ctx ends.
func (t *Tape) Run(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	t.mu.Lock()
	t.started = time.Now()
	t.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.catchUp()
		}
	}
}

// catchUp reads as many frames as time has passed, so that a late tick shifts nothing.
func (t *Tape) catchUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	frame, sum := make([]int16, transcode.FrameSamples), make([]int32, transcode.FrameSamples)
	for due := 1 + int(time.Since(t.started).Milliseconds()/20); len(t.pcm) < due*transcode.FrameSamples; {
		clear(sum)
		for s := range t.sources {
			if s.Read(frame) {
				for i, v := range frame {
					sum[i] += int32(v)
				}
			}
		}
		for _, v := range sum {
			t.pcm = append(t.pcm, int16(min(max(v, -32768), 32767)))
		}
	}
	if len(t.pcm) > longest {
		cut := longest / 2 / transcode.FrameSamples * transcode.FrameSamples
		t.started = t.started.Add(time.Duration(cut) * time.Second / transcode.Rate)
		t.pcm = append([]int16(nil), t.pcm[cut:]...)
	}
}

// Add has the tape record a source, too.
func (t *Tape) Add(s Source) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sources[s] = struct{}{}
}

// Remove has the tape forget a source.
func (t *Tape) Remove(s Source) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sources, s)
}

// Since is a copy of what was heard from the given time on, 48 kHz, and when its first sample was.
func (t *Tape) Since(from time.Time) (pcm []int16, start time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	skip := min(max(0, int(from.Sub(t.started).Seconds()*transcode.Rate)), len(t.pcm))
	return append([]int16(nil), t.pcm[skip:]...), t.started.Add(time.Duration(skip) * time.Second / transcode.Rate)
}

// Level is how loud the last d was, in dBFS.
func (t *Tape) Level(d time.Duration) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return level.RMS(t.pcm[max(0, len(t.pcm)-int(d.Seconds()*transcode.Rate)):])
}
