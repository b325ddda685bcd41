//go:build e2e

package guest_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"passerelle/e2e/browser"
	"passerelle/e2e/stack"
)

var update = flag.Bool("update", false, "write the pictures of docs/guests")

// terms are those of a link, for a recorded gateway (recorded.js).
func terms(change map[string]any) map[string]any {
	t := map[string]any{
		"title": title, "name": "Anna Lindqvist", "ask_name": true, "hosted": "France", "foreign": true, "consent": "", "lobby": false, "audio": "both",
		"video": "both", "content": "both", "names": true, "ice_servers": []string{}, "language": "fr",
	}
	for k, v := range change {
		t[k] = v
	}
	return t
}

// crowd is who is there, in JSON: n people of whom one shares a screen (from 1 on; 0: nobody).
func crowd(n, shares int) string {
	names := []string{
		"Camille Martin", "Jean-Baptiste de la Rochefoucauld-Montbazon", "Salle Condorcet", "+33 1 •• •• •• 12", "Dr. Ingeborg Müller-Lüdenscheidt", "Ada",
		"Piotr Wiśniewski", "Léa Fontaine", "Tomás Ó Briain", "Sofia Rossi", "Zoé", "Xavier",
	}
	list := []map[string]any{}
	for i, name := range names[:n] {
		list = append(list, map[string]any{
			"name": name, "camera": i%4 != 3, "muted": i%3 == 1, "phone": strings.HasPrefix(name, "+"), "hand": i == 2, "screen": i+1 == shares,
		})
	}
	text, _ := json.Marshal(list) // strings and booleans
	return string(text)
}

// talking brings a page with a recorded gateway into a meeting of n others.
func talking(b *browser.Page, n, shares int) {
	b.T.Helper()
	b.Wait(".form-card")
	agree(b)
	b.Click("button[type=submit]")
	b.Wait(".waiting-card")
	met(b, n, shares)
}

// met is talking from the waiting room on.
func met(b *browser.Page, n, shares int) {
	b.T.Helper()
	b.Eval("gateway.say('state', { state: 'talking' })")
	b.Wait(".meeting")
	b.Eval(fmt.Sprintf("gateway.people(%s)", crowd(n, shares)))
	b.Eval("gateway.say('microphone', { on: true, by: 'self', free: true })")
	if n > 0 {
		b.Eval("gateway.say('speakers', { seats: [1] })")
		stack.Eventually(b.T, patience, "pictures", func() bool { return b.Is("document.querySelector('.tile.live:not(.mirrored) video')?.videoWidth > 0") })
	}
	b.Eval("document.getElementById('toasts').replaceChildren()") // they go by themselves, after a while
}

// record has the page meet a recorded gateway (recorded.js) when it is opened next; change is what is not usual of it.
func record(b *browser.Page, change map[string]any) {
	b.T.Helper()
	recorded := map[string]any{"terms": terms(nil), "posed": true}
	for k, v := range change {
		recorded[k] = v
	}
	text, err := json.Marshal(recorded)
	if err != nil {
		b.T.Fatal(err)
	}
	b.Eval(fmt.Sprintf("sessionStorage.clear(); sessionStorage.setItem('recorded', %q)", text))
}

