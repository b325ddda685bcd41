package guest

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestDocuments holds docs/signalling.md and docs/guests.md against the code: every message with its members, every code, every metric, and the bounds.
func TestDocuments(t *testing.T) {
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(b)), " ") // lines may break anywhere
	}
	names := func(path, pattern string) (list []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(read(path), -1) {
			list = append(list, m[1])
		}
		return list
	}
	signalling, guests := read("../../docs/signalling.md"), read("../../docs/guests.md")

	fromPage, toPage, _ := strings.Cut(signalling, "### From the gateway")
	asked := map[string]any{}
	for _, kind := range names("decode.go", `case "(\w+)": return new`) {
		asked[kind] = requests(kind)
	}
	told := map[string]any{}
	for _, m := range []message{
		new(welcome), new(stateMessage), new(answer), new(tiles), new(people), new(speakers), new(sending), new(microphoneState), new(handState), new(banner),
		new(notice), new(failure), new(pong),
	} {
		told[m.kind()] = m
	}
	if n := len(names("encode.go", `kind\(\) string \{ return "(\w+)"`)); n != len(told) || len(asked) < 10 {
		t.Fatalf("%d messages of the gateway are looked at, of %d; %d of the page", len(told), n, len(asked))
	}
	for text, messages := range map[string]map[string]any{fromPage: asked, toPage: told} {
		for kind, m := range messages {
			row := regexp.MustCompile("\\| `" + kind + "` \\| [^|]*\\|[^|]*\\|").FindString(text)
			if row == "" {
				t.Errorf("docs/signalling.md: there is no message %s", kind)
			}
			for _, member := range members(reflect.TypeOf(m).Elem()) {
				if !strings.Contains(row, "`"+member+"`") {
					t.Errorf("docs/signalling.md: %s has no member %s", kind, member)
				}
			}
		}
	}
	for _, member := range members(reflect.TypeFor[Terms]()) {
		if !strings.Contains(fromPage, "`"+member+"`") {
			t.Errorf("docs/signalling.md: terms have no %s", member)
		}
	}
	for _, code := range names("reason.go", `verdict\{"(\w+)"`) {
		if !strings.Contains(signalling, "`"+code+"`") {
			t.Errorf("docs/signalling.md: there is no code %s", code)
		}
	}
	for _, name := range names("metrics.go", `"(\w+(?:_total|_seconds)|legs|sockets|sessions)"`) {
		if name = "passerelle_guest_" + strings.TrimPrefix(name, "passerelle_guest_"); !strings.Contains(guests, name) {
			t.Errorf("docs/guests.md: there is no metric %s", name)
		}
	}
	for text, bound := range map[string]string{
		signalling: fmt.Sprintf("%d KiB a message, %d KiB of SDP, %d media sections, %d tiles, %d messages a second", maxMessage>>10, maxSDP>>10, maxTracks, maxTiles, maxMessages),
		guests:     fmt.Sprintf("%d KiB, %d KiB and %d sections, %d tiles", maxMessage>>10, maxSDP>>10, maxTracks, maxTiles),
	} {
		if !strings.Contains(text, bound) {
			t.Errorf("the documents do not say: %s", bound)
		}
	}
}

// members are the names of a message's members in JSON, with those of what they hold; terms, servers and tracks are described elsewhere.
func members(m reflect.Type) (list []string) {
	for m.Kind() == reflect.Slice || m.Kind() == reflect.Pointer {
		m = m.Elem()
	}
	if m.Kind() != reflect.Struct || m.PkgPath() != reflect.TypeFor[welcome]().PkgPath() {
		return nil
	}
	for f := range m.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			list = append(list, name)
		}
		if f.Type != reflect.TypeFor[Terms]() && f.Name != "Servers" && f.Name != "Tracks" {
			list = append(list, members(f.Type)...)
		}
	}
	return list
}
