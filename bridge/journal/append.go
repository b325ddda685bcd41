package journal

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// tip is where the chain of a node ends.
type tip struct {
	seq     uint64
	hash    Hash
	head    uint64    // number of the last head
	segment segmentID // of the spill that was read last
	frames  uint64    // of it that are stored
}

// base is the hash as the database has it: that of an empty chain is empty.
func (t *tip) base() []byte {
	if t.seq == 0 {
		return []byte{}
	}
	return t.hash[:]
}

// errForked says that somebody else appends to the chain.
var errForked = errors.New("another process writes the journal under this node's name: give each its own node.name")

// tip reads where a chain ends; a chain that is not there begins. Where somebody changed what the database says about the end, the chain goes on behind
// all that is there.
func (s *Store) tip(ctx context.Context, node string) (t tip, err error) {
	err = s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO journal_chains (node, seq, hash, head, segment, frames) VALUES ($1, 0, $2, 0, $2, 0)
			ON CONFLICT (node) DO NOTHING`, node, []byte{})
		if err != nil {
			return err
		}
		var hash, segment []byte
		// The update changes nothing: it locks the chain.
		err = tx.QueryRowContext(ctx, "UPDATE journal_chains SET head = head WHERE node = $1 RETURNING seq, hash, head, segment, frames", node).
			Scan(&t.seq, &hash, &t.head, &segment, &t.frames)
		if err != nil {
			return err
		}
		copy(t.hash[:], hash)
		copy(t.segment[:], segment)
		return t.behind(ctx, tx, node)
	})
	return t, err
}

// behind moves the end of a chain behind its last record, and its last head, where they are further.
func (t *tip) behind(ctx context.Context, tx *sql.Tx, node string) error {
	said := *t
	for _, query := range [...]string{
		"SELECT seq, hash FROM journal_records WHERE node = $1 ORDER BY seq DESC LIMIT 1",
		"SELECT last, hash FROM journal_pruned WHERE node = $1 ORDER BY last DESC LIMIT 1",
	} {
		var seq uint64
		var hash []byte
		switch err := tx.QueryRowContext(ctx, query, node).Scan(&seq, &hash); {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		case seq > t.seq:
			t.seq = seq
			copy(t.hash[:], hash)
		}
	}
	err := tx.QueryRowContext(ctx, "SELECT max(number) FROM journal_heads WHERE node = $1 HAVING max(number) > $2", node, int64(t.head)).Scan(&t.head)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if *t == said {
		return nil
	}
	_, err = tx.ExecContext(ctx, "UPDATE journal_chains SET seq = $1, hash = $2, head = $3 WHERE node = $4", int64(t.seq), t.base(), int64(t.head), node)
	return err
}

// append makes records of entries, at the end of a chain that ends at t, and returns where it ends then. segment and frames of next say what of the
// spill that was; the rest of next is made here. After an error, all of them or none are there.
func (s *Store) append(ctx context.Context, node string, t, next tip, entries []Entry) (tip, error) {
	rows := make([]row, len(entries))
	salts := make([]byte, 16*len(entries))
	_, _ = rand.Read(salts) // cannot fail
	next.seq, next.hash, next.head = t.seq, t.hash, t.head
	var scratch []byte
	for i := range entries {
		next.seq++
		rows[i] = entries[i].row(node, next.seq, salts[16*i:16*i+16:16*i+16])
		next.hash = rows[i].follow(next.hash, &scratch)
		rows[i].hash = next.hash
	}
	err := s.change(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `UPDATE journal_chains SET seq = $1, hash = $2, segment = $3, frames = $4 WHERE node = $5 AND seq = $6 AND hash = $7`,
			int64(next.seq), next.hash[:], next.segment[:], int64(next.frames), node, int64(t.seq), t.base())
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, errForked)
		}
		return s.insert(ctx, tx, rows)
	})
	return next, err
}

// insertSizes are how many rows one statement inserts: few statements for the database to know, few round trips.
var insertSizes = [...]int{256, 16, 1}

const columns = 22

// insert adds rows. The statements were prepared.
func (s *Store) insert(ctx context.Context, tx *sql.Tx, rows []row) error {
	args := make([]any, 0, columns*min(len(rows), insertSizes[0]))
	for i, size := range insertSizes {
		for ; len(rows) >= size; rows = rows[size:] {
			args = args[:0]
			for j := range rows[:size] {
				args = rows[j].appendArgs(args)
			}
			if _, err := tx.StmtContext(ctx, s.inserts[i]).ExecContext(ctx, args...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *row) appendArgs(args []any) []any {
	p := &r.personal
	return append(args, r.node, int64(r.seq), r.at, r.kind, r.call, r.actor, r.room, r.rule, r.outcome, number(r.foreign),
		p[0].short, p[0].seal, p[1].short, p[1].seal, p[2].short, p[2].seal, r.fields, r.salt, p[0].full, p[1].full, p[2].full, r.hash[:])
}

// insertText is the statement that inserts n rows.
func insertText(n int) string {
	return `INSERT INTO journal_records (node, seq, at, kind, call_id, actor, room, rule, outcome, foreign_leg, caller_short, caller_seal, called_short,
		called_seal, address_short, address_seal, fields, salt, caller, called, address, hash) VALUES ` + values(n, columns)
}

// values is a list of n rows of numbered parameters, from $1 on.
func values(n, columns int) string {
	var b strings.Builder
	for i := range n * columns {
		switch {
		case i == 0:
			b.WriteString("(")
		case i%columns == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}
	b.WriteString(")")
	return b.String()
}

// prepare makes the statements of insert known to the database. It comes after migrate and before append.
func (s *Store) prepare(ctx context.Context) error {
	for i, size := range insertSizes {
		if s.inserts[i] != nil {
			continue
		}
		statement, err := s.write.PrepareContext(ctx, insertText(size))
		if err != nil {
			return err
		}
		s.inserts[i] = statement
	}
	return nil
}
