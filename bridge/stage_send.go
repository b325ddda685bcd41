package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// sending is one source of what a leg shows.
type sending struct {
	place  *place
	source Source
	out    atomic.Pointer[flow] // nil: nothing is let through

	wishes [MaxLayers]keyframeWish // keyframes that the SFU wants

	uplinks [MaxLayers]uplinkLayer

	mu     sync.Mutex
	want   *Publication // nil: the leg shows nothing
	track  VideoTrack   // in the room; of publish, but guarded
	as     *Publication // what track was published as
	muted  bool         // what track is
	layers [MaxLayers]bool
}

// flow is where packets of a leg go.
type flow struct {
	track  VideoTrack
	layers int
	limit  *rate.Limiter // of bytes: a keyframe is many packets at once, so a second's worth may come together
	rate   atomic.Int32  // pictures a second of each layer, at most; 0: no bound
}

// Start implements Place.
func (pl *place) Start(source Source, codec VideoCodec, layers []Layer) error {
	s := pl.sends[source]
	if s == nil {
		return fmt.Errorf("%w: there is no source %q", ErrForbidden, source)
	}
	pl.stage.mu.Lock()
	allowed, bounds := pl.allowed(source), pl.grant.Picture
	pl.stage.mu.Unlock()
	if !allowed {
		return fmt.Errorf("%w: %s", ErrForbidden, source)
	}
	if !slices.ContainsFunc(VideoCodecs(), codec.Same) {
		return fmt.Errorf("%w: %s %s", ErrNoCodec, codec.Kind, codec.Fmtp)
	}
	if len(layers) == 0 || len(layers) > MaxLayers {
		return fmt.Errorf("%w: %d layers, at most %d", ErrNoCodec, len(layers), MaxLayers)
	}
	fit := 0
	for fit < len(layers) && (bounds.Height == 0 || layers[fit].Height <= bounds.Height) {
		fit++
	}
	if fit == 0 {
		return fmt.Errorf("%w: a picture of %d lines, at most %d", ErrForbidden, layers[0].Height, bounds.Height)
	}
	s.mu.Lock()
	s.want = &Publication{
		Source: source, Name: string(source), Codec: codec, Layers: slices.Clone(layers[:fit]),
		WantKeyframe: s.wantKeyframe, WantLayers: s.wantLayers,
	}
	s.mu.Unlock()
	pl.wake()
	return nil
}

// Stop implements Place.
func (pl *place) Stop(source Source) {
	if s := pl.sends[source]; s != nil {
		s.stop()
	}
}

func (s *sending) stop() {
	s.out.Store(nil)
	s.mu.Lock()
	s.want = nil
	s.mu.Unlock()
	s.place.wake()
}

// hostMuted takes what a host did to what the leg shows: it is off until the leg starts it again.
func (pl *place) hostMuted(source Source, muted bool) {
	s := pl.sends[source]
	if s == nil {
		return
	}
	s.mu.Lock()
	s.muted = muted
	s.mu.Unlock()
	if muted {
		s.stop()
	}
}

// WriteVideo implements Place.
func (pl *place) WriteVideo(source Source, layer int, p *VideoPacket) {
	s := pl.sends[source]
	if s == nil {
		return
	}
	f := s.out.Load()
	if f == nil || layer < 0 || layer >= f.layers || !f.limit.AllowN(p.Arrival, len(p.Payload)) {
		return
	}
	up := &s.uplinks[layer]
	if out := up.pass(f, p); out != nil {
		_ = f.track.WriteVideo(layer, out) // a session that is over says so by its events
	} else if up.pace.dropped {
		pl.beyond.Add(1)
		s.wantKeyframe(layer) // the SFU sees no gap, and would not ask
	}
}

// wantKeyframe passes the SFU's wish on to the leg.
func (s *sending) wantKeyframe(layer int) {
	if layer < 0 || layer >= MaxLayers {
		return
	}
	if s.wishes[layer].ask(time.Now()) {
		s.pass(layer)
	} else {
		s.place.stage.poke()
	}
}

func (s *sending) wantLayers(wanted [MaxLayers]bool) {
	s.mu.Lock()
	s.layers = wanted
	s.mu.Unlock()
	s.place.stage.poke()
}

// state is how it stands with this source.
func (s *sending) state() (live bool, wanted [MaxLayers]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Load() != nil, s.layers
}

// due passes on wishes that had to wait, and says when the next may be.
func (s *sending) due(now time.Time) (next time.Time) {
	for layer := range s.wishes {
		ask, at := s.wishes[layer].due(now)
		if ask {
			s.pass(layer)
		}
		next = sooner(next, at)
	}
	return next
}

