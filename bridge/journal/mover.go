package journal

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	storeTime = 10 * time.Second // for one batch
	setupTime = time.Minute      // for the tables of a new version
	retryMin  = 250 * time.Millisecond
	retryMax  = 15 * time.Second
	noteEvery = 10 * time.Minute // of what is wrong with the chain
)

// mover moves what waits in the spill to the database, and signs heads. It belongs to one goroutine.
type mover struct {
	*Writer
	connected bool
	away      error // why the last try failed
	tip       *tip  // of the chain, as we wrote it; nil: not known yet
	tried     tip   // where the chain ends if the last batch was stored although it failed
	forked    bool  // the database said that the chain does not end where we left it
	noted     time.Time
}

// move runs until finish is closed; then it stores what is left, signs the last head and returns. When the context ends, that fails.
func (w *Writer) move(ctx context.Context) {
	m := &mover{Writer: w}
	heads := time.NewTicker(w.cfg.HeadEvery)
	defer heads.Stop()
	pause := retryMin
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		try := false
		select {
		case <-w.wake:
			try = m.away == nil // else retry tells when
		case <-retry.C:
			try = true
		case d := <-w.direct:
			d.result <- m.deliver(ctx, d.payloads)
		case <-heads.C:
			m.sign(ctx)
		case <-w.finish:
			if m.drain(ctx) {
				m.sign(ctx)
			}
			return
		}
		switch {
		case !try:
		case m.drain(ctx):
			pause = retryMin
		default:
			retry.Reset(pause)
			pause = min(2*pause, retryMax)
		}
	}
}

// drain stores what waits and tells whether it could. While entries keep coming, it still leaves time for heads.
func (m *mover) drain(ctx context.Context) bool {
	err := m.connect(ctx)
	begin := time.Now()
	for more := true; more && err == nil; {
		if more, err = m.step(ctx); more && time.Since(begin) > m.cfg.HeadEvery {
			m.sign(ctx)
			begin = time.Now()
		}
	}
	switch {
	case err != nil:
		m.connected = false
		if m.away == nil {
			m.log.Warn("the database of the journal does not take entries: they wait in files", "dir", m.dir, "error", err)
		}
	case m.away != nil:
		m.log.Info("the database of the journal takes entries again")
	}
	if m.away = err; err != nil {
		return false
	}
	m.spill.trim(false)
	return true
}

// connect prepares the tables and finds out where the chain ends, after the start and after every error.
func (m *mover) connect(ctx context.Context) error {
	if m.connected {
		return nil
	}
	setup, cancel := context.WithTimeout(ctx, setupTime)
	defer cancel()
	if m.tip == nil {
		if err := m.store.migrate(setup); err != nil {
			return err
		}
		if err := m.store.prepare(setup); err != nil {
			return err
		}
	}
	t, err := m.store.tip(setup, m.node)
	if err != nil {
		return err
	}
	if err := m.spill.resume(t.segment, t.frames); err != nil {
		return err
	}
	switch {
	case m.tip == nil:
		if err := m.checkHead(setup); err != nil {
			return err
		}
		close(m.reached)
	case !m.forked && t.seq == m.tip.seq && t.hash == m.tip.hash: // the last batch is not there
	case !m.forked && t.seq == m.tried.seq && t.hash == m.tried.hash: // it is, only its answer was lost
		m.stats.stored.Add(t.seq - m.tip.seq)
	default:
		m.note("forked", "the chain of this node was not left as this process wrote it: another process writes under the same node.name, or somebody changed it",
			map[string]string{"expected": m.tip.hash.String(), "expected_record": text(m.tip.seq), "found": t.hash.String(), "found_record": text(t.seq)})
	}
	m.tip, m.connected, m.forked = &t, true, false
	return nil
}

