//go:build e2e

package guest_test

import (
	"fmt"
	"testing"

	"passerelle/e2e/browser"
	"passerelle/e2e/stack"
)

// reach presses a key, Tab or Shift+Tab, until the focus is on an element, which has to show it.
func reach(b *browser.Page, key, what string) {
	b.T.Helper()
	for range 60 {
		b.Press(key)
		if b.Is(fmt.Sprintf("document.activeElement.matches(%q)", what)) {
			if !b.Is("document.activeElement.matches(':focus-visible') && getComputedStyle(document.activeElement).outlineStyle !== 'none'") {
				b.T.Errorf("the focus on %s cannot be seen", what)
			}
			return
		}
	}
	b.T.Fatalf("%s does not lead to %s", key, what)
}

// focused waits until the focus is on an element.
func focused(b *browser.Page, what, on string) {
	b.T.Helper()
	stack.Eventually(b.T, patience, "the focus is on "+what, func() bool { return b.Is(fmt.Sprintf("document.activeElement.matches(%q)", on)) })
}

// TestKeyboard has a guest come in, wait for a host, take part and leave by the keyboard alone.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	g := openGate(t, "", "")
	address, _ := g.link(map[string]any{"ask_name": true, "lobby": true})
	b := browser.Open(t, browser.Options{Name: "keyboard", Cameras: 2, Scripts: []string{"ears.js"}})
	b.Open(address)
	b.Wait(".preview video:not([hidden])")

	reach(b, "Tab", ".preview-bar .round:nth-of-type(1)")
	b.Press(" ")
	stack.Eventually(t, patience, "the microphone is closed", func() bool {
		return b.Is("document.querySelector('.round').matches('.off[aria-label=\"Open your microphone\"]')")
	})
	b.Press("Enter")
	stack.Eventually(t, patience, "and open", func() bool {
		return b.Is("document.querySelector('.round').matches(':not(.off)[aria-label=\"Mute your microphone\"]')")
	})
	reach(b, "Tab", ".choosers .field:nth-of-type(2) select")
	var camera string
	b.Get(&camera, "document.activeElement.value")
	b.Press("ArrowDown")
	stack.Eventually(t, patience, "another camera is in use, and the focus stays", func() bool {
		return b.Is(fmt.Sprintf("document.querySelector('.preview video').srcObject?.getTracks()[0].getSettings().deviceId !== %q && document.activeElement.matches('select') && document.activeElement.value !== %q", camera, camera))
	})
	reach(b, "Tab", "button[type=submit]")
	b.Press("Enter")
	focused(b, "the field of the name, which is asked for", "input[type=text][aria-invalid]")
	for _, key := range []string{"A", "d", "a"} {
		b.Press(key)
	}
	if b.Is("document.querySelector('.consent input')") {
		reach(b, "Tab", ".consent input")
		b.Press(" ")
	}
	b.Press("Enter")

	stack.Eventually(t, patience, "the waiting room", func() bool { return b.Is("document.querySelector('h1')?.textContent === 'Please wait to be let in'") })
	focused(b, "its heading", "h1")
	reach(b, "Tab", ".waiting-card .button")
	g.API(t, "POST", "/calls/"+waitingCall(g)+"/admit", nil, nil)
	b.Wait(".meeting")
	focused(b, "the meeting's heading", "h1")
	reach(b, "Tab", settingsButton)
	b.Press("Enter")
	focused(b, "the settings' heading", ".panel h2")
	reach(b, "Tab", ".panel .field:nth-of-type(2) select")
	b.Press("Escape")
	stack.Eventually(t, patience, "the settings are gone, and the focus is where it was", func() bool {
		return b.Is(fmt.Sprintf("!document.querySelector('.panel') && document.activeElement.matches(%q)", settingsButton))
	})
	reach(b, "Tab", microphoneButton)
	b.Press("Enter")
	stack.Eventually(t, patience, "the microphone is closed", func() bool {
		return b.Is(fmt.Sprintf("document.activeElement.matches(%q) && document.activeElement.matches('.off')", microphoneButton))
	})
	reach(b, "Tab", ".tool.leave")
	b.Press("Enter")
	b.Wait(".notice")
	focused(b, "the last page's heading", "h1")
	reach(b, "Tab", ".notice .button.primary")
	b.Press("Enter")
	b.Wait(".form-card")
	focused(b, "the first page's heading", "h1")
}

// TestFocus looks at where the focus is while pages change under it: it never gets lost, and never goes where nothing is to be seen. Nothing moves for those who do
// not want it.
func TestFocus(t *testing.T) {
	t.Parallel()
	g := openGate(t, "", "")
	b := browser.Open(t, browser.Options{Name: "focus", Scripts: []string{"recorded.js"}})
	b.Open("http://" + g.page + "/healthz") // for sessionStorage of the page's address
	record(b, nil)
	b.Open("http://" + g.page + "/#recorded")
	b.Wait(".form-card")
	agree(b)
	b.Click("button[type=submit]")
	b.Wait(".waiting-card .moving")
	const moving = "document.getAnimations().some(a => a.playState === 'running')"
	b.Motion(true)
	stack.Eventually(t, patience, "something moves", func() bool { return b.Is(moving) })
	b.Motion(false)
	stack.Eventually(t, patience, "nothing moves", func() bool { return !b.Is(moving) })
	met(b, 5, 1)
	if b.Is(moving) {
		t.Error("something moves in the meeting")
	}

	// A tile that becomes large keeps the focus, also when it is small again.
	reach(b, "Tab", ".grid .tile[aria-label^='Salle'] .tile-pin")
	b.Press("Enter")
	focused(b, "the tile that is large now", ".large .tile[aria-label^='Salle'] .tile-pin[aria-pressed=true]")
	b.Press("Enter")
	focused(b, "the same tile among the others", ".grid .tile[aria-label^='Salle'] .tile-pin[aria-pressed=false]")

	// A panel that covers the pictures keeps the focus from them.
	b.Size(360, 740)
	reach(b, "Shift+Tab", peopleButton)
	b.Press("Enter")
	focused(b, "the panel's heading", ".panel h2")
	for _, key := range []string{"Tab", "Shift+Tab"} {
		for range 25 {
			b.Press(key)
			if b.Is("document.activeElement.closest('.pictures')") {
				t.Fatalf("%s leads behind the panel", key)
			}
		}
	}
	reach(b, "Tab", ".panel .plain-button")
	b.Press("Enter")
	focused(b, "what opened the panel", peopleButton)
	reach(b, "Tab", ".tile-pin")

	// Somebody who has the focus leaves: it goes to the pictures, not to the beginning of the page.
	b.Eval("gateway.people([])")
	stack.Eventually(t, patience, "the focus is on the pictures", func() bool { return b.Is("document.activeElement.closest('.pictures')") })
	b.Eval("gateway.say('state', { state: 'ended', reason: 'room_ended' })")
	b.Wait(".notice")
	focused(b, "the heading", "h1")
}
