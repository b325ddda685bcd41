package journal

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"passerelle/configs"
)

// Pruned says what Prune did.
type Pruned struct {
	Shortened uint64 // records whose numbers and addresses were shortened
	Removed   uint64 // records that were removed
}

// ahead is how far ahead of us a record's time may be and still be believed: clocks differ.
const ahead = time.Hour

// pruneStep is how many records are looked at in one transaction, so that nobody waits long for it.
const pruneStep = 1000

// group is a part of the records that are kept for the same time.
type group struct {
	name  string
	keep  time.Duration
	kinds []Kind
}

func groups(k configs.Keep) []group {
	return []group{
		{"calls", k.Calls, []Kind{Call}},
		{"decisions", k.Decisions, []Kind{Decision, Admission}},
		{"others", k.Others, []Kind{Admin, Config, Egress, Node}},
	}
}

// Prune shortens numbers and addresses and removes records of one chain, as the configuration says and as of now. What it does it signs, and a chain
// that does not hold it leaves alone.
//
// A record is as old as the newest one up to it, but for times that are still to come: a clock that was wrong for a while makes no record old before
// its time, and keeps none for longer.
func (s *Store) Prune(ctx context.Context, node string, cfg configs.Journal, key ed25519.PrivateKey, now time.Time) (Pruned, error) {
	var did Pruned
	if cfg.ShortenAfter > 0 {
		if err := s.shorten(ctx, node, key, now, cfg.ShortenAfter, &did); err != nil {
			return did, fmt.Errorf("shorten records: %w", err)
		}
	}
	for _, g := range groups(cfg.Keep) {
		if g.keep == 0 {
			continue
		}
		err := s.steps(ctx, node, g.name, now, g.keep, func(tx *sql.Tx, from, to, _ uint64) error {
			return removeStep(ctx, tx, node, g, key, now, from, to, &did)
		})
		if err != nil {
			return did, fmt.Errorf("remove records: %w", err)
		}
	}
	return did, nil
}

// shorten removes full values and their salts. The head comes first: it is what permits it.
func (s *Store) shorten(ctx context.Context, node string, key ed25519.PrivateKey, now time.Time, after time.Duration, did *Pruned) error {
	return s.steps(ctx, node, "shortened", now, after, func(tx *sql.Tx, from, to, due uint64) error {
		if _, err := signHead(ctx, tx, node, nil, key, now, due); err != nil && !errors.Is(err, errNothing) {
			return err
		}
		done, err := tx.ExecContext(ctx, `UPDATE journal_records SET salt = NULL, caller = NULL, called = NULL, address = NULL
			WHERE node = $1 AND seq > $2 AND seq <= $3 AND salt IS NOT NULL`, node, int64(from), int64(to))
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		did.Shortened += uint64(n)
		return err
	})
}

