//go:build e2e

package guest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const pageDir = "../../webrtc/guest/page"

// TestLanguages holds the languages of the page against each other, and against the texts that its scripts ask for.
func TestLanguages(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(pageDir, "lang", "*.json"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	words := map[string]map[string]any{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var w map[string]any
		if err := json.Unmarshal(text, &w); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		words[strings.TrimSuffix(filepath.Base(path), ".json")] = w
	}
	placeholder := regexp.MustCompile(`\{\w+\}`)
	for language, w := range words {
		for key, english := range words["en"] {
			theirs, ok := w[key]
			if !ok {
				t.Errorf("%s.json lacks %s", language, key)
				continue
			}
			a, okA := english.(string)
			b, okB := theirs.(string)
			if okA != okB || okA && !slices.Equal(slices.Sorted(slices.Values(placeholder.FindAllString(a, -1))), slices.Sorted(slices.Values(placeholder.FindAllString(b, -1)))) {
				t.Errorf("%s.json: %s has other places for values than the English text", language, key)
			}
		}
		for key := range w {
			if _, ok := words["en"][key]; !ok {
				t.Errorf("%s.json has %s, which en.json has not", language, key)
			}
		}
	}
	asked := regexp.MustCompile(`\bt\('([\w.]+)'`)
	scripts, err := filepath.Glob(filepath.Join(pageDir, "js", "*.js"))
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(filepath.Join(pageDir, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range scripts {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range asked.FindAllSubmatch(text, -1) {
			if _, ok := words["en"][string(m[1])]; !ok {
				t.Errorf("%s asks for the text %s, which is not there", filepath.Base(path), m[1])
			}
		}
		if !strings.Contains(string(index), `"page/js/`+filepath.Base(path)+`"`) {
			t.Errorf("index.html does not load %s early", filepath.Base(path))
		}
	}
}
