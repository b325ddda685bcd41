package policy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"passerelle/configs"
)

// journal is what was told of loadings.
type journal struct {
	mu      sync.Mutex
	loaded  []string // "good" or the error
	changes int
}

func (j *journal) tell(version string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := "good"
	if err != nil {
		text = err.Error()
	}
	j.loaded = append(j.loaded, fmt.Sprintf("%.8s %s", version, text))
}

func (j *journal) change() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.changes++
}

func (j *journal) counts() (loaded, changes int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.loaded), j.changes
}

// rulesOf is a file whose only rule has a name.
func rulesOf(name string) string {
	return "version: 1\nrules:\n  - {name: " + name + ", grant: {}}\n"
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// swap replaces a file by another one at once, as editors do.
func swap(t *testing.T, path, text string) {
	t.Helper()
	put(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// link points a symbolic link somewhere else at once, as Kubernetes does.
func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// opened is a keeper of a file, with what it tells.
func opened(t *testing.T, path string, o Options) (*Keeper, *journal, *bytes.Buffer) {
	t.Helper()
	j, b := new(journal), new(bytes.Buffer)
	o.Loaded = j.tell
	k, err := Open(configs.Rules{File: path}, o, slog.New(slog.NewTextHandler(&lockedWriter{b: b}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	k.OnChange(j.change)
	return k, j, b
}

type lockedWriter struct {
	mu sync.Mutex
	b  *bytes.Buffer
}

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(b)
}

// decidedBy is the name of the rule that takes any call.
func decidedBy(t *testing.T, k *Keeper) string { return k.Decide(t.Context(), Facts{Room: "x"}).Rule }

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	put(t, path, rulesOf("one"))
	k, j, _ := opened(t, path, Options{})
	first := k.Set()
	if decidedBy(t, k) != "one" {
		t.Fatal("the first rules are not in force")
	}

	put(t, path, rulesOf("two"))
	if err := k.Reload(); err != nil || decidedBy(t, k) != "two" || k.Set().Version() == first.Version() {
		t.Fatalf("%v, decided by %q", err, decidedBy(t, k))
	}
	if d := first.Decide(Facts{Room: "x"}); d.Rule != "one" {
		t.Error("a set changed while somebody held it")
	}

	for name, text := range map[string]string{
		"broken": "version: 1\nrules:\n  - {name: three, grnt: {}}\n", "empty": "", "huge": rulesOf("x") + strings.Repeat("#", maxFile), "binary": "\x00\x01",
	} {
		put(t, path, text)
		if err := k.Reload(); err == nil || decidedBy(t, k) != "two" || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, decided by %q", name, err, decidedBy(t, k))
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := k.Reload(); !errors.Is(err, os.ErrNotExist) || decidedBy(t, k) != "two" {
		t.Errorf("gone: %v, decided by %q", err, decidedBy(t, k))
	}
	put(t, path, rulesOf("two"))
	if err := k.Reload(); err != nil {
		t.Error(err)
	}
	loaded, changes := j.counts()
	if loaded != 8 || changes != 1 {
		t.Errorf("%d loadings and %d changes were told: %v", loaded, changes, j.loaded)
	}
	if last := j.loaded[len(j.loaded)-1]; last != k.Set().Version()[:8]+" good" {
		t.Errorf("the last loading: %q", last)
	}
}

func TestOpenRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	j := new(journal)
	open := func() error {
		_, err := Open(configs.Rules{File: path}, Options{Loaded: j.tell, Check: func(s *Set) error {
			if len(s.Notices()) > 0 {
				return errors.New("no such recording")
			}
			return nil
		}}, slog.New(slog.DiscardHandler))
		return err
	}
	if err := open(); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	put(t, path, "version: 1\n")
	if err := open(); err == nil || !strings.Contains(err.Error(), "expected rules:") {
		t.Error(err)
	}
	put(t, path, "version: 1\nrules: [{name: a, refuse: {notice: n}}]")
	if err := open(); err == nil || !strings.Contains(err.Error(), "no such recording") {
		t.Error(err)
	}
	if len(j.loaded) != 3 {
		t.Errorf("told: %v", j.loaded)
	}
}

func TestOpenWithoutFile(t *testing.T) {
	k, j, _ := opened(t, "", Options{})
	if decidedBy(t, k) != "every call" || k.Reload() != nil {
		t.Error("the built-in rule does not hold")
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := k.Run(ctx); err != nil {
		t.Error(err)
	}
	if loaded, _ := j.counts(); loaded != 1 {
		t.Errorf("told: %v", j.loaded)
	}
}

// watched runs a keeper until the end of the test.
func watched(t *testing.T, k *Keeper, told bool, poll time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	notify := fsnotify.NewWatcher
	if !told {
		notify = func() (*fsnotify.Watcher, error) { return nil, errors.New("too many watchers") }
	}
	go func() { done <- k.watch(ctx, notify, 10*time.Millisecond, poll) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// until waits for something to come true.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestWatch(t *testing.T) {
	rules := func(t *testing.T, k *Keeper, name string) {
		t.Helper()
		until(t, "rules "+name, func() bool { return decidedBy(t, k) == name })
	}
	const never = time.Hour
	for name, poll := range map[string]time.Duration{"told": never, "polled": 5 * time.Millisecond} {
		t.Run("written in place, "+name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "rules.yaml")
			put(t, path, rulesOf("one"))
			k, j, _ := opened(t, path, Options{})
			put(t, path, rulesOf("early")) // before anybody watches
			watched(t, k, poll == never, poll)
			rules(t, k, "early")
			put(t, path, rulesOf("later"))
			rules(t, k, "later")
			put(t, path, "version: 1\nrules: [")
			until(t, "the broken file is told", func() bool { n, _ := j.counts(); return strings.Contains(j.last(), "not valid YAML") && n > 0 })
			rules(t, k, "later")
			put(t, path, rulesOf("good"))
			rules(t, k, "good")
		})
		t.Run("replaced, "+name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "rules.yaml")
			put(t, path, rulesOf("one"))
			k, _, _ := opened(t, path, Options{})
			watched(t, k, poll == never, poll)
			for i := range 5 {
				swap(t, path, rulesOf(fmt.Sprint("r", i)))
				rules(t, k, fmt.Sprint("r", i))
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			rules(t, k, "r4")
			put(t, path, rulesOf("again"))
			rules(t, k, "again")
		})
		t.Run("links swapped, "+name, func(t *testing.T) {
			dir := t.TempDir()
			for _, v := range []string{"..v1", "..v2", "..v3"} {
				if err := os.Mkdir(filepath.Join(dir, v), 0o700); err != nil {
					t.Fatal(err)
				}
				put(t, filepath.Join(dir, v, "rules.yaml"), rulesOf("rules"+v))
			}
			link(t, "..v1", filepath.Join(dir, "..data"))
			link(t, "..data/rules.yaml", filepath.Join(dir, "rules.yaml"))
			k, _, _ := opened(t, filepath.Join(dir, "rules.yaml"), Options{})
			watched(t, k, poll == never, poll)
			rules(t, k, "rules..v1")
			for _, v := range []string{"..v2", "..v3", "..v1"} {
				link(t, v, filepath.Join(dir, "..data"))
				rules(t, k, "rules"+v)
			}
			put(t, filepath.Join(dir, "..v1", "rules.yaml"), rulesOf("behind the links"))
			rules(t, k, "behind the links")
		})
	}
	t.Run("the directory comes back", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "etc")
		path := filepath.Join(dir, "rules.yaml")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, path, rulesOf("one"))
		k, _, _ := opened(t, path, Options{})
		watched(t, k, true, 5*time.Millisecond)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, path, rulesOf("two"))
		rules(t, k, "two")
	})
}

