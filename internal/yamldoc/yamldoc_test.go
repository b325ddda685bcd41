package yamldoc

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"mapping", "a: 1\nb: [x, y]\n", ""},
		{"nothing", "", ""},
		{"comments", "# only\n# words\n", ""},
		{"syntax", "a: 1\nb: hunter2: hunter2\n", "line 2: not valid YAML"},
		{"unknown alias", "a: *hunter2\n", "not valid YAML"},
		{"anchor", "a: &hunter2 x\nb: *hunter2\n", "line 1: anchors"},
		{"two documents", "a: 1\n---\nb: 2\n", "more than one"},
		{"deep", strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested too deeply"},
		{"binary", "\x00\x01\x02", "not valid YAML"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.in))
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("the error repeats the file: %v", err)
			}
		})
	}
}

func TestErrorTellsTheColumn(t *testing.T) {
	_, err := Parse([]byte("a: 1\nb: [c, &d e]\n"))
	var e *Error
	if !errors.As(err, &e) || e.Line != 2 || e.Column != 8 {
		t.Fatalf("got %+v", err)
	}
}

func TestHint(t *testing.T) {
	for _, c := range []struct {
		unknown string
		known   []string
		want    string
	}{
		{"encrypton", []string{"codecs", "encryption"}, "; did you mean encryption?"},
		{"x", []string{"codecs", "encryption"}, "; known here: codecs, encryption"},
		{"unlike", strings.Split("abcdfghjkmopqrstvw", ""), ""},
		{strings.Repeat("x", 1<<20), []string{"codecs"}, "; known here: codecs"},
	} {
		if got := Hint(c.unknown, c.known); got != c.want {
			t.Errorf("%.10q: got %q, want %q", c.unknown, got, c.want)
		}
	}
}

func TestReadFileIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := ReadFile(path, 5); err != nil || string(b) != "12345" {
		t.Fatalf("%q, %v", b, err)
	}
	if _, err := ReadFile(path, 4); err == nil {
		t.Fatal("a file over the limit was read")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "a: 1", "a: &x [*x]", "a: {b: [c, 'd', \"e\"]}\n", "---\n...\n---", "? a\n: b", "!!binary x", "%YAML 1.1\n---\n|"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := Parse(b)
		if n != nil && err != nil {
			t.Fatal("a tree and an error")
		}
	})
}
