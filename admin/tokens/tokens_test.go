package tokens

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keep makes a keeper of a file, and what it told so far.
func keep(t *testing.T, path string) (*Keeper, func() []News) {
	t.Helper()
	var mu sync.Mutex
	var told []News
	k, err := NewKeeper(path, func(n News) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return k, func() []News {
		mu.Lock()
		defer mu.Unlock()
		return append([]News(nil), told...)
	}
}

func TestRoles(t *testing.T) {
	for _, c := range []struct {
		have, need Role
		want       bool
	}{
		{Viewer, Viewer, true},
		{Viewer, Operator, false},
		{Viewer, Admin, false},
		{Operator, Viewer, true},
		{Operator, Operator, true},
		{Operator, Admin, false},
		{Admin, Viewer, true},
		{Admin, Operator, true},
		{Admin, Admin, true},
		{"", Viewer, false},
		{"root", Viewer, false},
		{Admin, "", false},
		{Admin, "root", false},
	} {
		if got := c.have.Covers(c.need); got != c.want {
			t.Errorf("%q covers %q: %v", c.have, c.need, got)
		}
	}
}

func TestTheLifeOfAToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	k, told := keep(t, path)
	now := time.Date(2026, 11, 22, 10, 0, 0, 7, time.UTC)
	token, secret := New("console", Operator, now, now.Add(time.Hour))
	if !strings.HasPrefix(secret, "pass_") || len(secret) != 48 {
		t.Fatalf("the token %q has another form", secret)
	}
	if _, ok := k.Find(secret); ok {
		t.Fatal("known before it was written")
	}
	if err := Add(path, token); err != nil {
		t.Fatal(err)
	}
	got, ok := k.Find(secret)
	if !ok || got != token || !k.Has(got) {
		t.Fatalf("found %+v, want %+v", got, token)
	}
	if got.Expired(now.Add(time.Hour-time.Second)) || !got.Expired(now.Add(time.Hour)) {
		t.Error("the end is not where it should be")
	}
	if err := Add(path, token); !errors.Is(err, ErrExists) {
		t.Errorf("a second one of the same name: %v", err)
	}
	second, other := New("second", Admin, now, time.Time{})
	if err := Add(path, second); err != nil {
		t.Fatal(err)
	}
	if got, ok := k.Find(other); !ok || got != second || got.Expired(now.AddDate(100, 0, 0)) {
		t.Errorf("the second: %+v", got)
	}
	if err := Remove(path, "console"); err != nil {
		t.Fatal(err)
	}
	if _, ok := k.Find(secret); ok || k.Has(token) {
		t.Error("a removed token is still known")
	}
	if err := Remove(path, "console"); !errors.Is(err, ErrNone) {
		t.Errorf("removed twice: %v", err)
	}
	if news := told(); len(news) != 4 || !errors.Is(news[0].Err, fs.ErrNotExist) || news[2].Tokens != 2 || news[3].Tokens != 1 || len(news[3].Hash) != 64 {
		t.Errorf("told %+v", news)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), other) || strings.Contains(string(b), "pass_") {
		t.Error("the file holds a token")
	}
}

func TestForgedSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	token, secret := New("a", Admin, time.Now(), time.Time{})
	if err := Add(path, token); err != nil {
		t.Fatal(err)
	}
	k, _ := keep(t, path)
	last := byte('A')
	if secret[47] == last {
		last = 'E'
	}
	for _, s := range []string{
		"", "pass_", "pass", secret[:47], secret + "A", secret[:47] + string(last), strings.ToUpper(secret), " " + secret, token.Hash, "Bearer " + secret,
		strings.Repeat("x", 1<<20),
	} {
		if _, ok := k.Find(s); ok {
			t.Errorf("%.60q is taken", s)
		}
	}
	if _, ok := k.Find(secret); !ok {
		t.Error("the token itself is not")
	}
}

func TestModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	token, secret := New("a", Admin, time.Now(), time.Time{})
	if err := Add(path, token); err != nil {
		t.Fatal(err)
	}
	if i, err := os.Stat(path); err != nil || i.Mode().Perm() != 0o600 {
		t.Fatalf("made with mode %v, %v", i.Mode(), err)
	}
	k, _ := keep(t, path)
	for mode, want := range map[os.FileMode]bool{0o600: true, 0o640: true, 0o400: true, 0o644: false, 0o660: false, 0o606: false, 0o641: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, ok := k.Find(secret); ok != want {
			t.Errorf("mode %04o: %v", mode, ok)
		}
		if _, err := NewKeeper(path, func(News) {}); (err == nil) != want {
			t.Errorf("mode %04o at the start: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := Remove(path, "a"); err != nil {
		t.Fatal(err)
	}
	if i, err := os.Stat(path); err != nil || i.Mode().Perm() != 0o640 {
		t.Errorf("a change gives it another mode: %v, %v", i.Mode(), err)
	}
}

// A file that cannot be used any more knows nobody, until it can.
func TestBrokenAndGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	token, secret := New("a", Admin, time.Now(), time.Time{})
	if err := Add(path, token); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	k, told := keep(t, path)
	for _, step := range []struct {
		content string
		want    bool
	}{{string(good) + "- name: [", false}, {string(good), true}, {"", false}, {string(good), true}} {
		if err := os.WriteFile(path, []byte(step.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok := k.Find(secret); ok != step.want {
			t.Errorf("%.20q: known: %v", step.content, ok)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, ok := k.Find(secret); ok {
			t.Error("known without a file")
		}
	}
	if n := len(told()); n != 6 {
		t.Errorf("told %d times, want 6: %+v", n, told())
	}
}

func TestTwoWhoEdit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			token, _ := New(fmt.Sprintf("t%d", i), Viewer, time.Now(), time.Time{})
			if err := Add(path, token); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if list, err := Read(path); err != nil || len(list) != 16 {
		t.Errorf("%d tokens, want 16: %v", len(list), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".tokens-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestALinkStays(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.yaml"), filepath.Join(dir, "link.yaml")
	if err := errors.Join(os.WriteFile(real, nil, 0o600), os.Symlink(real, link)); err != nil {
		t.Fatal(err)
	}
	token, _ := New("a", Viewer, time.Now(), time.Time{})
	if err := Add(link, token); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != real {
		t.Errorf("the link is gone: %v", err)
	}
	if list, err := Read(real); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// refused are files that are not taken, and what is said of them.
func refused() map[string]string {
	sum := strings.Repeat("0a", 32)
	return map[string]string{
		"tokens: []":                "line 1: expected a list",
		"- a":                       "line 1: expected a token",
		"- name: a\n  role: viewer": "hash: expected the 64",
		"- {name: a, role: root, hash: " + sum + "}":                                                                     "role: expected",
		"- {name: a b, role: admin, hash: " + sum + "}":                                                                  "name: expected",
		"- {role: admin, hash: " + sum + "}":                                                                             "name: expected",
		"- {name: a, role: admin, hash: " + sum[:62] + "}":                                                               "hash: expected",
		"- {name: a, role: admin, hash: " + sum + ", secret: pass_x}":                                                    "unknown or repeated key",
		"- {name: a, role: admin, hash: " + sum + ", name: b}":                                                           "",
		"- {name: a, role: admin, hash: " + sum + ", expires: tomorrow}":                                                 "expires: expected a time",
		"- {name: a, role: admin, hash: " + sum + ", expires: null}":                                                     "expires: expected a text",
		"- {name: a, role: admin, hash: [" + sum + "]}":                                                                  "hash: expected a text",
		"- &x {name: a, role: admin, hash: " + sum + "}\n- *x":                                                           "anchors",
		"- {name: a, role: admin, hash: " + sum + "}\n- {name: a, role: viewer, hash: " + strings.Repeat("0b", 32) + "}": "line 2: a name or hash",
		"- {name: a, role: admin, hash: " + sum + "}\n- {name: b, role: viewer, hash: " + strings.ToUpper(sum) + "}":     "line 2: a name or hash",
		strings.Repeat("- a\n", maxTokens+1):                                                                             "expected at most 1000",
		"---\n[]\n---\n[]":                                                                                               "more than one",
	}
}

func TestRefusedFiles(t *testing.T) {
	for content, want := range refused() {
		_, err := parse([]byte(content))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", content, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "pass_") || strings.Contains(err.Error(), "0a0a")) {
			t.Errorf("the error tells what the file holds: %v", err)
		}
	}
	for _, content := range []string{"", "# nothing", "[]", "null"} {
		if list, err := parse([]byte(content)); err != nil || len(list) != 0 {
			t.Errorf("%q: %v, %v", content, list, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	token, _ := New("a", Admin, time.Now(), time.Now().Add(time.Hour))
	other, _ := New("b-2", Viewer, time.Now(), time.Time{})
	good, err := format([]Token{token, other})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	for content := range refused() {
		if len(content) < 1000 {
			f.Add([]byte(content))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parse(b)
		if err != nil {
			return
		}
		written, err := format(list)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(written)
		if err != nil || len(again) != len(list) {
			t.Fatalf("%v\n%s", err, written)
		}
		for i := range list {
			list[i].Created, list[i].Expires = list[i].Created.Truncate(time.Second), list[i].Expires.Truncate(time.Second)
			if again[i] != list[i] {
				t.Fatalf("written and read again, %+v is %+v", list[i], again[i])
			}
		}
	})
}
