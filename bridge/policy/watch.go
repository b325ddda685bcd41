package policy

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How changes of the file are found.
const (
	// settle is how long nothing more has to happen beside a changed file before it is read: editors and deployments write in several steps.
	settle = 200 * time.Millisecond
	// patience is how long that may take altogether.
	patience = 2 * time.Second
	// poll is how often the file is looked at where nothing is told: on a network's file system, or behind further symbolic links.
	poll = 10 * time.Second
)

// Run reads the rules again whenever their file changes, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	return k.watch(ctx, fsnotify.NewWatcher, settle, poll)
}

// notifier makes what is told of changes.
type notifier func() (*fsnotify.Watcher, error)

func (k *Keeper) watch(ctx context.Context, notify notifier, settle, poll time.Duration) error {
	if k.path == "" {
		<-ctx.Done()
		return nil
	}
	w := &watcher{path: k.path, notify: notify, seen: stat(k.path)}
	defer w.close()
	w.follow(k)
	// What changed between Open and now is not missed.
	k.refresh()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	var quiet <-chan time.Time
	var since time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.events():
			if quiet == nil {
				since = time.Now()
			}
			if quiet == nil || time.Since(since) < patience {
				quiet = time.After(settle)
			}
		case err := <-w.errors():
			k.log.Warn("changes of the rules' file are found later", "error", err)
		case <-quiet:
			quiet = nil
			w.follow(k)
			w.seen = stat(k.path)
			k.refresh()
		case <-ticker.C:
			if now := stat(k.path); now != w.seen {
				w.follow(k)
				w.seen = now
				k.refresh()
			}
		}
	}
}

// refresh reads the file if it is another one.
func (k *Keeper) refresh() {
	if changed, _ := k.load(false); changed != nil {
		changed()
	}
}

// watcher watches the directories in which the file is: its own, where a new file or a symbolic link replaces the old one, and that of
// the file that links lead to.
type watcher struct {
	path   string
	notify notifier
	fs     *fsnotify.Watcher // nil: none can be had
	dirs   []string
	seen   state
}

// state tells one state of a file from another. It is that of the file that links lead to.
type state struct {
	target   string
	size     int64
	modified time.Time
}

func stat(path string) (s state) {
	s.target, _ = filepath.EvalSymlinks(path)
	if i, err := os.Stat(path); err == nil {
		s.size, s.modified = i.Size(), i.ModTime()
	}
	return s
}

// follow watches the directories that matter now.
func (w *watcher) follow(k *Keeper) {
	if w.fs == nil {
		fs, err := w.notify()
		if err != nil {
			k.log.Warn("changes of the rules' file are found later", "error", err)
			return
		}
		w.fs = fs
	}
	dirs := []string{filepath.Dir(w.path)}
	if target, err := filepath.EvalSymlinks(w.path); err == nil && filepath.Dir(target) != dirs[0] {
		dirs = append(dirs, filepath.Dir(target))
	}
	for _, d := range w.dirs[min(1, len(w.dirs)):] {
		_ = w.fs.Remove(d) // gone already, where a deployment took it away
	}
	w.dirs = dirs
	for _, d := range dirs {
		if err := w.fs.Add(d); err != nil {
			k.log.Warn("changes of the rules' file are found later", "error", err)
		}
	}
}

func (w *watcher) events() <-chan fsnotify.Event {
	if w.fs == nil {
		return nil
	}
	return w.fs.Events
}

func (w *watcher) errors() <-chan error {
	if w.fs == nil {
		return nil
	}
	return w.fs.Errors
}

func (w *watcher) close() {
	if w.fs != nil {
		_ = w.fs.Close()
	}
}
