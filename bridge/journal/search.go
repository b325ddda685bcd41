package journal

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Query says which records are wanted. The zero value wants all of them.
type Query struct {
	From, To time.Time // From is included, To is not; zero: no bound
	Kinds    []Kind    // one of these
	Node     string
	Call     string // id of the call
	Actor    string
	Room     string
	Rule     string
	Outcome  string
	Caller   string // how the caller's number or name ends; shortened ones are not found
	Foreign  *bool
	Limit    int    // records on a page, at most 1000; 0: 100
	Cursor   string // from the page before; empty: the first page
}

const (
	usualPage = 100
	largePage = 1000
)

// ErrQuery is wrapped by the errors of queries that cannot be answered as they are.
var ErrQuery = errors.New("this is not a query")

// Search finds records, the newest first. next is the cursor of the page after this one; empty: this is the last.
func (s *Store) Search(ctx context.Context, q Query) (page []Record, next string, err error) {
	limit := usualPage
	if q.Limit != 0 {
		limit = q.Limit
	}
	if limit < 1 || limit > largePage {
		return nil, "", fmt.Errorf("%w: the limit is %d: expected 1 to %d", ErrQuery, limit, largePage)
	}
	w := q.where()
	if q.Cursor != "" {
		at, node, seq, err := readCursor(q.Cursor)
		if err != nil {
			return nil, "", err
		}
		w.add("(at, node, seq) < (?, ?, ?)", at, node, seq)
	}
	rows, err := s.read.QueryContext(ctx, selectRows+w.String()+" ORDER BY at DESC, node DESC, seq DESC LIMIT "+strconv.Itoa(limit+1), w.args...)
	if err != nil {
		return nil, "", err
	}
	err = each(rows, func(r *row) error {
		page = append(page, r.record())
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	if len(page) > limit {
		page = page[:limit]
		next = page[limit-1].cursor()
	}
	return page, next, nil
}

// where is a condition in SQL with its arguments.
type where struct {
	terms []string
	args  []any
}

// add adds a condition; its question marks become numbered parameters, which both databases know.
func (w *where) add(term string, args ...any) {
	for _, a := range args {
		w.args = append(w.args, a)
		term = strings.Replace(term, "?", "$"+strconv.Itoa(len(w.args)), 1)
	}
	w.terms = append(w.terms, term)
}

// String is the WHERE clause; empty without conditions.
func (w *where) String() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}

// where is what a query asks for, but for its page.
func (q *Query) where() *where {
	w := &where{}
	if !q.From.IsZero() {
		w.add("at >= ?", q.From.UnixMicro())
	}
	if !q.To.IsZero() {
		w.add("at < ?", q.To.UnixMicro())
	}
	if len(q.Kinds) > 0 {
		marks, args := make([]string, len(q.Kinds)), make([]any, len(q.Kinds))
		for i, k := range q.Kinds {
			marks[i], args[i] = "?", string(k)
		}
		w.add("kind IN ("+strings.Join(marks, ", ")+")", args...)
	}
	for _, c := range [...]struct{ column, value string }{
		{"node", q.Node},
		{"call_id", q.Call},
		{"actor", q.Actor},
		{"room", q.Room},
		{"rule", q.Rule},
		{"outcome", q.Outcome},
	} {
		if c.value != "" {
			w.add(c.column+" = ?", clean(c.value, maxText))
		}
	}
	if q.Call != "" {
		w.add("call_id <> ''") // lets the index be used
	}
	if q.Caller != "" {
		end := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(clean(q.Caller, maxText))
		w.add(`lower(caller) LIKE lower(?) ESCAPE '\'`, "%"+end)
	}
	if q.Foreign != nil {
		w.add("foreign_leg = ?", number(*q.Foreign))
	}
	return w
}

// number is how the database has a yes or a no.
func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// cursor is the place of a record among all of them, in an opaque form.
func (r *Record) cursor() string {
	b, _ := json.Marshal([]any{r.Time.UnixMicro(), r.Node, r.Seq}) // numbers and a string: cannot fail
	return base64.RawURLEncoding.EncodeToString(b)
}

func readCursor(s string) (at int64, node string, seq int64, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(b, &[]any{&at, &node, &seq})
	}
	if err != nil || len(s) > 1024 || node != clean(node, maxText) {
		return 0, "", 0, fmt.Errorf("%w: the cursor is not one that a search gave", ErrQuery)
	}
	return at, node, seq, nil
}

// selectRows reads whole rows, for each.
const selectRows = `SELECT node, seq, at, kind, call_id, actor, room, rule, outcome, foreign_leg, caller_short, caller_seal, called_short, called_seal,
	address_short, address_seal, fields, salt, caller, called, address, hash FROM journal_records`

// each calls f with each row of an answer; the row is good until f returns.
func each(rows *sql.Rows, f func(*row) error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var (
			r       row
			foreign int64
			hash    []byte
			full    [3]sql.NullString
		)
		p := &r.personal
		err := rows.Scan(&r.node, &r.seq, &r.at, &r.kind, &r.call, &r.actor, &r.room, &r.rule, &r.outcome, &foreign, &p[0].short, &p[0].seal,
			&p[1].short, &p[1].seal, &p[2].short, &p[2].seal, &r.fields, &r.salt, &full[0], &full[1], &full[2], &hash)
		if err == nil && len(hash) != len(r.hash) {
			err = errHash
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errUnreadable, err)
		}
		r.foreign = foreign != 0
		for i := range full {
			p[i].full = full[i].String
		}
		copy(r.hash[:], hash)
		if err := f(&r); err != nil {
			return err
		}
	}
	return rows.Err()
}

// record is the row as everybody else sees it. Fields that are no JSON object any more, because somebody changed them, are left out.
func (r *row) record() Record {
	e := Entry{
		Time: time.UnixMicro(r.at).UTC(), Kind: Kind(r.kind), Call: r.call, Actor: r.actor, Room: r.room, Rule: r.rule, Outcome: r.outcome,
		Foreign: r.foreign,
	}
	if json.Unmarshal([]byte(r.fields), &e.Fields) != nil || len(e.Fields) == 0 {
		e.Fields = nil
	}
	shortened := false
	for i, to := range [...]*string{&e.Caller, &e.Called, &e.Address} {
		p := r.personal[i]
		*to = p.full
		if p.full == "" && len(p.seal) > 0 {
			*to, shortened = p.short, true
		}
	}
	return Record{Entry: e, Node: r.node, Seq: r.seq, Shortened: shortened, Hash: r.hash}
}
