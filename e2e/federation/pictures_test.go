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

var vp8 = bridge.VideoCodec{Kind: bridge.VP8}

func film(t *testing.T, name string, width, height int) *picture.Clip {
	t.Helper()
	c, err := picture.Make(t.Context(), name, vp8, width, height, picture.Rate)
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

// testPictures: the camera of who speaks and a shared screen of each room are seen in the other, in the layer that the rule grants, and nothing goes round.
func testPictures(t *testing.T, h *house, voice []int16) {
	small, large, hers := film(t, "small", 160, 90), film(t, "large", 320, 180), film(t, "hers", 160, 90)
	cleos, dans, slides := film(t, "cleo", 160, 90), film(t, "dan", 160, 90), film(t, "slides", 160, 90)
	all := []*picture.Clip{small, large, hers, cleos, dans, slides}
	ana, ben, cleo, dan := enters(t, h.ours, "gallery", "ana"), enters(t, h.theirs, "east", "ben"), enters(t, h.theirs, "east", "cleo"), enters(t, h.theirs, "west", "dan")
	hisShown, herShown := shows(t, ben, bridge.Camera, small, large), shows(t, ana, bridge.Camera, hers)
	id := h.joins(t, "east", "gallery")
	stack.Eventually(t, patience, "each sees the other room", func() bool { return len(bridges(ana)) == 1 && len(bridges(ben)) == 1 })

	anaSees, benSees := picture.NewViewer(all...), picture.NewViewer(all...)
	camera := watches(t, ana, bridge.Camera, anaSees)
	watches(t, ben, bridge.Camera, benSees)
	sees(t, "Ana sees Ben", anaSees, small) // the rule grants 90 lines
	sees(t, "Ben sees Ana", benSees, hers)
	if n := anaSees.Seen()["large"]; n > 0 {
		t.Errorf("Ana has seen %d pictures that are larger than the rule grants", n)
	}

	// A wish for a keyframe goes all the way.
	asked, before := hisShown.Senders[0].Keyframes(), anaSees.Count().Keyframes
	ana.WantKeyframe(camera)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if err := anaSees.AwaitKeyframes(ctx, before+1); err != nil {
		t.Error(err)
	}
	if err := hisShown.Senders[0].AwaitKeyframes(ctx, asked+1); err != nil {
		t.Error(err)
	}

	// Who speaks in the far room is seen.
	shows(t, cleo, bridge.Camera, cleos)
	cleo.Loop(voice)
	sees(t, "Ana sees Cleo, who speaks", anaSees, cleos)
	cleo.Loop(nil)

	// A shared screen, both ways, besides the cameras; it goes when it is not shared any more.
	ctx, stop = context.WithTimeout(t.Context(), patience)
	defer stop()
	for _, way := range []struct {
		what     string
		from, to *participant.Participant
	}{{"Ana's", ana, ben}, {"Ben's", ben, ana}} {
		shared, err := way.from.Show(ctx, bridge.Content, slides)
		if err != nil {
			t.Fatal(err)
		}
		v := picture.NewViewer(all...)
		watches(t, way.to, bridge.Content, v)
		sees(t, way.what+" screen is seen", v, slides)
		if there, on := pictures(way.to); there != 2 || on != 2 {
			t.Errorf("with a camera and a screen there are %d pictures, %d of them on", there, on)
		}
		shared.Stop()
		stack.Eventually(t, patience, way.what+" screen is gone", func() bool { there, _ := pictures(way.to); return there == 1 })
	}

	// What comes from the west is seen in our room, and not in the east.
	shows(t, dan, bridge.Camera, dans)
	h.joins(t, "west", "gallery")
	danSees := picture.NewViewer(all...)
	stack.Eventually(t, patience, "each sees the other room", func() bool { return len(bridges(ana)) == 2 && len(bridges(dan)) == 1 })
	watches(t, dan, bridge.Camera, danSees)
	sees(t, "Dan sees Ana", danSees, hers)
	dan.Loop(voice) // who speaks would be seen first
	stack.Eventually(t, patience, "Dan is seen in our room", func() bool {
		for _, b := range bridges(ana) {
			if _, err := ana.Watch(ctx, b.Identity, bridge.Camera, 720, anaSees); err != nil {
				t.Fatal(err)
			}
		}
		return anaSees.Seen()["dan"] > 0
	})
	sees(t, "Ben still sees Ana", benSees, hers)
	for name, n := range benSees.Seen() {
		if name != "hers" && n > 0 {
			t.Errorf("Ben has seen %d pictures of %s", n, name)
		}
	}
	if n := danSees.Seen()["small"] + danSees.Seen()["cleo"]; n > 0 {
		t.Errorf("Dan has seen %d pictures of the east", n)
	}

	// A camera that is switched off is off in the other room, too.
	herShown.Stop()
	stack.Eventually(t, patience, "Ana's camera is off", func() bool { _, on := pictures(ben); return on == 0 })
	h.API(t, "POST", "/calls/"+id+"/end", nil, nil)
	stack.Eventually(t, patience, "the rooms are parted", func() bool { return len(bridges(ben)) == 0 })
}