// steps walks over the records that became due since the last time, some at a time, each in a transaction that also keeps how far it came.
func (s *Store) steps(ctx context.Context, node, name string, now time.Time, age time.Duration, step func(tx *sql.Tx, from, to, due uint64) error) error {
	var due uint64
	for more := true; more; {
		err := s.change(ctx, func(tx *sql.Tx) error {
			// Whoever else prunes this chain waits here.
			if _, err := tx.ExecContext(ctx, "UPDATE journal_chains SET head = head WHERE node = $1", node); err != nil {
				return err
			}
			var from uint64
			err := tx.QueryRowContext(ctx, "SELECT seq FROM journal_marks WHERE node = $1 AND name = $2", node, name).Scan(&from)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			if due == 0 {
				if due, err = dueTo(ctx, tx, node, from, now, age); err != nil {
					return err
				}
			}
			to := min(from+pruneStep, due)
			if more = to < due; due <= from {
				return nil
			}
			if err := step(tx, from, to, due); err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `INSERT INTO journal_marks (node, name, seq) VALUES ($1, $2, $3)
				ON CONFLICT (node, name) DO UPDATE SET seq = excluded.seq`, node, name, int64(to))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// dueTo tells up to which record all that is behind from is older than age.
func dueTo(ctx context.Context, tx *sql.Tx, node string, from uint64, now time.Time, age time.Duration) (due uint64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT seq FROM journal_chains WHERE node = $1", node).Scan(&due)
	if errors.Is(err, sql.ErrNoRows) { // no such chain
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var young uint64
	err = tx.QueryRowContext(ctx, "SELECT seq FROM journal_records WHERE node = $1 AND seq > $2 AND at + 0 BETWEEN $3 AND $4 ORDER BY seq LIMIT 1",
		node, int64(from), now.Add(-age).UnixMicro(), now.Add(ahead).UnixMicro()).Scan(&young)
	if errors.Is(err, sql.ErrNoRows) {
		return due, nil
	}
	return young - 1, err
}

// removeStep removes the records of a group from behind from up to to, and signs what stands for them. Runs that touch become one.
func removeStep(ctx context.Context, tx *sql.Tx, node string, g group, key ed25519.PrivateKey, now time.Time, from, to uint64, did *Pruned) error {
	list, err := around(ctx, tx, node, from, to)
	if err != nil {
		return err
	}
	if err := checkPieces(list, from); err != nil {
		return err
	}
	public := key.Public().(ed25519.PublicKey)
	var (
		before        Hash
		current       *run // ends where the next piece begins
		grown         []*run
		records, runs []uint64 // that they stand for: seq of records, first of runs
	)
	for _, p := range list {
		switch {
		case p.run != nil && p.run.key.Equal(public) && p.run.signed(): // one of ours: what it touches joins it
			runs = append(runs, p.run.first)
			if current == nil {
				current = p.run
			} else {
				current.join(p, p.run.newest, now)
			}
			grown = append(grown, current)
		case p.row != nil && p.row.seq > from && p.row.seq <= to && slices.Contains(g.kinds, Kind(p.row.kind)):
			records = append(records, p.row.seq)
			if current == nil {
				current = &run{node: node, first: p.row.seq, before: before, newest: p.row.at, key: public}
			}
			current.join(p, p.row.at, now)
			grown = append(grown, current)
		default:
			current = nil
		}
		before = p.hash()
	}
	if len(records) == 0 {
		return nil
	}
	did.Removed += uint64(len(records))
	return replace(ctx, tx, node, records, runs, slices.Compact(grown), key)
}

// join makes a run longer by the piece behind it.
func (r *run) join(p piece, newest int64, now time.Time) {
	r.last, r.hash, r.newest, r.at = p.last(), p.hash(), max(r.newest, newest), now.UnixMicro()
}

// around reads the piece that holds from, and those behind it up to the one that begins behind to.
func around(ctx context.Context, tx *sql.Tx, node string, from, to uint64) ([]piece, error) {
	begin := from
	err := tx.QueryRowContext(ctx, "SELECT first FROM journal_pruned WHERE node = $1 AND last >= $2 AND first <= $2 ORDER BY last LIMIT 1", node, int64(from)).
		Scan(&begin)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	return pieces(ctx, tx, node, int64(begin)-1, int64(to)+1, pruneStep+4)
}

// checkPieces tells where the pieces do not follow each other: nothing is signed over what is not as it was written.
func checkPieces(list []piece, from uint64) error {
	var scratch []byte
	next, before := uint64(1), Hash{}
	if from > 0 && len(list) > 0 && list[0].first() <= from && list[0].last() >= from {
		next, before = list[0].last()+1, list[0].hash()
		list = list[1:]
	}
	for _, p := range list {
		if p.first() != next || !p.follows(before, &scratch) {
			return fmt.Errorf("the chain does not hold at record %d: nothing is removed; passerelle journal verify tells more", next)
		}
		next, before = p.last()+1, p.hash()
	}
	return nil
}

// replace puts signed runs into the place of the records and runs that they stand for. Heads within them say nothing any
// more, unless they are the last that permits shortening so far.
func replace(ctx context.Context, tx *sql.Tx, node string, records, old []uint64, runs []*run, key ed25519.PrivateKey) error {
	if err := remove(ctx, tx, "DELETE FROM journal_records WHERE node = $1 AND seq IN ", node, records); err != nil {
		return err
	}
	if err := remove(ctx, tx, "DELETE FROM journal_pruned WHERE node = $1 AND first IN ", node, old); err != nil {
		return err
	}
	const fields = 9
	args := make([]any, 0, fields*len(runs))
	for _, r := range runs {
		r.signature = ed25519.Sign(key, r.content())
		args = append(args, r.node, int64(r.first), int64(r.last), r.before[:], r.hash[:], r.newest, r.at, []byte(r.key), r.signature)
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO journal_pruned (node, first, last, before, hash, newest, at, public_key, signature) VALUES "+
		values(len(runs), fields), args...)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM journal_heads WHERE node = $1 AND seq >= $2 AND seq < $3
		AND EXISTS (SELECT 1 FROM journal_heads l WHERE l.node = $1 AND l.number > journal_heads.number AND l.shortened >= journal_heads.shortened)
		AND EXISTS (SELECT 1 FROM journal_pruned r WHERE r.node = $1 AND r.first <= journal_heads.seq AND r.last > journal_heads.seq)`,
		node, int64(runs[0].first), int64(runs[len(runs)-1].last))
	return err
}

// remove deletes the rows of a node with the given numbers.
func remove(ctx context.Context, tx *sql.Tx, statement, node string, numbers []uint64) error {
	if len(numbers) == 0 {
		return nil
	}
	args := []any{node}
	marks := make([]string, len(numbers))
	for i, n := range numbers {
		args = append(args, int64(n))
		marks[i] = fmt.Sprintf("$%d", i+2)
	}
	_, err := tx.ExecContext(ctx, statement+"("+strings.Join(marks, ", ")+")", args...)
	return err
}
