package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

var (
	// ErrOff says that the configuration has no journal.
	ErrOff = errors.New("there is no journal: journal.url is off")

	errHash       = errors.New("a hash has 32 bytes, or 64 hexadecimal digits")
	errUnreadable = errors.New("a record cannot be read: it has a value of the wrong type")
)

// stateDir is the directory of a journal: the configured one, the one that systemd gives, or one in the user's home. It is made if it is not there.
func stateDir(dir string) (string, error) {
	if dir == "" {
		dir = os.Getenv("STATE_DIRECTORY")
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
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("journal.dir: %w", err)
	}
	return dir, nil
}
