package directory

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"passerelle/bridge"
	"passerelle/internal/yamldoc"
)

// File is a directory that an admin keeps by hand: a list of rooms in YAML. It is looked at again at every look-up and read again when it
// changed. A file that cannot be used any more is told to the log once, and the rooms of before stay.
type File struct {
	path string
	log  *slog.Logger

	mu    sync.Mutex
	seen  stamp
	rooms *index
}

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
	file     os.FileInfo
}

func (s stamp) same(o stamp) bool {
	return s.file != nil && o.file != nil && os.SameFile(s.file, o.file) && s.modified.Equal(o.modified) && s.size == o.size
}

// NewFile reads the file for the first time and refuses one that cannot be used.
func NewFile(path string, log *slog.Logger) (*File, error) {
	f := &File{path: path, log: log}
	now, err := f.stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRooms, err)
	}
	if err := f.read(now); err != nil {
		return nil, err
	}
	return f, nil
}

// Find looks a PIN up in the file as it is now.
func (f *File) Find(_ context.Context, pin string) (bridge.RoomRef, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	if room, ok := f.rooms.find(pin); ok {
		return room, nil
	}
	return bridge.RoomRef{}, bridge.ErrBadPIN
}

// refresh reads the file again if it is not the one that was seen last.
func (f *File) refresh() {
	now, err := f.stat()
	if err != nil {
		if f.seen.file != nil {
			f.log.Error("the file of rooms is gone; its rooms stay as they were", "err", err)
		}
		f.seen = stamp{}
		return
	}
	if now.same(f.seen) {
		return
	}
	if err := f.read(now); err != nil {
		f.log.Error("the file of rooms was not taken; its rooms stay as they were", "err", err)
		return
	}
	f.log.Info("the file of rooms was read again", "rooms", len(f.rooms.rooms))
}

func (f *File) stat() (stamp, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.ModTime(), info.Size(), info}, nil
}

// read takes the file all or nothing. Either way, this state of it is not tried again.
func (f *File) read(now stamp) error {
	f.seen = now
	b, err := yamldoc.ReadFile(f.path, maxFile)
	if err != nil {
		return fmt.Errorf("%w: %w", errRooms, err)
	}
	rooms, err := parseRooms(b)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errRooms, f.path, err)
	}
	f.rooms = rooms
	return nil
}
