//go:build e2e

// Package guest_test has people come to a meeting by links, with real browsers, and with tools.
package guest_test

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"passerelle/e2e/browser"
	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/speech"
	"passerelle/transcode"
)

const (
	room     = "hydrogene"
	title    = "Comité franco-allemand de l’hydrogène"
	patience = 20 * time.Second
	sentence = 9 * transcode.Rate / 2 // what microphones hear again and again, with a second of silence
	german   = "Guten Tag, hier spricht die Abteilung für Wasserstoff. Wir haben die neuen Zahlen aus Hamburg mitgebracht und möchten sie heute vorstellen."
)

// gate is a gateway that lets guests in.
type gate struct {
	*testing.T
	*stack.Stack
	page string // host:port
}

// openGate starts one whose rules grant guests what they say; empty: the built-in ones.
func openGate(t *testing.T, rules, more string) *gate {
	t.Helper()
	g := &gate{T: t, page: stack.FreePort(t)}
	g.Stack = stack.Start(t, stack.Options{
		Rules: rules, Extra: fmt.Sprintf("guests: {listen: %q, hosted_in: France, rate: 100, grace: 20s%s}", g.page, more),
	})
	return g
}

// link makes a link by the admin API. It answers its address and its id.
func (g *gate) link(wish map[string]any) (address, id string) {
	g.Helper()
	w := map[string]any{"room": room, "title": title, "until": time.Now().Add(time.Hour)}
	for k, v := range wish {
		w[k] = v
	}
	var made struct{ ID, URL string }
	g.API(g.T, "POST", "/links", w, &made)
	return made.URL, made.ID
}

// guest opens a browser whose microphone hears words (48 kHz) again and again and whose camera sees w.
func (g *gate) guest(name string, words []int16, w wall) *browser.Page {
	g.Helper()
	return browser.Open(g.T, browser.Options{Name: name, Words: words[:sentence], Camera: w.film(g.T), Scripts: []string{"ears.js"}})
}

// join brings a guest from the link into the meeting.
func join(b *browser.Page, address string) {
	b.T.Helper()
	b.Open(address)
	b.Wait(".check .preview video:not([hidden])")
	agree(b)
	b.Click("button[type=submit]")
	b.Wait(".meeting")
}

// enter is join, and logs how long it took by the page's own clock until something was heard.
func enter(b *browser.Page, address string) {
	b.T.Helper()
	join(b, address)
	stack.Eventually(b.T, patience, "the guest hears something", func() bool { return b.Is("window.firstSound") })
	var took []float64
	b.Get(&took, "[usable, firstSound - asked]")
	b.T.Logf("from the link to a page that can be used: %.0f ms; from Join to the first sound: %.0f ms", took[0], took[1])
}

// agree ticks the box, where there is one.
func agree(b *browser.Page) {
	b.T.Helper()
	if b.Is("document.querySelector('.consent input')") {
		b.Click(".consent .agree")
	}
}

// camille brings LiveKit's own web client, as Visio's users have it, into the room, with microphone, camera and pictures of the others.
func (g *gate) camille(words []int16, w wall) *browser.Page {
	g.Helper()
	b := browser.OpenParticipant(g.T, browser.Options{Name: "camille", Words: words[:sentence], Camera: w.film(g.T)})
	b.Enter(g.Stack, room, "camille", "Camille Martin")
	b.Eval("room.localParticipant.setCameraEnabled(true).then(() => null)")
	return b
}

// hears waits until a page has heard words since the call of record.
func hears(b *browser.Page, what string, words []int16, recorded string) {
	b.T.Helper()
	clip := words[transcode.Rate/2 : 4*transcode.Rate]
	stack.Hears(b.T, what, clip, func() ([]int16, time.Time) {
		pcm, start := b.Recorded(recorded)
		if most := sentence + 6*transcode.Rate; len(pcm) > most { // the sound comes round again and again: all of it is within this
			start = start.Add(time.Duration(len(pcm)-most) * time.Second / transcode.Rate)
			pcm = pcm[len(pcm)-most:]
		}
		return pcm, start
	})
}

const heard = "recorded('heard')" // of camille

// tile is where a page shows somebody.
func tile(name string) string {
	return fmt.Sprintf(`.tile[aria-label^=%q] .tile-picture`, name)
}