func (j *journal) last() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.loaded[len(j.loaded)-1]
}

// TestBadFileIsToldOnce: a file that stays broken is not told again and again.
func TestBadFileIsToldOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	put(t, path, rulesOf("one"))
	k, j, _ := opened(t, path, Options{})
	put(t, path, "version: 2\n")
	for range 5 {
		k.refresh()
	}
	if loaded, changes := j.counts(); loaded != 2 || changes != 0 {
		t.Errorf("%d loadings, %d changes: %v", loaded, changes, j.loaded)
	}
}

func TestReloadFromManyGoroutines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	put(t, path, rulesOf("r0"))
	k, _, _ := opened(t, path, Options{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 50 {
				if err := k.Reload(); err != nil {
					t.Error(err)
				}
				if d := k.Decide(t.Context(), Facts{Room: "x"}); !d.Allowed || d.Version == "" {
					t.Errorf("%+v", d)
				}
			}
		})
	}
	for i := range 50 {
		swap(t, path, rulesOf(fmt.Sprint("r", i)))
	}
	wg.Wait()
	if err := k.Reload(); err != nil || decidedBy(t, k) != "r49" {
		t.Errorf("%v, %q", err, decidedBy(t, k))
	}
}

func TestNarrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	put(t, path, `version: 1
rules:
  - {name: refused, when: {trunk: no}, refuse: x}
  - {name: room, when: {room: y}, grant: {}}
  - {name: granted, grant: {learn: count, duration: 1h, lobby: host, max_rule: 5}}
`)
	var answer func(d Decision) Decision
	asked := 0
	k, _, _ := opened(t, path, Options{Narrow: func(_ context.Context, _ Facts, d Decision) Decision {
		asked++
		return answer(d)
	}})
	change := func(f func(d *Decision)) func(Decision) Decision {
		return func(d Decision) Decision { f(&d); return d }
	}
	for _, c := range []struct {
		name   string
		facts  Facts
		answer func(Decision) Decision
		want   Reason
		check  func(d Decision) bool
	}{
		{"refused already", Facts{Trunk: "no", Room: "x"}, nil, Forbidden, nil},
		{"as it is", Facts{Room: "x"}, change(func(*Decision) {}), "", func(d Decision) bool { return d.Grant.Lobby == WithHost && d.Grant.Duration == time.Hour }},
		{"less", Facts{Room: "x"}, change(func(d *Decision) { d.Grant.Learn, d.Grant.Lobby = LearnNothing, AskHost }), "", func(d Decision) bool {
			return d.Grant.Learn == LearnNothing && d.Grant.Lobby == AskHost && d.Rule == "granted" && d.Version == k.Set().Version()
		}},
		{"more", Facts{Room: "x"}, change(func(d *Decision) {
			d.Rule, d.Version = "mine", "mine"
			d.Grant = Grant{Lobby: NoLobby, Encryption: Optional, Audio: Both, Video: Both, Learn: LearnNames, Duration: 0, Keys: allKeys(), ShowNumber: Full}
		}), "", func(d Decision) bool {
			return d.Rule == "granted" && d.Grant.Lobby == WithHost && d.Grant.Video == Neither && d.Grant.Learn == LearnCount && d.Grant.Duration == time.Hour
		}},
		{"no", Facts{Room: "x"}, func(Decision) Decision { return Decision{Refusal: Refusal{Reason: Unavailable, Text: "Away"}} }, Unavailable, nil},
		{"no, without a word", Facts{Room: "x"}, func(Decision) Decision { return Decision{} }, Forbidden, nil},
		{"encryption", Facts{Room: "x"}, change(func(d *Decision) { d.Grant.Encryption = Require }), NotEncrypted, nil},
		{"encryption that is there", Facts{Room: "x", Encrypted: true}, change(func(d *Decision) { d.Grant.Encryption = Require }), "", nil},
		{"a limit", Facts{Room: "x", OfRule: map[string]int{"granted": 2}}, change(func(d *Decision) { d.Grant.MaxRule = 2 }), TooMany, nil},
		{"nothing", Facts{Room: "x"}, change(func(d *Decision) { d.Grant.Audio = Neither }), Forbidden, nil},
		{"open", Facts{}, change(func(*Decision) {}), "", func(d Decision) bool { return d.Open }},
		{"open, with a limit", Facts{OfRule: map[string]int{"": 2}}, change(func(d *Decision) { d.Grant.MaxRule = 2 }), "", func(d Decision) bool { return d.Open }},
	} {
		before := asked
		answer = c.answer
		d := k.Decide(t.Context(), c.facts)
		if d.Allowed != (c.want == "") || d.Refusal.Reason != c.want || c.check != nil && !c.check(d) {
			t.Errorf("%s: %+v", c.name, d)
		}
		if !d.Allowed && (d.Rule == "" || d.Refusal.Text == "") {
			t.Errorf("%s: %+v", c.name, d)
		}
		if was := asked - before; was != 1 && c.answer != nil || was != 0 && c.answer == nil {
			t.Errorf("%s: asked %d times", c.name, was)
		}
	}
}

func TestDecideKnowsTheTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	put(t, path, "version: 1\nzone: UTC\nrules: [{name: always, when: {time: [{days: mon-wed}, {days: thu-sun}]}, grant: {}}]\n")
	k, _, _ := opened(t, path, Options{})
	if d := k.Decide(t.Context(), Facts{}); !d.Allowed {
		t.Errorf("without a time: %+v", d)
	}
}
