//go:build e2e

package federation_test

import (
	"context"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/participant"
	"passerelle/internal/testpeer/picture"
)

// patience is how long a picture may take to cross.
const patience = 20 * time.Second

func film(t *testing.T, name string, width, height int) *picture.Clip {
	t.Helper()
	return filmIn(t, bridge.VideoCodec{Kind: bridge.VP8}, name, width, height)
}

func filmIn(t *testing.T, codec bridge.VideoCodec, name string, width, height int) *picture.Clip {
	t.Helper()
	c, err := picture.Make(t.Context(), name, codec, width, height, picture.Rate)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shows has somebody show clips, as the layers of one picture.
func shows(t *testing.T, p *participant.Participant, source bridge.Source, clips ...*picture.Clip) *participant.Shown {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	s, err := p.Show(ctx, source, clips...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// watches has somebody look at what the other room shows.
func watches(t *testing.T, p *participant.Participant, source bridge.Source, v *picture.Viewer) (track string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	track, err := p.Watch(ctx, bridges(p)[0].Identity, source, 720, v)
	if err != nil {
		t.Fatal(err)
	}
	return track
}

// sees waits until a viewer has seen a third of a second of a clip.
func sees(t *testing.T, what string, v *picture.Viewer, clip *picture.Clip) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if err := v.Await(ctx, clip, picture.Rate/3); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// pictures is how many tracks of pictures other rooms have in somebody's room, and how many of them are on.
func pictures(p *participant.Participant) (there, on int) {
	for _, b := range bridges(p) {
		for _, track := range b.Tracks {
			if track.Video.Source != "" {
				there++
				if !track.Muted {
					on++
				}
			}
		}
	}
	return there, on
}

// testPictures: the camera of who speaks and a shared screen of each room are seen in the other, in the layer that the rule grants, and while anybody looks.
func testPictures(t *testing.T, h *house, voice []int16) {
	small, large, hers := film(t, "small", 160, 90), film(t, "large", 320, 180), film(t, "hers", 160, 90)
	cleos, slides := filmIn(t, bridge.VideoCodec{Kind: bridge.VP9, Fmtp: "profile-id=0"}, "cleo", 160, 90), film(t, "slides", 160, 90)
	all := []*picture.Clip{small, large, hers, cleos, slides}
	ana, ben, cleo := enters(t, h.ours, "gallery-1", "ana"), enters(t, h.theirs, "east", "ben"), enters(t, h.theirs, "east", "cleo")
	benShown, anaShown := shows(t, ben, bridge.Camera, small, large), shows(t, ana, bridge.Camera, hers)
	id := h.joins(t, "east", "gallery-1")
	stack.Eventually(t, patience, "each sees the other room", func() bool { return len(bridges(ana)) == 1 && len(bridges(ben)) == 1 })

	anaSees, benSees := picture.NewViewer(all...), picture.NewViewer(all...)
	camera := watches(t, ana, bridge.Camera, anaSees)
	watches(t, ben, bridge.Camera, benSees)
	sees(t, "Ana sees Ben", anaSees, small) // the rule grants 90 lines
	sees(t, "Ben sees Ana", benSees, hers)
	if n := anaSees.Seen()["large"]; n > 0 {
		t.Errorf("Ana has seen %d pictures that are larger than the rule grants", n)
	}

	// A wish for a keyframe goes all the way. LiveKit drops those that come soon after another.
	asked := benShown.Senders[0].Keyframes()
	stack.Eventually(t, patience, "Ben is asked for a keyframe", func() bool {
		ana.WantKeyframe(camera)
		return benShown.Senders[0].Keyframes() > asked
	})

	// Who speaks in the far room is seen, also where their camera is in another format.
	looks := func(height int) {
		for _, track := range bridges(ana)[0].Tracks {
			if track.Video.Source == bridge.Camera {
				if _, err := ana.Watch(t.Context(), bridges(ana)[0].Identity, bridge.Camera, height, anaSees); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	cleoShown := shows(t, cleo, bridge.Camera, cleos)
	cleo.Loop(voice)
	stack.Eventually(t, patience, "Ana sees Cleo, who speaks", func() bool {
		looks(720)
		return anaSees.Seen()["cleo"] > 0
	})
	cleo.Loop(nil)

	// Nobody in our room looks: nothing is fetched from the far one. Meanwhile screens are shared.
	looks(0)
	testScreen(t, ana, ben, slides)
	testScreen(t, ben, ana, slides)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if err := cleoShown.AwaitWanted(ctx, [bridge.MaxLayers]bool{}); err != nil {
		t.Error(err)
	}
	looks(720)
	sees(t, "Ana sees Cleo again", anaSees, cleos)

	// A camera that is switched off is off in the other room, too.
	anaShown.Stop()
	stack.Eventually(t, patience, "Ana's camera is off", func() bool { _, on := pictures(ben); return on == 0 })
	h.API(t, "POST", "/calls/"+id+"/end", nil, nil)
	stack.Eventually(t, patience, "the rooms are parted", func() bool { return len(bridges(ben)) == 0 })
}

// testScreen: a shared screen is seen in the other room besides the camera, and goes when it is not shared any more.
func testScreen(t *testing.T, from, to *participant.Participant, slides *picture.Clip) {
	t.Helper()
	shared, v := shows(t, from, bridge.Content, slides), picture.NewViewer(slides)
	watches(t, to, bridge.Content, v)
	sees(t, "a screen is seen", v, slides)
	stack.Eventually(t, patience, "a camera and a screen, both on", func() bool { there, on := pictures(to); return there == 2 && on == 2 })
	shared.Stop()
	stack.Eventually(t, patience, "the screen is gone", func() bool { there, _ := pictures(to); return there == 1 })
}

// testNoPictureGoesRound: what is shown in one far room is seen in ours, and not in another far room, even where there is nothing else to see.
func testNoPictureGoesRound(t *testing.T, h *house) {
	bens, hers, dans := film(t, "ben", 160, 90), film(t, "hers", 160, 90), film(t, "dan", 160, 90)
	ana, ben, dan := enters(t, h.ours, "gallery-2", "ana"), enters(t, h.theirs, "north", "ben"), enters(t, h.theirs, "south", "dan")
	shows(t, ben, bridge.Camera, bens)
	shows(t, dan, bridge.Camera, dans)
	for _, far := range []string{"north", "south"} {
		h.joins(t, far, "gallery-2")
	}
	stack.Eventually(t, patience, "each sees the other rooms", func() bool { return len(bridges(ana)) == 2 && len(bridges(ben)) == 1 && len(bridges(dan)) == 1 })
	seen := map[string]bool{}
	for _, b := range bridges(ana) {
		v := picture.NewViewer(hers, bens, dans)
		ctx, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		if _, err := ana.Watch(ctx, b.Identity, bridge.Camera, 720, v); err != nil {
			t.Fatal(err)
		}
		stack.Eventually(t, patience, "Ana sees another room", func() bool { return len(v.Seen()) > 0 })
		for name := range v.Seen() {
			seen[name] = true
		}
	}
	if len(seen) != 2 || !seen["ben"] || !seen["dan"] {
		t.Errorf("Ana sees %v", seen)
	}
	shows(t, ana, bridge.Camera, hers)
	for _, p := range []*participant.Participant{ben, dan} {
		v := picture.NewViewer(hers, bens, dans)
		watches(t, p, bridge.Camera, v)
		sees(t, "Ana is seen", v, hers)
		if len(v.Seen()) > 1 {
			t.Errorf("of our room %v is seen", v.Seen())
		}
	}
}
