//go:build e2e

package guest_test

import (
	"fmt"
	"testing"
	"time"

	"passerelle/e2e/browser"
	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/speech"
	"passerelle/transcode"
)

// waitingCall finds the call that waits for a host.
func waitingCall(g *gate) (id string) {
	g.Helper()
	stack.Eventually(g.T, patience, "the operator sees who waits", func() bool {
		var lobby struct{ Calls []struct{ ID string } }
		g.API(g.T, "GET", "/lobby", nil, &lobby)
		if len(lobby.Calls) == 0 {
			return false
		}
		id = lobby.Calls[0].ID
		return true
	})
	return id
}

// TestLobby has a guest wait, be let in by an operator, and another one be turned away.
func TestLobby(t *testing.T) {
	t.Parallel()
	g := openGate(t, "", "")
	g.camille(speech.Say(t, "fr", speech.French, transcode.Rate), green)
	address, _ := g.link(map[string]any{"name": "Anna Lindqvist", "lobby": true})
	anna := browser.Open(t, browser.Options{Name: "anna", Scripts: []string{"ears.js"}})
	ask := func() {
		anna.Open(address)
		anna.Wait(".form-card")
		agree(anna)
		anna.Click("button[type=submit]")
		anna.Wait(".waiting-card")
		stack.Eventually(t, patience, "the page says that a host decides", func() bool { return anna.Heading() == "Please wait to be let in" })
		stack.Eventually(t, patience, "and for how long it waits", func() bool { return anna.Is("document.querySelector('.waiting-card .fine').textContent") })
	}
	ask()
	if anna.Is("window.firstSound") {
		t.Error("the guest hears the room from the lobby")
	}
	g.API(t, "POST", "/calls/"+waitingCall(g)+"/admit", nil, nil)
	anna.Wait(".meeting")
	stack.Eventually(t, patience, "the guest hears the room", func() bool { return anna.Is("window.firstSound") })
	anna.Click(".tool.leave")
	anna.Wait(".notice")
	stack.Eventually(t, patience, "nobody waits any more", func() bool {
		var lobby struct{ Calls []any }
		g.API(t, "GET", "/lobby", nil, &lobby)
		return len(lobby.Calls) == 0
	})
	ask()
	g.API(t, "POST", "/calls/"+waitingCall(g)+"/refuse", nil, nil)
	stack.Eventually(t, patience, "the page says that the guest was not let in", func() bool { return anna.Heading() == "You were not let in" })
}

// TestStay has a guest reload the page, lose the network, lose the line of media, and have the link taken back: each shows on the page, and the room
// does not lose the guest before the end.
func TestStay(t *testing.T) {
	g := openGate(t, "", "")
	french := speech.Say(t, "fr", speech.French, transcode.Rate)
	english := speech.Say(t, "en", speech.English, transcode.Rate)
	camille := g.camille(french, green)
	address, id := g.link(map[string]any{"name": "Anna Lindqvist"})
	anna := g.guest("anna", english, red)
	enter(anna, address)
	there := `people().some(p => p.name === "Anna Lindqvist")`
	stack.Eventually(t, patience, "Camille sees Anna", func() bool { return camille.Is(there) })
	camille.Eval(`window.left = 0; room.on('participantDisconnected', () => window.left++); null`)
	back := func(what string) {
		t.Helper()
		green.moves(anna, "Anna sees Camille "+what, tile("Camille"))
		red.moves(camille, "Camille sees Anna "+what, `video[data-who="Anna Lindqvist"]`)
	}
	back("before anything happens")

	anna.Reload()
	anna.Wait(".meeting")
	stack.Eventually(t, patience, "Anna hears the room again", func() bool { return anna.Is("window.firstSound") })
	back("after a reload")

	anna.Offline(true)
	anna.Eval("connections.at(-1).close()") // as a network that is gone: neither WebSocket nor media
	stack.Eventually(t, 40*time.Second, "the page says that the connection is interrupted", func() bool {
		return anna.Is(`!document.querySelector('.banner').hidden && document.querySelector('.banner').textContent.includes('interrupted')`)
	})
	anna.Offline(false)
	stack.Eventually(t, 40*time.Second, "the page is back", func() bool { return anna.Is(`document.querySelector('.banner').hidden`) })
	if camille.Is("window.left > 0") {
		t.Error("the room has lost the guest meanwhile")
	}

	back("after the network was gone")

	// The WebSocket alone is gone: the connection stays, and finds new ways.
	ufrag := "connections.at(-1).localDescription.sdp.match(/ice-ufrag:(.*)/)[1]"
	anna.Eval("window.before = { count: connections.length, ufrag: " + ufrag + " }; null")
	anna.Offline(true)
	stack.Eventually(t, 40*time.Second, "the page says so", func() bool { return anna.Is(`!document.querySelector('.banner').hidden`) })
	anna.Offline(false)
	stack.Eventually(t, 40*time.Second, "the page is back", func() bool { return anna.Is(`document.querySelector('.banner').hidden`) })
	stack.Eventually(t, patience, "new ways are found for the same connection", func() bool {
		return anna.Is("connections.length === before.count && before.ufrag !== " + ufrag + " && connections.at(-1).connectionState === 'connected'")
	})
	back("after that")
	if camille.Is("window.left > 0") {
		t.Error("the room has lost the guest meanwhile")
	}

	g.API(t, "DELETE", "/links/"+id, nil, nil)
	stack.Eventually(t, patience, "the page says that the link was taken back", func() bool { return anna.Heading() == "This link was taken back" })
	stack.Eventually(t, patience, "Camille sees Anna leave", func() bool { return !camille.Is(there) })
	anna.Open(address)
	stack.Eventually(t, patience, "nor does it let in any more", func() bool { return anna.Heading() == "This link was taken back" })
}

