package journal

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"passerelle/configs"
)

const (
	queueEntries = 8192
	queueBytes   = 16 << 20
	stopTime     = 5 * time.Second // that the database has, when the node ends, for what waits
)

// Writer keeps the record. An entry goes from a queue in memory to a file (the spill), where it survives the death of the process and of the machine,
// and from there to the database. The database may be slow or away: what waits for it stays in the file, in its order.
type Writer struct {
	cfg  configs.Journal // URL is "off": there is no journal
	node string
	log  *slog.Logger
	now  func() time.Time

	dir   string
	lock  *os.File
	key   ed25519.PrivateKey
	store *Store
	spill *spill

	queue   chan item     // in: of Write and Flush
	direct  chan delivery // from the intake to the mover: when the spill cannot be written
	wake    chan struct{} // from the intake to the mover: something is in the spill
	finish  chan struct{} // closed when nothing comes any more
	reached chan struct{} // closed when the database was reached for the first time

	mu     sync.RWMutex // held for no longer than a send that does not wait
	closed bool         // nothing is taken any more

	last place // of the intake: behind what was kept last

	waiting atomic.Int64  // bytes in the queue
	lost    atomic.Uint64 // entries that were dropped and not told yet
	stats   counters
	problem atomic.Pointer[error] // why nothing can be kept now
	running atomic.Bool
	release sync.Once
}

// counters count what happened since the start.
type counters struct {
	kept, stored, lost atomic.Uint64
	sealed             atomic.Uint64
}

// Stats is how a writer does.
type Stats struct {
	Queued  int    // entries in memory
	Spilled int64  // bytes of the files that wait for the database
	Kept    uint64 // entries that are safe
	Stored  uint64 // records in the database, since the start
	Lost    uint64 // entries that could not be kept
	Sealed  uint64 // seq of the record that the last signed head names
}

// Open prepares a journal for a node: its directory, its key, what waits there since the last time, and its database, which is tried once. That of
// PostgreSQL may be away; one that refuses us, or a file that cannot be used, is an error. dial opens the connections to PostgreSQL.
func Open(ctx context.Context, cfg configs.Journal, node string, dial Dial, log *slog.Logger) (*Writer, error) {
	w := &Writer{
		cfg: cfg, node: clean(node, maxText), log: log, now: time.Now,
		queue: make(chan item, queueEntries), direct: make(chan delivery), wake: make(chan struct{}, 1),
		finish: make(chan struct{}), reached: make(chan struct{}),
	}
	if cfg.URL == "off" {
		return w, nil
	}
	if w.node == "" {
		return nil, errors.New("the journal needs the name of the node")
	}
	if err := w.open(ctx, dial); err != nil {
		return nil, errors.Join(fmt.Errorf("journal: %w", err), w.Close())
	}
	return w, nil
}

func (w *Writer) open(ctx context.Context, dial Dial) (err error) {
	if w.dir, err = StateDir(w.cfg); err != nil {
		return err
	}
	w.cfg.Dir = w.dir
	if w.lock, err = lockDir(w.dir); err != nil {
		return err
	}
	if path := filepath.Join(w.dir, keyName); w.cfg.KeyFile == "" {
		if err := makeKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the key of the journal: %w", err)
		}
	}
	if w.key, err = LoadKey(w.cfg); err != nil {
		return err
	}
	if w.spill, err = openSpill(w.dir, spillLimit, spillSegment); err != nil {
		return err
	}
	w.last = w.spill.end()
	if path, ok := w.file(); ok { // others may not read it
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if w.store, err = OpenStore(w.cfg, dial); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := w.store.migrate(limited); err != nil {
		if _, lite := w.file(); lite || refused(err) || ctx.Err() != nil {
			return err
		}
		w.log.Warn("the database of the journal is not reached: entries wait in files", "dir", w.dir, "error", err)
	}
	return nil
}

// file is the path of the SQLite file.
func (w *Writer) file() (string, bool) {
	if w.cfg.URL == "" {
		return filepath.Join(w.dir, "journal.db"), true
	}
	return strings.CutPrefix(w.cfg.URL, "sqlite:")
}

// Write records an entry, as of now where it has no time. It never waits, and keeps nothing of the entry's map. What is longer than an entry may be is
// cut. May be called from any goroutine.
func (w *Writer) Write(e Entry) {
	if w.cfg.URL == "off" {
		return
	}
	if e.Time.IsZero() {
		e.Time = w.now()
	}
	if !w.enqueue(appendEntry(make([]byte, 0, 256), &e)) {
		w.lost.Add(1)
		w.stats.lost.Add(1)
	}
}

