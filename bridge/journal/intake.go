package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// item is one thing in the queue: an entry, or somebody who wants to know when all before is safe.
type item struct {
	payload []byte
	safe    chan<- place // has room
}

// batch is what is written at once.
type batch struct {
	payloads [][]byte
	flushes  []chan<- place
}

// delivery asks the mover to store payloads that the spill did not take.
type delivery struct {
	payloads [][]byte
	result   chan<- error // has room
}

const (
	batchEntries = 1024
	retryEvery   = 250 * time.Millisecond
	tellEvery    = time.Second // of lost entries
)

// take moves entries from the queue to the spill until the context ends and the queue is empty.
func (w *Writer) take(ctx context.Context) {
	tell := time.NewTicker(tellEvery)
	defer tell.Stop()
	for {
		select {
		case i := <-w.queue:
			w.keep(ctx, w.collect(&i))
		case <-tell.C:
			if w.lost.Load() > 0 {
				w.keep(ctx, w.collect(nil))
			}
		case <-ctx.Done():
			w.shut()
			for b := w.collect(nil); len(b.payloads)+len(b.flushes) > 0; b = w.collect(nil) {
				w.keep(ctx, b)
			}
			return
		}
	}
}

// collect makes a batch of what is in the queue, behind first where there is one. Entries that were lost since the last time are told by one of its own.
func (w *Writer) collect(first *item) batch {
	var b batch
	if n := w.lost.Swap(0); n > 0 {
		e := Entry{Time: w.now(), Kind: Node, Outcome: "lost", Fields: map[string]string{"entries": strconv.FormatUint(n, 10)}}
		b.payloads = append(b.payloads, appendEntry(nil, &e))
		w.log.Error("entries of the journal were lost: they came faster than they could be written", "entries", n)
	}
	add := func(i item) {
		if i.safe != nil {
			b.flushes = append(b.flushes, i.safe)
			return
		}
		b.payloads = append(b.payloads, i.payload)
		w.waiting.Add(-int64(len(i.payload)))
	}
	if first != nil {
		add(*first)
	}
	for len(b.payloads) < batchEntries {
		select {
		case i := <-w.queue:
			add(i)
		default:
			return b
		}
	}
	return b
}

// keep makes a batch safe: in the spill, or, where that cannot be written, in the database. It tries until one of them takes it. When the context has
// ended it tries once.
func (w *Writer) keep(ctx context.Context, b batch) {
	for len(b.payloads) > 0 {
		at, err := w.spill.append(b.payloads)
		if err == nil {
			w.last = at
			break
		}
		if stored := w.deliver(b.payloads); stored == nil {
			break
		} else if errors.Is(err, errSpillFull) {
			err = fmt.Errorf("%w, and it does not answer: %w", err, stored)
		}
		w.trouble(fmt.Errorf("the journal cannot be written to %s: %w", w.dir, err))
		if ctx.Err() != nil {
			w.stats.lost.Add(uint64(len(b.payloads)))
			w.log.Error("the journal ends with entries that could not be written", "entries", len(b.payloads), "error", err)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryEvery):
		}
	}
	if len(b.payloads) > 0 {
		w.stats.kept.Add(uint64(len(b.payloads)))
		w.fine()
	}
	for _, f := range b.flushes {
		f <- w.last
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// deliver has the mover store payloads at once.
func (w *Writer) deliver(payloads [][]byte) error {
	result := make(chan error, 1)
	w.direct <- delivery{payloads, result}
	return <-result
}

// trouble notes why nothing can be kept, and logs it once.
func (w *Writer) trouble(err error) {
	if w.problem.Swap(&err) == nil {
		w.log.Error("journal", "error", err)
	}
}

// fine notes that entries can be kept.
func (w *Writer) fine() {
	if w.problem.Swap(nil) != nil {
		w.log.Info("the journal can be written again")
	}
}
