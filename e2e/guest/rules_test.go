//go:build e2e

package guest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"passerelle/bridge"
	"passerelle/e2e/browser"
	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/participant"
	"passerelle/internal/testpeer/picture"
)

// TestRuleOnThePage: a guest's page shows the banner of its rule and sends as many pictures a second as it takes; both change with the rules. Of a page that
// does not keep to it the room gets no more, either.
func TestRuleOnThePage(t *testing.T) {
	rules := func(rate int, banner string) string {
		return fmt.Sprintf("version: 1\nrules:\n  - {name: guests, when: {link: any}, grant: {video: both, banner: %q, picture: {rate: %d}, recording: false}}\n", banner, rate)
	}
	g := openGate(t, rules(8, "Foreign line: <b>nothing classified</b>"), "")
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	client := g.Client(t)
	camille, err := participant.Join(ctx, client, room, "camille", "Camille")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(camille.Leave)

	address, _ := g.link(map[string]any{"name": "Anna"})
	anna := browser.Open(t, browser.Options{Name: "anna", Scripts: []string{"ears.js"}})
	join(anna, address)
	says := func(banner string) func() bool {
		return func() bool {
			return anna.Is(fmt.Sprintf("document.querySelector('.marking')?.textContent === %q", banner))
		}
	}
	const camera = "connections.at(-1).getSenders().find(s => s.track?.kind === 'video')"
	keeps := func(rate int) func() bool {
		return func() bool {
			return anna.Is(fmt.Sprintf("%s.getParameters().encodings.every(e => e.maxFramerate === %d)", camera, rate))
		}
	}
	stack.Eventually(t, patience, "the banner, as text", says("Foreign line: <b>nothing classified</b>"))
	stack.Eventually(t, patience, "the page keeps to 8 pictures a second", keeps(8))

	viewer := picture.NewViewer()
	var who bridge.Participant
	stack.Eventually(t, patience, "Anna is there", func() bool {
		p, ok := camille.Find(func(p bridge.Participant) bool { return p.Name == "Anna" })
		who = p
		return ok
	})
	if _, err := camille.Watch(ctx, who.Identity, bridge.Camera, 720, viewer); err != nil {
		t.Fatal(err)
	}
	stack.Eventually(t, patience, "Camille sees Anna", func() bool { return viewer.Count().Pictures > 0 })
	// sees waits for 30 pictures: no more than the rule takes have come meanwhile, but for a second's worth at once and a tenth.
	sees := func(what string, rate float64) {
		t.Helper()
		before, from, got := viewer.Count().Pictures, time.Now(), 0
		stack.Eventually(t, patience, what+": pictures go on", func() bool {
			got = viewer.Count().Pictures - before
			return got >= 30
		})
		passed := time.Since(from).Seconds()
		t.Logf("%s: %d pictures in %.1f s", what, got, passed)
		if most := rate + (1.1*rate+1)*passed; float64(got) > most+1 {
			t.Errorf("%s: %d pictures in %.1f s, at most %.0f", what, got, passed, most)
		}
	}
	sees("a page that keeps to it", 8)
	anna.Eval("(async () => { const s = " + camera + ", p = s.getParameters(); for (const e of p.encodings) delete e.maxFramerate; await s.setParameters(p) })()")
	sees("a page that does not", 8)

	g.ChangeRules(t, rules(5, "Another line"))
	stack.Eventually(t, patience, "another banner", says("Another line"))
	stack.Eventually(t, patience, "the page keeps to 5 pictures a second", keeps(5))

	// The rule does not let Anna be recorded.
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": stack.Key, "sub": "recorder", "exp": time.Now().Add(time.Hour).Unix(),
		"video": map[string]any{"room": room, "roomJoin": true, "canSubscribe": true, "hidden": true, "recorder": true},
	}).SignedString([]byte(stack.Secret))
	if err != nil {
		t.Fatal(err)
	}
	recorder := browser.OpenParticipant(t, browser.Options{Name: "recorder"})
	recorder.Eval(fmt.Sprintf("(async () => { room = new LivekitClient.Room(); await room.connect(%q, %q) })()", g.SFU.URL(), token))
	shown := func() bool {
		_, ok := camille.Find(func(p bridge.Participant) bool {
			return p.Name == "Anna" && slices.ContainsFunc(p.Tracks, func(t bridge.TrackInfo) bool { return t.Video.Source == bridge.Camera && !t.Muted })
		})
		return ok
	}
	stack.Eventually(t, patience, "Anna is seen no more while the meeting is recorded", func() bool { return !shown() })
	stack.Eventually(t, patience, "her camera is off", func() bool { return anna.Is("!" + camera) })
	recorder.Eval("room.disconnect()")
	stack.Eventually(t, patience, "her camera may be on again", func() bool {
		return anna.Is("document.querySelector('[aria-label^=\"Switch your camera on\"]:not([disabled])')")
	})
	if shown() {
		t.Error("Anna's camera came on again by itself")
	}
	anna.Press("v")
	stack.Eventually(t, patience, "Anna is seen again", shown)
}
