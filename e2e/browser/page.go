package browser

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"strings"
	"testing"
	"time"
)

// Page is a tab of a browser. Its methods are for the test's goroutine, and fail the test where the browser cannot do what they say within a while. Elements are
// named by CSS selectors.
type Page struct {
	T *testing.T
	*process
	tab int
}

// do has the driver carry out a command of driver.mjs, with members and their values in turn. result gets its JSON; nil: it has none.
func (p *Page) do(result any, command string, members ...any) {
	p.T.Helper()
	if failure := p.try(result, command, members...); failure != "" {
		p.T.Fatalf("%s %s: %s", command, strings.TrimSpace(fmt.Sprintln(members...)), failure)
	}
}

// try is do, and answers what went wrong.
func (p *Page) try(result any, command string, members ...any) (failure string) {
	p.T.Helper()
	request := map[string]any{"command": command, "tab": p.tab}
	for i := 0; i < len(members); i += 2 {
		request[members[i].(string)] = members[i+1]
	}
	line, err := json.Marshal(request)
	if err != nil {
		p.T.Fatal(err)
	}
	limit := time.AfterFunc(60*time.Second, func() { _ = p.kill() })
	defer limit.Stop()
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return err.Error()
	}
	if line, err = p.answers.ReadBytes('\n'); err != nil {
		return "no answer within 60 s: " + err.Error()
	}
	var answer struct {
		Error  string
		Result json.RawMessage
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		p.T.Fatalf("%s: %v", command, err)
	}
	if answer.Error == "" && result != nil {
		if err := json.Unmarshal(answer.Result, result); err != nil {
			p.T.Fatalf("%s: %v", command, err)
		}
	}
	return answer.Error
}

// Open goes to an address, Reload to the same one again; both return before the page is whole.
func (p *Page) Open(url string) { p.T.Helper(); p.do(nil, "open", "url", url) }

// Reload loads the page anew.
func (p *Page) Reload() { p.T.Helper(); p.do(nil, "reload") }

// Duplicate opens the page in another tab of the browser, as people do it: what the first one remembers goes with it.
func (p *Page) Duplicate() *Page {
	p.T.Helper()
	copied := &Page{T: p.T, process: p.process}
	p.do(&copied.tab, "duplicate")
	return copied
}

// Wait waits until an element is to be seen, for 45 s at most.
func (p *Page) Wait(on string) { p.T.Helper(); p.do(nil, "wait", "on", on) }

// Click clicks on an element.
func (p *Page) Click(on string) { p.T.Helper(); p.do(nil, "click", "on", on) }

// Press presses a key (names as in KeyboardEvent.key), Down and Up are its halves.
func (p *Page) Press(key string) { p.T.Helper(); p.do(nil, "press", "key", key) }

// Down holds a key.
func (p *Page) Down(key string) { p.T.Helper(); p.do(nil, "down", "key", key) }

// Up lets go of a key.
func (p *Page) Up(key string) { p.T.Helper(); p.do(nil, "up", "key", key) }

// Choose takes an option of a select by its value.
func (p *Page) Choose(on, value string) {
	p.T.Helper()
	p.do(nil, "choose", "on", on, "value", value)
}

// Eval runs JavaScript in the page, and waits for it where it is a promise.
func (p *Page) Eval(js string) { p.T.Helper(); p.do(nil, "eval", "js", js) }

// Get is Eval; result gets the JSON of its value.
func (p *Page) Get(result any, js string) { p.T.Helper(); p.do(result, "eval", "js", js) }

// Is tells whether a JavaScript expression is true in the page. A page that is being loaded answers false.
func (p *Page) Is(js string) (yes bool) {
	p.T.Helper()
	return p.try(&yes, "eval", "js", "Boolean("+js+")") == "" && yes
}

// Text is an element's text.
func (p *Page) Text(on string) (text string) {
	p.T.Helper()
	p.do(&text, "text", "on", on)
	return text
}

// Heading is the text of the page's heading.
func (p *Page) Heading() string { p.T.Helper(); return p.Text("h1") }

// Offline takes the network from the browser, or gives it back. Media go on.
func (p *Page) Offline(off bool) { p.T.Helper(); p.do(nil, "offline", "off", off) }

// Permit has the browser let pages use what is named, of "camera" and "microphone", and nothing else from now on.
func (p *Page) Permit(names ...string) {
	p.T.Helper()
	if names == nil {
		names = []string{}
	}
	p.do(nil, "permit", "names", names)
}

// Colours has the page be drawn "light" or "dark".
func (p *Page) Colours(scheme string) { p.T.Helper(); p.do(nil, "media", "colorScheme", scheme) }

// Motion says whether the one before the page wants things to move. Without this, not.
func (p *Page) Motion(wanted bool) {
	p.T.Helper()
	p.do(nil, "media", "reducedMotion", map[bool]string{true: "no-preference", false: "reduce"}[wanted])
}

// Size gives the page another size, in CSS pixels.
func (p *Page) Size(width, height int) {
	p.T.Helper()
	p.do(nil, "size", "width", width, "height", height)
}

// Shoot writes a picture of the page into a PNG file.
func (p *Page) Shoot(file string) { p.T.Helper(); p.do(nil, "screenshot", "file", file) }

// Picture is an element as it is rendered; nil: it is not there.
func (p *Page) Picture(on string) image.Image {
	p.T.Helper()
	var text string
	if p.try(&text, "picture", "on", on) != "" {
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		p.T.Fatal(err)
	}
	i, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		p.T.Fatal(err)
	}
	return i
}

// Recorded is a sound that the page kept, 48 kHz, and when its first sample was. The value of js is { pcm, start }: 16-bit little-endian samples in base64, and
// milliseconds since 1970.
func (p *Page) Recorded(js string) (pcm []int16, start time.Time) {
	p.T.Helper()
	var answer struct {
		PCM   string
		Start float64
	}
	p.Get(&answer, js)
	raw, err := base64.StdEncoding.DecodeString(answer.PCM)
	if err != nil {
		p.T.Fatal(err)
	}
	pcm = make([]int16, len(raw)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(raw[2*i:]))
	}
	return pcm, time.UnixMicro(int64(answer.Start * 1000))
}

// Requests are the addresses that the browser's pages have asked for, WebSockets included.
func (p *Page) Requests() (all []string) { p.T.Helper(); p.do(&all, "requests"); return all }

// Faults are errors that pages threw and did not catch, and what their policies had to refuse.
func (p *Page) Faults() (all []string) { p.T.Helper(); p.do(&all, "faults"); return all }

// Strays are the addresses of other hosts that Firefox itself wanted. They were refused.
func (p *Page) Strays() []string { return p.strays.seen() }

// Violation is what axe-core finds: how bad ("minor", "moderate", "serious", "critical"), and where.
type Violation struct {
	ID, Impact, Help string
	Nodes            []string
}

// Axe looks at the page as it is for what keeps people with disabilities from using it.
func (p *Page) Axe() (found []Violation) { p.T.Helper(); p.do(&found, "axe"); return found }
