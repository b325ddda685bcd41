package directory

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"passerelle/bridge"
)

// recorder is a log that can be read, and checks at the end of the test that no PIN is in it.
func recorder(t *testing.T) (*slog.Logger, *bytes.Buffer) {
	b := new(bytes.Buffer)
	t.Cleanup(func() {
		if strings.Contains(b.String(), secretPIN) {
			t.Errorf("the log tells a PIN:\n%s", b)
		}
	})
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})), b
}

func TestFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rooms.yaml")
	put := func(text string) {
		t.Helper()
		// A new file each time, as editors and deployments do it.
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	put("- {pin: " + secretPIN + ", room: a}\n")
	log, lines := recorder(t)
	f, err := NewFile(path, log)
	if err != nil {
		t.Fatal(err)
	}
	opens := func(pin, want string) {
		t.Helper()
		room, err := f.Find(t.Context(), pin)
		if want == "" && !errors.Is(err, bridge.ErrBadPIN) || want != "" && err != nil || room.Name != want {
			t.Fatalf("got %q, %v, want %q", room.Name, err, want)
		}
	}
	opens(secretPIN, "a")
	opens("1111111111", "")

	put("- {pin: " + secretPIN + ", room: b}\n- {pin: 1111111111, room: c}\n")
	opens(secretPIN, "b")
	opens("1111111111", "c")

	put("- {pin: " + secretPIN + ", room: d}\n- {pin: " + secretPIN + ", room: e}\n")
	opens(secretPIN, "b") // all or nothing
	opens("1111111111", "c")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	opens(secretPIN, "b")
	opens(secretPIN, "b")

	put("[]\n")
	opens(secretPIN, "")

	if n := strings.Count(lines.String(), "level=ERROR"); n != 2 {
		t.Errorf("a bad file and a file that is gone are told once each, not %d times:\n%s", n, lines)
	}
}

func TestFileMustBeGoodAtFirst(t *testing.T) {
	log, _ := recorder(t)
	path := filepath.Join(t.TempDir(), "rooms.yaml")
	if _, err := NewFile(path, log); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path, []byte("- {pin: "+secretPIN+", rom: a}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFile(path, log); err == nil || !strings.Contains(err.Error(), "line 1") || strings.Contains(err.Error(), secretPIN) {
		t.Errorf("got %v", err)
	}
}