// pass tells the leg. The SFU repeats its wishes by itself.
func (s *sending) pass(layer int) {
	s.wishes[layer].came()
	s.place.screen.WantKeyframe(s.source, layer)
}

// allowed tells whether grant and room let the leg show a source, now. stage.mu is held.
func (pl *place) allowed(source Source) bool {
	way := pl.grant.Video
	if source == Content {
		way = pl.grant.Content
	}
	return way.Sends() && pl.may[source] && (pl.grant.Recording || !pl.recorded)
}

// defaultKbps bounds what a leg may send of one source when its rule does not.
const defaultKbps = 20_000

// retryAfter is the pause after a publication that failed.
const retryAfter = 5 * time.Second

// publish keeps in the room what the leg shows, until it leaves.
func (pl *place) publish(ctx context.Context) {
	defer func() {
		for _, s := range pl.sends {
			s.drop()
		}
	}()
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-pl.changed:
		case <-again:
		}
		again = nil
		for _, source := range [...]Source{Camera, Content} {
			pl.stage.mu.Lock()
			allowed := pl.allowed(source)
			pl.stage.mu.Unlock()
			if err := pl.sends[source].settle(ctx, allowed); err != nil && ctx.Err() == nil {
				pl.log.Warn("a picture cannot be shown in the room", "source", source, "error", err)
				again = time.After(retryAfter)
			}
		}
		pl.stage.poke()
	}
}

// settle brings what is in the room in line with what is wanted.
func (s *sending) settle(ctx context.Context, allowed bool) error {
	s.mu.Lock()
	if !allowed {
		s.want = nil
	}
	want, track, as, muted := s.want, s.track, s.as, s.muted
	s.mu.Unlock()
	switch {
	case want == nil && track == nil:
		return nil
	case want == nil && allowed && s.source == Camera:
		s.out.Store(nil)
		if muted {
			return nil
		}
		return s.mute(ctx, track, true)
	case want == nil:
		s.drop()
		return nil
	case track != nil && !samePublication(want, as):
		s.drop()
		track = nil
	}
	if track == nil {
		return s.begin(ctx, want)
	}
	if muted {
		if err := s.mute(ctx, track, false); err != nil {
			return err
		}
	}
	s.open(track, want)
	return nil
}

// begin publishes.
func (s *sending) begin(ctx context.Context, want *Publication) error {
	s.mu.Lock()
	s.layers = [MaxLayers]bool{true, true, true} // until the SFU says otherwise
	s.mu.Unlock()
	track, err := s.place.session.PublishVideo(ctx, *want)
	if err != nil {
		if errors.Is(err, ErrForbidden) || errors.Is(err, ErrNoCodec) || errors.Is(err, ErrBusy) {
			s.stop() // it would be the same again
		}
		return err
	}
	s.mu.Lock()
	s.track, s.as, s.muted = track, want, false
	s.mu.Unlock()
	s.open(track, want)
	return nil
}

// open lets packets through, as many as the grant has it now, unless the leg has thought better of it or may not any more.
func (s *sending) open(track VideoTrack, want *Publication) {
	s.place.stage.mu.Lock()
	defer s.place.stage.mu.Unlock()
	bounds := s.place.grant.Picture
	if bounds.Kbps <= 0 {
		bounds.Kbps = defaultKbps
	}
	bytes := bounds.Kbps * 1000 / 8
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.want != want || !s.place.allowed(s.source) {
		s.place.wake()
		return
	}
	f := s.out.Load()
	if f == nil {
		f = &flow{track: track, layers: len(want.Layers), limit: rate.NewLimiter(rate.Limit(bytes), bytes)}
	}
	f.limit.SetLimit(rate.Limit(bytes)) // the rules may have changed
	f.limit.SetBurst(bytes)
	f.rate.Store(int32(bounds.Rate))
	s.out.Store(f)
}

func (s *sending) mute(ctx context.Context, track VideoTrack, muted bool) error {
	if err := track.SetMuted(ctx, muted); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muted = muted
	return nil
}

// drop takes what there is out of the room.
func (s *sending) drop() {
	s.out.Store(nil)
	s.mu.Lock()
	track := s.track
	s.track, s.as = nil, nil
	s.mu.Unlock()
	if track != nil {
		track.Unpublish()
	}
}

// samePublication tells whether two publications are one to the room.
func samePublication(a, b *Publication) bool {
	return a.Codec == b.Codec && slices.Equal(a.Layers, b.Layers)
}