// TestLinks opens links that do not let in: each has a page of its own.
func TestLinks(t *testing.T) {
	t.Parallel()
	g := openGate(t, "", "")
	b := browser.Open(t, browser.Options{Name: "links"})
	now := time.Now()
	early, _ := g.link(map[string]any{"from": now.Add(time.Hour), "until": now.Add(2 * time.Hour)})
	revoked, id := g.link(nil)
	g.API(t, "DELETE", "/links/"+id, nil, nil)
	once, _ := g.link(map[string]any{"uses": 1, "name": "Anna"})
	short, _ := g.link(map[string]any{"until": now.Add(2 * time.Second)})
	time.Sleep(time.Until(now.Add(2500 * time.Millisecond))) // the shortest link there is has to be over
	for _, c := range []struct{ address, heading string }{
		{"http://" + g.page + "/", "An invitation is needed"},
		{"http://" + g.page + "/#nonsense", "This link does not work"},
		{early, "You are early"},
		{revoked, "This link was taken back"},
		{short, "This link is over"},
	} {
		b.Open("about:blank")
		b.Open(c.address)
		stack.Eventually(t, patience, fmt.Sprintf("%q", c.heading), func() bool { return b.Is(fmt.Sprintf("document.querySelector('h1')?.textContent === %q", c.heading)) })
	}
	b.Open("about:blank")
	b.Open(once)
	b.Wait(".form-card")
	agree(b)
	b.Click("button[type=submit]")
	b.Wait(".meeting")
	b.Click(".tool.leave")
	b.Wait(".notice .button.primary")
	b.Click(".notice .button.primary")
	stack.Eventually(t, patience, "the link has been used up", func() bool { return b.Heading() == "This link has been used already" })
}

// TestDenied has a guest without camera, and one without anything, come in all the same.
func TestDenied(t *testing.T) {
	t.Parallel()
	g := openGate(t, "", "")
	camille := g.camille(speech.Say(t, "fr", speech.French, transcode.Rate), green)
	address, _ := g.link(map[string]any{"name": "Anna Lindqvist"})
	anna := browser.Open(t, browser.Options{Name: "anna", Bare: true, Scripts: []string{"ears.js"}})
	anna.Open(address)
	anna.Wait(".preview-ask .button")
	anna.Click(".preview-ask .button")
	anna.Wait(".problem")
	if text := anna.Text(".without"); text != "You will join without a camera and a microphone." {
		t.Errorf("the page says %q", text)
	}
	agree(anna)
	anna.Click("button[type=submit]")
	anna.Wait(".meeting")
	stack.Eventually(t, patience, "Anna hears the room", func() bool { return anna.Is("window.firstSound") })
	green.moves(anna, "Anna sees Camille", tile("Camille"))
	stack.Eventually(t, patience, "Camille sees Anna, whose microphone is closed", func() bool {
		return camille.Is(`people().some(p => p.name === "Anna Lindqvist" && p.tracks.every(t => t.muted))`)
	})
}