// TestStates brings the page into each of its states, in both colour schemes and, in one of them, on a small display: axe-core finds nothing serious in any, and none is wider than
// the display. With -update it writes the pictures of docs/guests.
func TestStates(t *testing.T) {
	t.Parallel()
	g := openGate(t, "", "")
	early := map[string]any{"problem": map[string]any{"status": 403, "code": "link_early", "from": time.Date(2030, 3, 18, 9, 0, 0, 0, time.UTC)}}
	problem := func(code string) map[string]any {
		return map[string]any{"problem": map[string]any{"status": 410, "code": code}}
	}
	click := func(on string) func(*browser.Page) { return func(b *browser.Page) { b.Click(on) } }
	meeting := func(n, shares int, then ...func(*browser.Page)) func(*browser.Page) {
		return func(b *browser.Page) {
			talking(b, n, shares)
			for _, f := range then {
				f(b)
			}
		}
	}
	states := []struct {
		name     string
		recorded map[string]any
		bare     bool // neither camera nor microphone is permitted
		act      func(*browser.Page)
	}{
		{"link-early", early, false, nil},
		{"link-expired", problem("link_expired"), false, nil},
		{"link-revoked", problem("link_revoked"), false, nil},
		{"link-used-up", problem("link_used_up"), false, nil},
		{"link-wrong", problem("link_wrong"), false, nil},
		{"forbidden", map[string]any{"problem": map[string]any{"status": 403, "code": "forbidden", "detail": "Guests come on working days only."}}, false, nil},
		{"busy", map[string]any{"problem": map[string]any{"status": 503, "code": "busy"}}, false, nil},
		{"check", nil, false, func(b *browser.Page) { b.Wait(".preview video:not([hidden])") }},
		{"allow", nil, true, func(b *browser.Page) { b.Wait(".preview-ask") }},
		{"denied", nil, true, func(b *browser.Page) { b.Wait(".preview-ask"); b.Click(".preview-ask .button"); b.Wait(".problem") }},
		{"waiting", map[string]any{"terms": terms(map[string]any{"lobby": true})}, false, func(b *browser.Page) {
			b.Wait(".form-card")
			agree(b)
			b.Click("button[type=submit]")
			b.Wait(".waiting-card")
			b.Eval(`gateway.say('state', { state: 'waiting', until: new Date(Date.now() + 290000) })`)
			stack.Eventually(b.T, patience, "the waiting room", func() bool { return b.Heading() != "On the way into the meeting" })
		}},
		{"alone", nil, false, meeting(0, 0)},
		{"meeting-1", nil, false, meeting(1, 0)},
		{"meeting-2", nil, false, meeting(2, 0)},
		{"meeting", nil, false, meeting(5, 0)},
		{"meeting-12", nil, false, meeting(12, 0)},
		{"speaker", nil, false, meeting(5, 0, click(viewButton))},
		{"screen", nil, false, meeting(5, 1)},
		{"people", nil, false, meeting(5, 0, click(peopleButton))},
		{"settings", nil, false, meeting(2, 0, click(settingsButton))},
		{"anonymous", map[string]any{"terms": terms(map[string]any{"names": false}), "anonymous": true}, false, meeting(5, 0)},
		{"interrupted", nil, false, meeting(2, 0, func(b *browser.Page) {
			b.Eval("gateway.say('state', { state: 'interrupted' })")
			b.Wait(".banner:not([hidden])")
		})},
		{"banner", nil, false, meeting(2, 0, func(b *browser.Page) { // as text, whatever it looks like
			b.Eval(`gateway.say('banner', { text: 'Foreign line: nothing classified <b>' + 'may be said '.repeat(12) + '</b>' })`)
			b.Wait(".marking:not([hidden])")
			if text := b.Text(".marking"); !strings.Contains(text, "<b>may be said") || b.Is("document.querySelector('.marking *')") {
				b.T.Errorf("the banner is %q", text)
			}
		})},
		{"ended", nil, false, meeting(1, 0, func(b *browser.Page) {
			b.Eval("gateway.say('state', { state: 'ended', reason: 'room_ended' })")
			b.Wait(".notice")
		})},
	}
	dir := filepath.Join("..", "..", "docs", "guests")
	if *update {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, bare := range []bool{false, true} {
		for language, wide := range map[string]bool{"en-GB": true, "fr-FR": false} {
			t.Run(fmt.Sprintf("%s, bare %v", language, bare), func(t *testing.T) {
				t.Parallel()
				o := browser.Options{Name: "states", Scripts: []string{"recorded.js"}, Locale: language}
				if bare {
					o.Permissions = []string{}
				}
				if !wide {
					o.Width, o.Height = 360, 740
				}
				b := browser.Open(t, o)
				b.Open("http://" + g.page + "/healthz") // for sessionStorage of the page's address
				for _, s := range states {
					if s.bare != bare {
						continue
					}
					record(b, s.recorded)
					b.Open("http://" + g.page + "/healthz")
					b.Open("http://" + g.page + "/#recorded")
					stack.Eventually(t, patience, "the page "+s.name, func() bool {
						return b.Is("document.querySelector('.notice-card:not(:has(.moving)), .form-card, .meeting')")
					})
					if s.act != nil {
						s.act(b)
					}
					look(t, b, s.name, wide, dir)
				}
			})
		}
	}
}

// look judges a state in both colour schemes, and keeps pictures of it.
func look(t *testing.T, b *browser.Page, name string, wide bool, dir string) {
	t.Helper()
	schemes := []string{"light", "dark"}
	if !wide {
		schemes = schemes[:1] // colours do not depend on the width
	}
	for _, scheme := range schemes {
		b.Colours(scheme)
		for _, v := range b.Axe() {
			if slices.Contains([]string{"serious", "critical"}, v.Impact) {
				t.Errorf("%s, %s, wide %v: axe: %s (%s): %s", name, scheme, wide, v.ID, v.Help, strings.Join(v.Nodes, "\n\t"))
			}
		}
		if b.Is("document.documentElement.scrollWidth > innerWidth") {
			t.Errorf("%s, wide %v: the page scrolls from side to side", name, wide)
		}
		// Of each state one picture: dark ones of some, small ones of the most important.
		file := name
		switch {
		case scheme == "dark":
			file += "-dark"
		case !wide:
			file += "-small"
		}
		if *update && slices.Contains(pictured, file) {
			b.Shoot(filepath.Join(dir, file+".png"))
		}
	}
	b.Colours("light")
}

// pictured are the pictures that docs/guests.md shows.
var pictured = []string{
	"link-early", "link-expired", "link-revoked", "link-used-up", "link-wrong", "forbidden", "busy", "check", "check-dark", "check-small", "allow", "denied",
	"waiting", "alone-dark", "meeting", "meeting-dark", "meeting-small", "meeting-12", "speaker", "screen", "screen-small", "people", "settings", "anonymous",
	"interrupted", "ended",
}
