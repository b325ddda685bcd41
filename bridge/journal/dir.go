package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	// ErrOff says that the configuration has no journal.
	ErrOff = errors.New("there is no journal: journal.url is off")

	errHash       = errors.New("a hash has 32 bytes, or 64 hexadecimal digits")
	errUnreadable = errors.New("a record cannot be read: it has a value of the wrong type")
)

// stateDir is the directory of a journal: the configured one, the one that systemd gives, or one in the user's home.
func stateDir(dir string) (string, error) {
	if dir == "" {
		dir, _, _ = strings.Cut(os.Getenv("STATE_DIRECTORY"), ":") // systemd may give several
	}
	if dir == "" {
		if state := os.Getenv("XDG_STATE_HOME"); state != "" {
			dir = filepath.Join(state, "passerelle")
		} else if home, err := os.UserHomeDir(); err == nil {
			dir = filepath.Join(home, ".local", "state", "passerelle")
		} else {
			return "", fmt.Errorf("journal.dir is not set, and there is no home directory either: %w", err)
		}
	}
	return filepath.Abs(dir)
}

// lockDir makes sure that one process at a time uses the directory, until the file is closed.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "journal.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another process keeps its journal in %s: give each its own journal.dir: %w", dir, err), f.Close())
	}
	return f, nil
}
