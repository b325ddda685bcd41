//go:build e2e

package livekit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/internal/sfuproc"
	"passerelle/internal/testpeer/participant"
	"passerelle/internal/testpeer/picture"
)

func makeClip(t testing.TB, name string, codec bridge.VideoCodec, width, height int) *picture.Clip {
	t.Helper()
	c, err := picture.Make(t.Context(), name, codec, width, height, 2*picture.Rate)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func joinRoom(t testing.TB, sfu bridge.SFU, identity string) *participant.Participant {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p, err := participant.Join(ctx, sfu, "r", identity, identity)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Leave)
	return p
}

func show(t testing.TB, p *participant.Participant, source bridge.Source, clips ...*picture.Clip) *participant.Shown {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := p.Show(ctx, source, clips...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func watch(t testing.TB, p *participant.Participant, identity string, source bridge.Source, height int, v *picture.Viewer) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sid, err := p.Watch(ctx, identity, source, height, v)
	if err != nil {
		t.Fatal(err)
	}
	return sid
}

// sees waits for half a second of a clip.
func sees(t testing.TB, v *picture.Viewer, clip *picture.Clip) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := v.Await(ctx, clip, picture.Rate/2); err != nil {
		t.Fatal(err)
	}
}

// TestVideo: a picture arrives as it was sent, whatever its format; a keyframe can be asked for; an unpublished picture ends, and its participant
// can show another one.
func TestVideo(t *testing.T) {
	leakCheck(t)
	c := newClient(t, startSFU(t, sfuproc.Options{}).URL())
	shows, looks := joinRoom(t, c, "shows"), joinRoom(t, c, "looks")
	for _, codec := range bridge.VideoCodecs() {
		if codec.Kind == bridge.H264 && codec != bridge.VideoCodecs()[2] {
			continue // libx264 makes one profile for us
		}
		t.Run(string(codec.Kind), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			clip := makeClip(t, "camera", codec, 320, 180)
			shown := show(t, shows, bridge.Camera, clip)
			v := picture.NewViewer(clip)
			sid := watch(t, looks, "shows", bridge.Camera, 180, v)
			sees(t, v, clip)
			if got := v.Count(); got.Strange != 0 || !got.Codec.Same(codec) {
				t.Errorf("%+v", got)
			}

			asked, got := shown.Senders[0].Keyframes(), v.Count().Keyframes
			for came := false; !came; { // LiveKit drops a wish that follows another, its own too, by less than half a second
				looks.WantKeyframe(sid)
				soon, stop := context.WithTimeout(ctx, time.Second)
				came = shown.Senders[0].AwaitKeyframes(soon, asked+1) == nil
				stop()
				if ctx.Err() != nil {
					t.Fatal("no wish for a keyframe came")
				}
			}
			if err := v.AwaitKeyframes(ctx, got+1); err != nil {
				t.Error(err)
			}

			shown.Stop()
			if _, ok := looks.Find(func(p bridge.Participant) bool { return p.Identity == "shows" }); !ok {
				t.Error("the participant left with the picture")
			}
			awaitNoPicture(ctx, t, looks, "shows", bridge.Camera)
		})
	}
}

func awaitNoPicture(ctx context.Context, t testing.TB, p *participant.Participant, identity string, source bridge.Source) {
	t.Helper()
	for {
		gone := true
		for _, track := range p.People()[identity].Tracks {
			gone = gone && track.Video.Source != source
		}
		if gone {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%s still shows %s", identity, source)
		}
	}
}

// TestLayers: who watches a picture gets the layer that fits, and a larger or smaller one when they want another height; whoever sends is told which
// layers are watched; the SFU's wishes for keyframes reach the layer that they are for.
func TestLayers(t *testing.T) {
	leakCheck(t)
	c := newClient(t, startSFU(t, sfuproc.Options{}).URL())
	vp8 := bridge.VideoCodec{Kind: bridge.VP8}
	clips := []*picture.Clip{makeClip(t, "small", vp8, 320, 180), makeClip(t, "middle", vp8, 640, 360), makeClip(t, "large", vp8, 1280, 720)}
	shows, looks, hidden := joinRoom(t, c, "shows"), joinRoom(t, c, "looks"), joinRoom(t, c, "other")
	shown := show(t, shows, bridge.Camera, clips...)

	other := picture.NewViewer(clips...)
	watch(t, hidden, "shows", bridge.Camera, 180, other)
	v := picture.NewViewer(clips...)
	for _, step := range []struct {
		height int
		clip   int
	}{{180, 0}, {720, 2}, {360, 1}, {90, 0}, {1080, 2}, {200, 0}} {
		watch(t, looks, "shows", bridge.Camera, step.height, v)
		sees(t, v, clips[step.clip])
		if got := v.Count(); got.Strange != 0 {
			t.Errorf("at %d: %+v", step.height, got)
		}
	}
	sees(t, other, clips[0])
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := shown.AwaitWanted(ctx, [bridge.MaxLayers]bool{true}); err != nil {
		t.Error(err)
	}
	if seen := other.Seen(); seen["middle"]+seen["large"] != 0 {
		t.Errorf("who watches the small layer has seen %v", seen)
	}
	for i, s := range shown.Senders {
		if s.Keyframes() == 0 {
			t.Errorf("layer %d was never asked for a keyframe", i)
		}
	}

	// None for now, and again.
	watch(t, looks, "shows", bridge.Camera, 0, v)
	if err := v.Quiet(ctx, time.Second); err != nil {
		t.Error(err)
	}
	watch(t, looks, "shows", bridge.Camera, 360, v)
	sees(t, v, clips[1])
}

