package stamp

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if s, err := Of(path); err == nil || s.Same(s) || s.Mode() != 0 {
		t.Fatalf("no file: %v, %v", s, err)
	}
	write := func(path, text string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	look := func() Stamp {
		t.Helper()
		s, err := Of(path)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	write(path, "one", at)
	first := look()
	if !first.Same(look()) || first.Mode().Perm() != 0o600 {
		t.Error("a file that nobody touched is another")
	}
	write(path, "three", at)
	if first.Same(look()) {
		t.Error("another size, and the same file")
	}
	write(path, "one", at.Add(time.Nanosecond))
	if first.Same(look()) {
		t.Error("another time, and the same file")
	}
	write(path, "one", at)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if first.Same(look()) {
		t.Error("another mode, and the same file")
	}
	write(path+".new", "one", at)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if first.Same(look()) {
		t.Error("another file of the same size and time is taken for the first")
	}
}
