package policy

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestGuide reads the rules that the guide shows.
func TestGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		block := m[1]
		if strings.Contains(block, "- name:") && !strings.HasPrefix(block, "version:") {
			block = head + block
		}
		if !strings.HasPrefix(block, "version:") {
			continue // a line or two of a rule
		}
		files++
		s, err := Parse("docs/rules.md", []byte(block))
		if err != nil {
			t.Errorf("%v\n%s", err, block)
		} else if len(s.Warnings()) > 0 {
			t.Errorf("%v\n%s", s.Warnings(), block)
		}
	}
	if files != 2 {
		t.Errorf("%d files of rules in the guide, want 2", files)
	}
}

// TestGuideNamesEverything: no key is without a word in the guide.
func TestGuideNamesEverything(t *testing.T) {
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	known := regexp.MustCompile(`known here: (.*)`)
	for _, in := range []string{"when: {?: 1}, refuse: x", "grant: {?: 1}", "grant: {video: both, picture: {?: 1}}", "refuse: {?: 1}", "when: {time: {?: 1}}, refuse: x"} {
		_, err := Parse("r", []byte(strings.ReplaceAll(head+"  - {name: a, "+in+"}\n", "?", "\"?\"")))
		if err == nil {
			t.Fatal(in)
		}
		m := known.FindStringSubmatch(err.Error())
		if m == nil {
			continue // more keys than are listed
		}
		for _, key := range strings.Split(m[1], ", ") {
			if !strings.Contains(string(text), key) {
				t.Errorf("%s is not in the guide", key)
			}
		}
	}
	for k := range keyTime + 1 {
		if !strings.Contains(string(text), "`"+k.String()+"`") {
			t.Errorf("the condition %s is not in the guide", k)
		}
	}
	for _, g := range regexp.MustCompile(`json:"(\w+)`).FindAllStringSubmatch(grantTags(), -1) {
		if !strings.Contains(string(text), "`"+g[1]+"`") {
			t.Errorf("the grant %s is not in the guide", g[1])
		}
	}
}

// grantTags are the tags of the fields of a grant.
func grantTags() string {
	var tags strings.Builder
	for f := range reflect.TypeFor[Grant]().Fields() {
		tags.WriteString(string(f.Tag) + "\n")
	}
	return tags.String()
}
