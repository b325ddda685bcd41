package journal

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"slices"
	"strconv"
)

// run is a signed statement that stands for records which were removed because they were old.
type run struct {
	node         string
	first, last  uint64
	before, hash Hash  // of the record before the first one, and of the last one
	newest       int64 // time of the newest of them, µs
	at           int64 // when they were removed, µs
	key          ed25519.PublicKey
	signature    []byte
}

// content is what is signed.
func (r *run) content() []byte {
	return items(nil).text(runForm).text(r.node).number(int64(r.first)).number(int64(r.last)).bytes(r.before[:]).bytes(r.hash[:]).
		number(r.newest).number(r.at)
}

// signed tells whether the signature is that of the key in the statement.
func (r *run) signed() bool {
	return len(r.key) == ed25519.PublicKeySize && ed25519.Verify(r.key, r.content(), r.signature)
}

// piece is one link of a chain: a record, or the run that stands for some.
type piece struct {
	row *row
	run *run // where row is nil
}

func (p piece) first() uint64 {
	if p.row != nil {
		return p.row.seq
	}
	return p.run.first
}

func (p piece) last() uint64 {
	if p.row != nil {
		return p.row.seq
	}
	return p.run.last
}

func (p piece) hash() Hash {
	if p.row != nil {
		return p.row.hash
	}
	return p.run.hash
}

// follows tells whether the piece comes behind the hash before it.
func (p piece) follows(before Hash, scratch *[]byte) bool {
	if p.row != nil {
		return p.row.follow(before, scratch) == p.row.hash
	}
	return p.run.before == before
}

// pieces reads about n pieces of a chain that begin behind after and not behind to, in their order. Fewer than n: these are all.
func pieces(ctx context.Context, tx *sql.Tx, node string, after, to int64, n int) ([]piece, error) {
	rows, err := tx.QueryContext(ctx, selectRows+" WHERE node = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT "+strconv.Itoa(n), node, after, to)
	if err != nil {
		return nil, err
	}
	var records []piece
	err = each(rows, func(r *row) error {
		records = append(records, piece{row: r})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(records) == n {
		to = int64(records[n-1].row.seq)
	}
	runs, err := runs(ctx, tx, " WHERE node = $1 AND first > $2 AND first <= $3 ORDER BY first LIMIT "+strconv.Itoa(n), node, after, to)
	if err != nil {
		return nil, err
	}
	list := make([]piece, 0, len(runs)+len(records))
	for i := range runs {
		list = append(list, piece{run: &runs[i]})
	}
	list = append(list, records...) // a run stays before a record that claims its place
	slices.SortStableFunc(list, func(a, b piece) int { return cmp.Compare(a.first(), b.first()) })
	if len(runs) == n { // more runs may come among the rows behind the last one
		list = slices.DeleteFunc(list, func(p piece) bool { return p.first() > runs[n-1].first })
	}
	return list, nil
}

// runs reads statements.
func runs(ctx context.Context, tx *sql.Tx, where string, args ...any) (list []run, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT node, first, last, before, hash, newest, at, public_key, signature FROM journal_pruned"+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r run
		var before, hash []byte
		if err := rows.Scan(&r.node, &r.first, &r.last, &before, &hash, &r.newest, &r.at, (*[]byte)(&r.key), &r.signature); err != nil {
			return nil, errors.Join(errUnreadable, err)
		}
		copy(r.before[:], before)
		copy(r.hash[:], hash)
		list = append(list, r)
	}
	return list, rows.Err()
}
