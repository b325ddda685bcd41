package picture

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"passerelle/bridge"
)

// Viewer recognizes the clips that its packets are of. It implements bridge.VideoSink; its methods may be called from any goroutine.
type Viewer struct {
	mu       sync.Mutex
	clips    []*Clip
	seen     map[string]int // whole pictures, by the clip's name
	pictures int
	strange  int // packets of no clip
	keys     int
	codec    bridge.VideoCodec
	last     string // clip of the last whole picture
	lastTS   uint32
	begun    bool
	shown    bool // a picture, of shownTS
	shownTS  uint32
	next     uint16 // number of the packet that goes on
	whole    bool   // the picture so far
	of       *Clip
	gaps     int
	news     chan struct{}
}

// NewViewer makes a viewer that knows some clips.
func NewViewer(clips ...*Clip) *Viewer {
	return &Viewer{clips: clips, seen: map[string]int{}, news: make(chan struct{})}
}

// WriteVideo implements bridge.VideoSink.
func (v *Viewer) WriteVideo(p *bridge.VideoPacket) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.begun && p.Sequence != v.next {
		v.gaps++
		v.whole = false
	}
	if !v.begun || p.Timestamp != v.lastTS {
		v.whole = !v.begun || p.Sequence == v.next
		v.of = nil
	}
	v.begun, v.next, v.lastTS, v.codec = true, p.Sequence+1, p.Timestamp, *p.Codec
	if len(p.Payload) == 0 {
		return
	}
	if !v.shown || p.Timestamp != v.shownTS {
		v.shown, v.shownTS = true, p.Timestamp
		v.pictures++
	}
	clip, frame, known := v.find(p.Payload)
	if !known || clip != nil && v.of != nil && v.of != clip {
		v.strange++
		v.whole = false
		return
	}
	if clip != nil {
		v.of = clip
	}
	if clip == nil || !p.Marker || !v.whole {
		return
	}
	v.seen[clip.Name]++
	v.last = clip.Name
	if frame == 0 {
		v.keys++
	}
	close(v.news)
	v.news = make(chan struct{})
}

// find answers which picture of which clip a packet is of; nil where it may be of several, as H.264's parameter sets.
func (v *Viewer) find(payload []byte) (clip *Clip, frame int, known bool) {
	for _, c := range v.clips {
		if i, ok := c.known[c.fingerprint(payload)]; ok && known {
			return nil, 0, true
		} else if ok {
			clip, frame, known = c, i, true
		}
	}
	return clip, frame, known
}

// Seen is how many whole pictures of each clip have been seen.
func (v *Viewer) Seen() map[string]int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.seen)
}

// Count is a summary of what came.
type Count struct {
	Pictures  int // that began, of clips or not
	Keyframes int // whole ones
	Strange   int // packets of no clip
	Gaps      int // in the numbers
	Codec     bridge.VideoCodec
}

// Count answers what came so far.
func (v *Viewer) Count() Count {
	v.mu.Lock()
	defer v.mu.Unlock()
	return Count{v.pictures, v.keys, v.strange, v.gaps, v.codec}
}

// Await waits for n more whole pictures of a clip in a row, with no picture of another clip between them.
func (v *Viewer) Await(ctx context.Context, clip *Clip, n int) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	row, before := 0, v.total()
	for row < n {
		news := v.news
		v.mu.Unlock()
		select {
		case <-news:
			v.mu.Lock()
		case <-ctx.Done():
			v.mu.Lock()
			return fmt.Errorf("%d of %d pictures of %s in a row: %w; seen %v, %d strange packets, %d gaps", row, n, clip.Name, ctx.Err(), v.seen, v.strange, v.gaps)
		}
		if now := v.total(); v.last == clip.Name {
			row, before = row+now-before, now
		} else {
			row, before = 0, now
		}
	}
	return nil
}

func (v *Viewer) total() (n int) {
	for _, k := range v.seen {
		n += k
	}
	return n
}

// AwaitKeyframes waits until n whole keyframes have come.
func (v *Viewer) AwaitKeyframes(ctx context.Context, n int) error {
	for {
		v.mu.Lock()
		keys, news := v.keys, v.news
		v.mu.Unlock()
		if keys >= n {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d keyframes: %w", keys, n, ctx.Err())
		}
	}
}

// Quiet waits until nothing has come for a while.
func (v *Viewer) Quiet(ctx context.Context, d time.Duration) error {
	for {
		v.mu.Lock()
		news := v.news
		v.mu.Unlock()
		select {
		case <-news:
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return fmt.Errorf("pictures still come: %w", ctx.Err())
		}
	}
}