// TestContent: a camera and a shared screen of one participant are told apart, and are muted one by one.
func TestContent(t *testing.T) {
	leakCheck(t)
	c := newClient(t, startSFU(t, sfuproc.Options{}).URL())
	vp8 := bridge.VideoCodec{Kind: bridge.VP8}
	face, screen := makeClip(t, "face", vp8, 320, 180), makeClip(t, "screen", bridge.VideoCodec{Kind: bridge.VP9}, 640, 360)
	shows, looks := joinRoom(t, c, "shows"), joinRoom(t, c, "looks")
	camera := show(t, shows, bridge.Camera, face)
	show(t, shows, bridge.Content, screen)
	if _, err := shows.Show(t.Context(), bridge.Camera, face); err == nil {
		t.Error("two cameras")
	}

	a, b := picture.NewViewer(face), picture.NewViewer(screen)
	watch(t, looks, "shows", bridge.Camera, 180, a)
	watch(t, looks, "shows", bridge.Content, 360, b)
	sees(t, a, face)
	sees(t, b, screen)
	for _, track := range looks.People()["shows"].Tracks {
		info := track.Video
		if info.Source == bridge.Camera && (info.Kind != bridge.VP8 || info.Width != 320 || info.Height != 180 || len(info.Layers) != 1) ||
			info.Source == bridge.Content && (info.Kind != bridge.VP9 || info.Width != 640 || info.Height != 360) {
			t.Errorf("told %+v", info)
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	muted := func(want bool) {
		t.Helper()
		if err := camera.Track.SetMuted(ctx, want); err != nil {
			t.Fatal(err)
		}
		for {
			for _, track := range looks.People()["shows"].Tracks {
				if track.Video.Source == bridge.Camera && track.Muted == want {
					return
				}
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("muted is not told as %t", want)
			}
		}
	}
	muted(true)
	sees(t, b, screen)
	muted(false)
	sees(t, a, face)
}

// TestVideoRestart: after the SFU has gone and come back, and after a link was lost, what was shown is shown and watched again by itself.
func TestVideoRestart(t *testing.T) {
	leakCheck(t)
	sfu := startSFU(t, sfuproc.Options{})
	wire := newCutter(t, sfu.URL()[len("ws://"):])
	c := newClient(t, "ws://"+wire.listener.Addr().String())
	vp8 := bridge.VideoCodec{Kind: bridge.VP8}
	clips := []*picture.Clip{makeClip(t, "small", vp8, 320, 180), makeClip(t, "middle", vp8, 640, 360)}
	shows, looks := joinRoom(t, c, "shows"), joinRoom(t, c, "looks")
	show(t, shows, bridge.Camera, clips...)
	v := picture.NewViewer(clips...)
	before := watch(t, looks, "shows", bridge.Camera, 360, v)
	sees(t, v, clips[1])

	wire.cut()
	sees(t, v, clips[1])
	watch(t, looks, "shows", bridge.Camera, 180, v)
	sees(t, v, clips[0])

	sfu.Kill()
	startSFU(t, sfuproc.Options{Listen: sfu.URL()[len("ws://"):]})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for sid := before; sid == before; {
		var err error
		if sid, err = looks.Watch(ctx, "shows", bridge.Camera, 180, v); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // the old track is known until the room is joined anew
	}
	sees(t, v, clips[0])
}

// TestVideoForbidden: who did not join to show a picture cannot, and neither can who offers what LiveKit has not.
func TestVideoForbidden(t *testing.T) {
	leakCheck(t)
	c := newClient(t, startSFU(t, sfuproc.Options{}).URL())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	wish := bridge.Publication{
		Source: bridge.Content, Codec: bridge.VideoCodec{Kind: bridge.VP8}, Layers: []bridge.Layer{{Width: 320, Height: 180}}, WantKeyframe: func(int) {},
	}
	for name, tc := range map[string]struct {
		change func(*bridge.Publication)
		want   error
	}{
		"source": {func(*bridge.Publication) {}, bridge.ErrForbidden},
		"profile": {func(p *bridge.Publication) {
			p.Source, p.Codec = bridge.Camera, bridge.VideoCodec{Kind: bridge.VP9, Fmtp: "profile-id=2"}
		}, bridge.ErrNoCodec},
		"layers": {func(p *bridge.Publication) { p.Source, p.Layers = bridge.Camera, make([]bridge.Layer, 4) }, nil},
	} {
		g := join(t, c, bridge.Join{Room: "r", Identity: name, Publish: true, Camera: true})
		p := wish
		tc.change(&p)
		_, err := g.Session.(bridge.VideoSession).PublishVideo(ctx, p)
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		g.Leave()
	}
}