// TestMeeting has two guests and a LiveKit web participant meet: each hears and sees the others.
func TestMeeting(t *testing.T) {
	g := openGate(t, "", "")
	french, english := speech.Say(t, "fr", speech.French, transcode.Rate), speech.Say(t, "en", speech.English, transcode.Rate)
	words := speech.Say(t, "de", german, transcode.Rate)
	camille := g.camille(french, green)

	annasLink, _ := g.link(map[string]any{"name": "Anna Lindqvist"})
	anna := g.guest("anna", english, red)
	enter(anna, annasLink)
	bobsLink, _ := g.link(map[string]any{"name": "Bob", "ask_name": true})
	bob := g.guest("bob", words, blue)
	enter(bob, bobsLink)

	red.moves(bob, "Bob sees Anna's camera move", tile("Anna"))
	green.moves(bob, "Bob sees Camille's camera move", tile("Camille"))
	blue.moves(anna, "Anna sees Bob's camera move", tile("Bob"))
	green.moves(anna, "Anna sees Camille's camera move", tile("Camille"))
	red.moves(camille, "Camille sees Anna's camera move", `video[data-who="Anna Lindqvist"]`)
	blue.moves(camille, "Camille sees Bob's camera move", `video[data-who="Bob"]`)

	anna.Shoot(filepath.Join(t.ArtifactDir(), "meeting.png"))
	// One speaks at a time: two voices in one mix hide each other.
	bob.Press("m")
	camille.Eval("room.localParticipant.setMicrophoneEnabled(false)")
	bob.Eval("record()")
	camille.Eval("record()")
	hears(bob, "Bob hears Anna", english, "recorded()")
	hears(camille, "Camille hears Anna", english, heard)
	stack.Eventually(t, patience, "Bob's page rings Anna", func() bool { return bob.Is(`document.querySelector('.tile.speaking[aria-label^="Anna"]')`) })
	anna.Press("m")
	camille.Eval("room.localParticipant.setMicrophoneEnabled(true)")
	anna.Eval("record()")
	hears(anna, "Anna hears Camille", french, "recorded()")
	camille.Eval("room.localParticipant.setMicrophoneEnabled(false)")
	bob.Press("m")
	anna.Eval("record()")
	hears(anna, "Anna hears Bob", words, "recorded()")
	anna.Press("m")

	talk(t, anna, bob, camille)
	share(t, anna, bob, camille)
	onlyOurs(t, g, anna, bob)

	bob.Click(".tool.leave")
	bob.Wait(".notice")
	if h := bob.Heading(); h != "You have left the meeting" {
		t.Errorf("after leaving the page says %q", h)
	}
	stack.Eventually(t, patience, "Anna's page has no tile of Bob any more", func() bool { return !anna.Is(`document.querySelector('.tile[aria-label^="Bob"]')`) })
}

// talk has Anna close and open her microphone by the keyboard, raise her hand, and hold the space bar to talk.
func talk(t *testing.T, anna, bob, camille *browser.Page) {
	t.Helper()
	muted := func(yes bool) func() bool {
		return func() bool {
			return camille.Is(fmt.Sprintf("people().find(p => p.name === 'Anna Lindqvist').tracks.find(t => t.kind === 'audio').muted === %v", yes))
		}
	}
	anna.Press("m")
	stack.Eventually(t, patience, "Camille sees that Anna's microphone is closed", muted(true))
	stack.Eventually(t, patience, "so does Bob", func() bool {
		return bob.Is(`document.querySelector('.tile[aria-label^="Anna"][aria-label*="microphone off"]')`)
	})
	anna.Down(" ")
	stack.Eventually(t, patience, "it is open for as long as Anna holds the space bar", muted(false))
	anna.Up(" ")
	stack.Eventually(t, patience, "and closed again", muted(true))
	anna.Press("m")
	stack.Eventually(t, patience, "and open", muted(false))
	anna.Press("h")
	stack.Eventually(t, patience, "Bob sees Anna's hand", func() bool {
		return bob.Is(`document.querySelector('.tile[aria-label^="Anna"][aria-label*="hand raised"]')`)
	})
	anna.Press("v")
	stack.Eventually(t, patience, "Bob sees Anna's initials", func() bool {
		return bob.Is(`document.querySelector('.tile[aria-label^="Anna"]:not(.live) .face')?.textContent === 'AL'`)
	})
	anna.Press("v")
	red.moves(bob, "Bob sees Anna's camera again", tile("Anna"))
}

// share has Anna share a screen.
func share(t *testing.T, anna, bob, camille *browser.Page) {
	t.Helper()
	anna.Click(`[aria-label="Share your screen"]`)
	stack.Eventually(t, patience, "Bob sees a shared screen, large", func() bool { return bob.Is(`document.querySelector('.large .tile.screen.live')`) })
	stack.Eventually(t, patience, "so does Camille", func() bool {
		return camille.Is(`document.querySelector('video[data-source="screen_share"]')?.videoWidth > 0`)
	})
	anna.Click(`[aria-label="Stop sharing your screen"]`)
	stack.Eventually(t, patience, "Bob sees it no more", func() bool { return !bob.Is(`document.querySelector('.tile.screen')`) })
}

// onlyOurs looks through all that pages asked for: only our own address may be in it, and nothing that the page's own policy had to refuse.
func onlyOurs(t *testing.T, g *gate, pages ...*browser.Page) {
	t.Helper()
	for _, b := range pages {
		all := b.Requests()
		for _, r := range all {
			u, err := url.Parse(r)
			if err != nil || u.Host != g.page && u.Scheme != "blob" && u.Scheme != "data" {
				t.Errorf("the page asked for %s", r)
			}
			if strings.Contains(u.RawQuery+u.Path, "ey") && len(u.RawQuery+u.Path) > 100 {
				t.Errorf("a token is in an address: %s", r)
			}
		}
		if len(all) < 20 {
			t.Errorf("only %d requests were seen", len(all))
		}
		for _, f := range b.Faults() {
			t.Errorf("the page: %s", f)
		}
		if b.Is("location.href.includes('#')") {
			t.Error("the link is in the address bar")
		}
	}
}
