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
func talking(b *chromium, n, shares int) {
	b.t.Helper()
	b.wait(".form-card")
	agree(b)
	b.click("button[type=submit]")
	b.wait(".waiting-card")
	b.eval("gateway.say('state', { state: 'talking' })")
	b.wait(".meeting")
	b.eval(fmt.Sprintf("gateway.people(%s)", crowd(n, shares)))
	b.eval("gateway.say('microphone', { on: true, by: 'self', free: true })")
	b.eval("gateway.say('speakers', { seats: [1] })")
	if n > 0 {
		stack.Eventually(b.t, patience, "pictures", func() bool { return b.is("document.querySelector('.tile.live:not(.mirrored) video')?.videoWidth > 0") })
	}
	b.eval("document.getElementById('toasts').replaceChildren()") // they go by themselves, after a while
}

// TestStates brings the page into each of its states, in both colour schemes and, in one of them, on a small display: axe-core finds nothing serious in any, and none is wider than
// the display. With -update it writes the pictures of docs/guests.
func TestStates(t *testing.T) {
	g := openGate(t, "", "")
	early := map[string]any{"problem": map[string]any{"status": 403, "code": "link_early", "from": time.Date(2030, 3, 18, 9, 0, 0, 0, time.UTC)}}
	problem := func(code string) map[string]any {
		return map[string]any{"problem": map[string]any{"status": 410, "code": code}}
	}
	click := func(on string) func(*chromium) { return func(b *chromium) { b.click(on) } }
	meeting := func(n, shares int, then ...func(*chromium)) func(*chromium) {
		return func(b *chromium) {
			talking(b, n, shares)
			for _, f := range then {
				f(b)
			}
		}
	}
	settings, people, view := ".bar-tools .plain-button:nth-of-type(3)", ".bar-tools .plain-button:nth-of-type(2)", ".bar-tools .plain-button:nth-of-type(1)"
	states := []struct {
		name     string
		recorded map[string]any
		bare     bool // neither camera nor microphone is permitted
		act      func(*chromium)
	}{
		{"link-early", early, false, nil},
		{"link-expired", problem("link_expired"), false, nil},
		{"link-revoked", problem("link_revoked"), false, nil},
		{"link-used-up", problem("link_used_up"), false, nil},
		{"link-wrong", problem("link_wrong"), false, nil},
		{"forbidden", map[string]any{"problem": map[string]any{"status": 403, "code": "forbidden", "detail": "Guests come on working days only."}}, false, nil},
		{"busy", map[string]any{"problem": map[string]any{"status": 503, "code": "busy"}}, false, nil},
		{"check", nil, false, func(b *chromium) { b.wait(".preview video:not([hidden])") }},
		{"allow", nil, true, func(b *chromium) { b.wait(".preview-ask") }},
		{"denied", nil, true, func(b *chromium) { b.wait(".preview-ask"); b.click(".preview-ask .button"); b.wait(".problem") }},
		{"waiting", map[string]any{"terms": terms(map[string]any{"lobby": true})}, false, func(b *chromium) {
			b.wait(".form-card")
			agree(b)
			b.click("button[type=submit]")
			b.wait(".waiting-card")
			b.eval(`gateway.say('state', { state: 'waiting', until: new Date(Date.now() + 290000) })`)
			stack.Eventually(t, patience, "the waiting room", func() bool { return b.heading() != "On the way into the meeting" })
		}},
		{"alone", nil, false, meeting(0, 0)},
		{"meeting-1", nil, false, meeting(1, 0)},
		{"meeting-2", nil, false, meeting(2, 0)},
		{"meeting", nil, false, meeting(5, 0)},
		{"meeting-12", nil, false, meeting(12, 0)},
		{"speaker", nil, false, meeting(5, 0, click(view))},
		{"screen", nil, false, meeting(5, 1)},
		{"people", nil, false, meeting(5, 0, click(people))},
		{"settings", nil, false, meeting(2, 0, click(settings))},
		{"anonymous", map[string]any{"terms": terms(map[string]any{"names": false}), "anonymous": true}, false, meeting(5, 0)},
		{"interrupted", nil, false, meeting(2, 0, func(b *chromium) {
			b.eval("gateway.say('state', { state: 'interrupted' })")
			b.wait(".banner:not([hidden])")
		})},
		{"ended", nil, false, meeting(1, 0, func(b *chromium) {
			b.eval("gateway.say('state', { state: 'ended', reason: 'room_ended' })")
			b.wait(".notice")
		})},
	}
	dir := filepath.Join("..", "..", "docs", "guests")
	if *update {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, bare := range []bool{false, true} {
		for i, wide := range []bool{true, false} {
			o := options{Name: "states", Scripts: []string{"recorded.js"}, Width: 1280, Height: 800, Locale: []string{"en-GB", "fr-FR"}[i]}
			if !wide {
				o.Width, o.Height = 360, 740
			}
			if bare {
				o.Devices = new(bool)
			}
			b := startChromium(t, o)
			b.open("http://" + g.page + "/healthz") // for sessionStorage of the page's address
			for _, s := range states {
				if s.bare != bare {
					continue
				}
				recorded := map[string]any{"terms": terms(nil), "posed": true}
				for k, v := range s.recorded {
					recorded[k] = v
				}
				text, err := json.Marshal(recorded)
				if err != nil {
					t.Fatal(err)
				}
				b.eval(fmt.Sprintf("sessionStorage.clear(); sessionStorage.setItem('recorded', %q)", text))
				b.open("http://" + g.page + "/healthz")
				b.open("http://" + g.page + "/#recorded")
				stack.Eventually(t, patience, "the page "+s.name, func() bool {
					return b.is("document.querySelector('.notice-card:not(:has(.moving)), .form-card, .meeting')")
				})
				if s.act != nil {
					s.act(b)
				}
				look(t, b, s.name, wide, dir)
			}
		}
	}
}

// look judges a state in both colour schemes, and keeps pictures of it.
func look(t *testing.T, b *chromium, name string, wide bool, dir string) {
	t.Helper()
	schemes := []string{"light", "dark"}
	if !wide {
		schemes = schemes[:1] // colours do not depend on the width
	}
	for _, scheme := range schemes {
		b.do(nil, "scheme", "scheme", scheme)
		var found []struct {
			ID, Impact, Help string
			Nodes            []string
		}
		b.do(&found, "axe")
		for _, v := range found {
			if slices.Contains([]string{"serious", "critical"}, v.Impact) {
				t.Errorf("%s, %s, wide %v: axe: %s (%s): %s", name, scheme, wide, v.ID, v.Help, strings.Join(v.Nodes, "\n\t"))
			}
		}
		if b.is("document.documentElement.scrollWidth > innerWidth") {
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
			b.shoot(filepath.Join(dir, file+".png"))
		}
	}
	b.do(nil, "scheme", "scheme", "light")
}

// pictured are the pictures that docs/guests.md shows.
var pictured = []string{
	"link-early", "link-expired", "link-revoked", "link-used-up", "link-wrong", "forbidden", "busy", "check", "check-dark", "check-small", "allow", "denied",
	"waiting", "alone-dark", "meeting", "meeting-dark", "meeting-small", "meeting-12", "speaker", "screen", "screen-small", "people", "settings", "anonymous",
	"interrupted", "ended",
}

// TestKeyboard has a guest come in, and leave, by the keyboard alone.
func TestKeyboard(t *testing.T) {
	g := openGate(t, "", "")
	address, _ := g.link(map[string]any{"ask_name": true})
	b := startChromium(t, options{Name: "keyboard"})
	b.open(address)
	b.wait(".preview video:not([hidden])")
	reach := func(what string) {
		t.Helper()
		for range 40 {
			b.press("Tab")
			if b.is(fmt.Sprintf("document.activeElement.matches(%q)", what)) {
				if !b.is("document.activeElement.matches(':focus-visible') && getComputedStyle(document.activeElement).outlineStyle !== 'none'") {
					t.Errorf("the focus on %s cannot be seen", what)
				}
				return
			}
		}
		t.Fatalf("Tab does not lead to %s", what)
	}
	reach("button[type=submit]")
	b.press("Enter")
	stack.Eventually(t, patience, "the field of the name is asked for", func() bool { return b.is("document.activeElement.matches('input[type=text][aria-invalid]')") })
	for _, key := range []string{"A", "d", "a"} {
		b.press(key)
	}
	if b.is("document.querySelector('.consent input')") {
		reach(".consent input")
		b.press("Space")
	}
	b.press("Enter")
	b.wait(".meeting")
	reach(".bar-tools .plain-button:nth-of-type(3)")
	b.press("Enter")
	stack.Eventually(t, patience, "the focus is in the settings", func() bool { return b.is("document.activeElement.closest('.panel')") })
	b.press("Escape")
	stack.Eventually(t, patience, "and back", func() bool {
		return b.is("!document.querySelector('.panel') && document.activeElement.matches('.plain-button')")
	})
	reach(".tool.leave")
	b.press("Enter")
	b.wait(".notice")
	stack.Eventually(t, patience, "the focus is on the heading", func() bool { return b.is("document.activeElement.matches('h1')") })
}
