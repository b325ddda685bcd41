package tokens

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	"passerelle/internal/stamp"
	"passerelle/internal/yamldoc"
)

// maxFile is the most bytes that a file of tokens may have.
const maxFile = 1 << 20

// ErrExists and ErrNone answer for names.
var (
	ErrExists = errors.New("there is a token of this name already: remove it first, or take another name")
	ErrNone   = errors.New("there is no token of this name")
)

// Read reads a file of tokens. One that all users of the machine can read, or that others can write, is refused.
func Read(path string) ([]Token, error) {
	now, err := stamp.Of(path)
	if err != nil {
		return nil, err
	}
	list, _, err := read(path, now.Mode())
	return list, err
}

func read(path string, mode os.FileMode) ([]Token, []byte, error) {
	if !mode.IsRegular() {
		return nil, nil, fmt.Errorf("%s: expected a file", path)
	}
	if mode.Perm()&0o027 != 0 {
		return nil, nil, fmt.Errorf("%s: mode %04o lets others read or change it: expected 0600 or 0640", path, mode.Perm())
	}
	b, err := yamldoc.ReadFile(path, maxFile)
	if err != nil {
		return nil, nil, err
	}
	list, err := parse(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, b, nil
}

// Add puts a token into a file, which is made if there is none.
func Add(path string, t Token) error {
	return edit(path, func(list []Token) ([]Token, error) {
		for _, o := range list {
			if o.Name == t.Name {
				return nil, ErrExists
			}
		}
		return append(list, t), nil
	})
}

// Remove takes a token out of a file.
func Remove(path, name string) error {
	return edit(path, func(list []Token) ([]Token, error) {
		for i, o := range list {
			if o.Name == name {
				return append(list[:i:i], list[i+1:]...), nil
			}
		}
		return nil, ErrNone
	})
}

// edit replaces a file by one that was changed: a reader finds the old one or the new one whole. Two who edit wait for each other.
func edit(path string, change func([]Token) ([]Token, error)) error {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		path = to // what a link points to is replaced, not the link
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir.Name(), err)
	}
	list, err := Read(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if list, err = change(list); err != nil {
		return err
	}
	b, err := format(list)
	if err != nil {
		return err
	}
	if err := replace(path, b); err != nil {
		return err
	}
	return dir.Sync()
}

// replace writes a file beside the old one, with its mode and owner, and puts it in its place.
func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tokens-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails when all went well
	if old, err := os.Stat(path); err == nil {
		owner := old.Sys().(*syscall.Stat_t)
		if err := errors.Join(f.Chown(int(owner.Uid), int(owner.Gid)), f.Chmod(old.Mode().Perm())); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// format writes the list as parse reads it.
func format(list []Token) ([]byte, error) {
	out := make([]entry, len(list))
	for i, t := range list {
		out[i] = entry{Name: t.Name, Role: string(t.Role), Hash: t.Hash, Created: text(t.Created), Expires: text(t.Expires)}
	}
	var b bytes.Buffer
	b.WriteString("# Who may use the admin API. Written by `passerelle token`. A hash is the SHA-256 of a token, which is kept nowhere.\n")
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(out), e.Close()); err != nil {
		return nil, err
	}
	if b.Len() > maxFile || len(list) > maxTokens {
		return nil, fmt.Errorf("at most %d tokens fit: remove some", maxTokens)
	}
	return b.Bytes(), nil
}