// step stores one chunk of the spill.
func (m *mover) step(ctx context.Context) (more bool, err error) {
	c, err := m.spill.read(batchEntries)
	if err != nil || c.segment == nil {
		return false, err
	}
	entries := m.entries(c.payloads)
	if c.lost > 0 {
		m.log.Error("a part of the waiting entries cannot be read: it was not whole yet when a process died, or the disk is damaged", "bytes", c.lost)
		entries = append(entries, Entry{Time: m.now(), Kind: Node, Outcome: "damaged", Fields: map[string]string{"bytes": text(uint64(c.lost))}})
	}
	if err := m.append(ctx, tip{segment: c.segment.id, frames: c.frames()}, entries); err != nil {
		return false, err
	}
	if m.tip.head == 0 { // the beginning is sealed at once
		m.sign(ctx)
	}
	m.spill.done(c)
	return true, nil
}

// deliver stores payloads that are not in the spill, behind all that is.
func (m *mover) deliver(ctx context.Context, payloads [][]byte) error {
	if !m.drain(ctx) {
		return m.away
	}
	err := m.append(ctx, tip{segment: m.tip.segment, frames: m.tip.frames}, m.entries(payloads))
	if err == nil {
		return nil
	}
	tried := m.tried
	m.connected = false
	if m.connect(ctx) == nil && m.tip.hash == tried.hash {
		return nil
	}
	return err
}

// append stores entries at the end of the chain.
func (m *mover) append(ctx context.Context, next tip, entries []Entry) error {
	limited, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	next, err := m.store.append(limited, m.node, *m.tip, next, entries)
	if m.tried = next; err != nil {
		m.forked = errors.Is(err, errForked)
		return err
	}
	m.tip = &next
	m.stats.stored.Add(uint64(len(entries)))
	return nil
}

// entries reads payloads. One that was whole but cannot be read, because another version wrote it, is told by an entry of its own.
func (m *mover) entries(payloads [][]byte) []Entry {
	entries := make([]Entry, 0, len(payloads)+1)
	for _, p := range payloads {
		e, err := readEntry(p)
		if err != nil {
			e = Entry{Time: m.now(), Kind: Node, Outcome: "damaged", Fields: map[string]string{"bytes": text(uint64(len(p)))}}
		}
		entries = append(entries, e)
	}
	return entries
}

// sign signs a head, keeps it beside the spill, and tells it to the log, from where it can be kept elsewhere.
func (m *mover) sign(ctx context.Context) {
	if !m.connected {
		return
	}
	limited, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	h, err := m.store.sign(limited, m.node, m.tip, m.key, m.now())
	if m.forked = errors.Is(err, errForked); m.forked {
		m.connected = false
		_ = m.connect(limited) // notes it
	}
	if err != nil {
		m.log.Error("the head of the journal was not signed", "error", err)
		return
	}
	if h == nil {
		return
	}
	m.tip.head = h.Number
	m.stats.sealed.Store(h.Seq)
	m.log.Info("journal head", "chain", h.Node, "number", h.Number, "record", h.Seq, "hash", h.Hash, "key", Fingerprint(h.Key))
	if err := h.save(m.dir); err != nil {
		m.log.Error("the head of the journal was not kept", "error", err)
	}
}

// checkHead compares the database with the head that this node signed last: what was written before must still be there.
func (m *mover) checkHead(ctx context.Context) error {
	h, err := LastHead(m.cfg)
	if err != nil {
		m.log.Error("the last head of the journal cannot be read", "error", err)
		return nil
	}
	if h == nil || h.Node != m.node {
		return nil
	}
	ok, err := m.store.has(ctx, h)
	if err == nil && !ok {
		m.note("broken", "the database does not hold the journal that this node signed: it was cut, changed or replaced",
			map[string]string{"expected": h.Hash.String(), "expected_record": text(h.Seq)})
	}
	return err
}

// note puts into the journal, and into the log, that something is wrong with it. Seldom: the cause may stay.
func (m *mover) note(outcome, what string, fields map[string]string) {
	if now := m.now(); m.noted.IsZero() || now.Sub(m.noted) > noteEvery {
		m.noted = now
		m.log.Error("journal: "+what, "fields", fields)
		m.Write(Entry{Kind: Node, Outcome: outcome, Fields: fields})
	}
}

func text(n uint64) string { return strconv.FormatUint(n, 10) }

// refused tells whether a database answered, and that what we want is not to be: a wrong password, no such database, no permission.
func refused(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) || len(e.Code) != 5 {
		return false
	}
	class := e.Code[:2]
	return class == "28" || class == "3D" || e.Code == "42501"
}