// enqueue hands an entry to the intake, if there is room.
func (w *Writer) enqueue(payload []byte) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	size := int64(len(payload))
	if w.closed || w.waiting.Load()+size > queueBytes {
		return false
	}
	select {
	case w.queue <- item{payload: payload}:
		w.waiting.Add(size)
		return true
	default:
		return false
	}
}

// Flush returns when everything that was written before is safe on a disk.
func (w *Writer) Flush(ctx context.Context) error {
	_, err := w.flush(ctx)
	return err
}

// Settle returns when everything that was written before is in the database, where Search finds it.
func (w *Writer) Settle(ctx context.Context) error {
	p, err := w.flush(ctx)
	if err != nil || w.spill == nil {
		return err
	}
	return w.spill.wait(ctx, p)
}

func (w *Writer) flush(ctx context.Context) (place, error) {
	if w.cfg.URL == "off" {
		return place{}, nil
	}
	safe := make(chan place, 1)
	w.mu.RLock()
	closed := w.closed
	w.mu.RUnlock()
	if closed {
		return place{}, errClosed
	}
	select {
	case w.queue <- item{safe: safe}:
	case <-ctx.Done():
		return place{}, context.Cause(ctx)
	case <-w.finish:
		return place{}, errClosed
	}
	select {
	case p := <-safe:
		return p, nil
	case <-ctx.Done():
		return place{}, context.Cause(ctx)
	case <-w.finish:
		return place{}, errClosed
	}
}

var errClosed = errors.New("the journal is closed")

// Ready says why entries cannot be kept for now, or soon will not be; nil: they can, or there is no journal.
func (w *Writer) Ready() error {
	switch p := w.problem.Load(); {
	case w.cfg.URL == "off":
		return nil
	case !w.running.Load():
		return errors.New("the journal is not running")
	case p != nil:
		return *p
	case w.spill.size() > w.spill.limit/10*8:
		return fmt.Errorf("the journal's database has been away for too long: %s is almost full of what waits for it", w.dir)
	case w.waiting.Load() > queueBytes/10*8 || len(w.queue) > queueEntries/10*8:
		return fmt.Errorf("the disk of %s does not keep up with the journal", w.dir)
	}
	return nil
}

// Stats says how the writer does.
func (w *Writer) Stats() Stats {
	s := Stats{Queued: len(w.queue), Kept: w.stats.kept.Load(), Stored: w.stats.stored.Load(), Lost: w.stats.lost.Load(), Sealed: w.stats.sealed.Load()}
	if w.spill != nil {
		s.Spilled = w.spill.size()
	}
	return s
}

// Store is the database; nil: there is no journal.
func (w *Writer) Store() *Store { return w.store }

// Search finds records, as Store.Search. Without a journal it answers ErrOff.
func (w *Writer) Search(ctx context.Context, q Query) (page []Record, next string, err error) {
	if w.store == nil {
		return nil, "", ErrOff
	}
	return w.store.Search(ctx, q)
}

// Run keeps and stores entries until the context ends. Then it takes no more, stores what it has, signs the last head, and closes all. It returns nil:
// whatever goes wrong is told by Ready and in the log, and tried again.
func (w *Writer) Run(ctx context.Context) error {
	if w.cfg.URL == "off" {
		<-ctx.Done()
		return nil
	}
	defer func() { _ = w.Close() }() // tells by itself
	moving, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	var parts sync.WaitGroup
	moved := make(chan struct{})
	parts.Go(func() {
		defer close(moved)
		w.move(moving)
	})
	parts.Go(func() { w.tidy(ctx) })
	parts.Go(func() {
		<-ctx.Done()
		select {
		case <-moved:
		case <-time.After(stopTime): // the database does not answer: what waits stays in the spill
			abandon()
		}
	})
	w.running.Store(true)
	w.take(ctx)
	w.running.Store(false)
	close(w.finish)
	parts.Wait()
	return nil
}

// shut takes nothing any more.
func (w *Writer) shut() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
}

// Close frees everything of a writer whose Run was never called; what was written before is kept for the next time. After Run there is nothing to do.
func (w *Writer) Close() (err error) {
	w.shut()
	w.release.Do(func() {
		if w.spill != nil {
			for b := w.collect(nil); len(b.payloads) > 0 && err == nil; b = w.collect(nil) {
				_, err = w.spill.append(b.payloads)
			}
			err = errors.Join(err, w.spill.close())
		}
		if w.store != nil {
			err = errors.Join(err, w.store.Close())
		}
		if w.lock != nil {
			err = errors.Join(err, w.lock.Close())
		}
		if err != nil {
			w.log.Error("closing the journal", "error", err)
		}
	})
	return err
}
