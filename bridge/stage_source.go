package bridge

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// source is a track of the SFU that is watched, once for all places that show it. It implements VideoSink.
type source struct {
	key     sourceKey
	stage   *stage
	session VideoSession // that watches
	wish    keyframeWish
	bytes   atomic.Int64 // since the last look

	mu    sync.Mutex // of the packets, and of feeds
	feeds []*feed
	begun bool
	top   int64 // highest number, without wraps

	// Of the stage.
	size     size // that is asked for; zero: not watched
	unused   time.Time
	kbps     int
	measured time.Time
}

// sourceKey names a source: the large and the small listener can watch one track in two layers.
type sourceKey struct {
	track string
	small bool
}

// feed is a source in a tile. Its packets begin with a keyframe: at first, and again after each time that one had to be dropped.
type feed struct {
	source  *source
	tile    *tile
	started bool        // guarded by source.mu
	starved atomic.Bool // its place was too slow: it waits for a keyframe
	off     atomic.Bool // nothing more is wanted of it
	asked   time.Time   // of the stage: when a keyframe was last asked for it
}

// item is a packet on its way to a place.
type item struct {
	feed   *feed
	packet *shared
	first  bool // the picture begins here, or begins again after a gap
}

// jump is how far numbers may jump before they are those of another stream.
const jump = 3000

// WriteVideo implements VideoSink: it hands one packet to all feeds.
func (s *source) WriteVideo(p *VideoPacket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes.Add(int64(len(p.Payload)))
	if len(s.feeds) == 0 {
		return
	}
	packet := s.stage.packets.take(p)
	if packet == nil {
		return
	}
	defer s.stage.packets.release(packet)
	s.count(packet, p.Sequence)
	if packet.marks.key {
		s.wish.came()
	}
	for _, v := range s.feeds {
		first := packet.marks.key && !v.started
		if !v.started && !first || v.off.Load() {
			continue
		}
		packet.hold()
		select {
		case v.tile.place.queue <- item{v, packet, first}:
			if first {
				v.started = true
				v.starved.Store(false)
			}
		default:
			s.stage.packets.release(packet)
			v.started = false
			v.starved.Store(true)
			v.tile.place.dropped.Add(1)
			s.stage.poke()
		}
	}
}

// count gives the packet a number without wraps. A stream that begins anew, as after an outage, goes to nobody until its next keyframe.
func (s *source) count(packet *shared, seq uint16) {
	ahead := int64(int16(seq - uint16(s.top)))
	if s.begun && (ahead > jump || ahead < -jump) {
		for _, v := range s.feeds {
			v.started = false
		}
		s.begun = false
		s.wantKeyframe(packet.arrival)
	}
	if !s.begun {
		s.begun = true
		s.top = s.top&^0xffff + 1<<16 | int64(seq)
		packet.number = s.top
		return
	}
	packet.number = s.top + ahead
	s.top = max(s.top, packet.number)
}

// show replaces the feeds.
func (s *source) show(feeds []*feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.feeds, feeds) {
		s.feeds = feeds
	}
}

// wantKeyframe asks the SFU for a keyframe, now or when it may be asked again.
func (s *source) wantKeyframe(now time.Time) {
	if s.wish.ask(now) {
		s.session.WantKeyframe(s.key.track)
	}
	s.stage.poke()
}

// How keyframes are asked for. LiveKit does not answer every wish: what comes too soon after another it drops.
const (
	keyframePause = 500 * time.Millisecond // at least, between two wishes
	keyframeRetry = time.Second            // after which a wish that nothing came of is told again
	maxRetries    = 3
)

// keyframeWish limits how often a keyframe is asked for, keeps the wish for one that cannot be asked for yet, and repeats one that is not fulfilled. The zero
// value is ready.
type keyframeWish struct {
	mu     sync.Mutex
	last   time.Time // when it was asked for
	wanted bool      // since then
	open   bool      // nothing has come yet
	again  int       // how often it was repeated
}

// ask tells whether to ask now; else the wish is kept until due.
func (k *keyframeWish) ask(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.last) < keyframePause {
		k.wanted = true
		return false
	}
	k.told(now)
	k.again = 0
	return true
}

// told notes that it was asked for. k.mu is held.
func (k *keyframeWish) told(now time.Time) { k.last, k.wanted, k.open = now, false, true }

// came notes a keyframe: who wanted one has it.
func (k *keyframeWish) came() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wanted, k.open = false, false
}

// due tells whether a kept wish is to be asked for now, and when else.
func (k *keyframeWish) due(now time.Time) (ask bool, next time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.wanted:
		next = k.last.Add(keyframePause)
	case k.open && k.again < maxRetries:
		next = k.last.Add(keyframeRetry)
	default:
		return false, time.Time{}
	}
	if next.After(now) {
		return false, next
	}
	if !k.wanted {
		k.again++
	}
	k.told(now)
	return true, time.Time{}
}
