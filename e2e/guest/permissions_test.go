//go:build e2e

package guest_test

import (
	"fmt"
	"testing"

	"passerelle/e2e/browser"
	"passerelle/e2e/stack"
	"passerelle/webrtc/livekit/lksig"
)

// TestPermissions has guests whose browser gives the page a camera only, or a microphone only: the page says what is missing, and they come in with what there is.
func TestPermissions(t *testing.T) {
	t.Parallel()
	g := openGate(t, "", "")
	host := g.host()
	for _, c := range []struct {
		name, permitted, problem, without, button string
		given                                     lksig.TrackType
	}{
		{
			"Ada", "camera", "Your browser does not let this page use the microphone. Allow it beside the address bar, then try again; or join and listen.",
			"You will join without a microphone.", microphoneButton, lksig.TrackType_VIDEO,
		},
		{
			"Bob", "microphone", "Your browser does not let this page use the camera. Allow it beside the address bar, or join without it.",
			"You will join without a camera.", cameraButton, lksig.TrackType_AUDIO,
		},
	} {
		t.Run("only the "+c.permitted, func(t *testing.T) {
			address, _ := g.link(map[string]any{"name": c.name})
			b := browser.Open(t, browser.Options{Name: c.name, Permissions: []string{c.permitted}, Scripts: []string{"ears.js"}})
			b.Open(address)
			b.Wait(".preview-ask .button")
			b.Click(".preview-ask .button")
			b.Wait(".problem")
			stack.Eventually(t, patience, "the page says what it may not use", func() bool { return b.Text(".problems") == c.problem })
			stack.Eventually(t, patience, "and what follows", func() bool { return b.Text(".without") == c.without })
			agree(b)
			b.Click("button[type=submit]")
			b.Wait(".meeting")
			stack.Eventually(t, patience, "the room has what was permitted, and nothing else", func() bool {
				people, err := host.Participants(t.Context(), room)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range people {
					given, more := false, false
					for _, track := range p.GetTracks() {
						given = given || !track.GetMuted() && track.GetType() == c.given
						more = more || !track.GetMuted() && track.GetType() != c.given
					}
					if p.GetName() == c.name && given && !more {
						return true
					}
				}
				return false
			})
			b.Click(c.button)
			stack.Eventually(t, patience, "the page says it again", func() bool {
				return b.Is(fmt.Sprintf("[...document.querySelectorAll('.toast')].some(e => e.textContent === %q)", c.problem))
			})

			// What was permitted is taken back in the browser itself.
			b.Permit()
			stack.Eventually(t, patience, "nothing is sent any more", func() bool { return !b.Is("connections.at(-1).getSenders().some(s => s.track)") })
			b.Click(".tool.leave")
			b.Wait(".notice")
		})
	}
}
