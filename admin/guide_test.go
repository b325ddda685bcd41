package admin

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"passerelle/admin/tokens"
)

// Every example of the guide works.
func TestGuide(t *testing.T) {
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, nil)
	example := regexp.MustCompile(`(?m)^api (?:-X (POST|DELETE) )?(?:--json '([^']*)' )?"\$NODE(/[^"]*)"$`)
	found := example.FindAllStringSubmatch(string(text), -1)
	if n := strings.Count(string(text), "\napi "); n != len(found) || n < 10 {
		t.Errorf("%d examples, of which %d are understood here", n, len(found))
	}
	for _, m := range found {
		method := "GET"
		switch {
		case m[1] != "":
			method = m[1]
		case m[2] != "":
			method = "POST"
		}
		if a := r.ask(method, m[3], tokens.Admin, m[2]); a.status/100 != 2 {
			t.Errorf("%s: %d %s", m[0], a.status, a.body)
		}
	}
	for _, m := range regexp.MustCompile("`passerelle_http_[a-z_]+").FindAllString(string(text), -1) {
		if a := r.ask("GET", "/metrics", "", ""); !strings.Contains(string(a.body), "# TYPE "+m[1:]+" ") && m[1:] != "passerelle_http_event_streams_ended_total" {
			t.Errorf("%s is not among the metrics", m[1:])
		}
	}
}

// Every type of problem that the code knows stands in the guide.
func TestGuideNamesProblems(t *testing.T) {
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		source, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`refuse\(http\.Status\w+, "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
			words[m[1]] = true
		}
	}
	if len(words) < 15 {
		t.Errorf("only %d types of problems are found in the code", len(words))
	}
	for w := range words {
		if !strings.Contains(string(text), "`"+w+"`") {
			t.Errorf("docs/api.md does not name %s", w)
		}
	}
}
