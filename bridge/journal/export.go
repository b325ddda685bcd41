package journal

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Format is how records are exported.
type Format string

// The formats of an export.
const (
	JSONLines Format = "jsonl" // one JSON object on each line
	CSV       Format = "csv"   // RFC 4180, with a line of names; fields are a JSON object
)

// exported is a record in an export.
type exported struct {
	Node      string            `json:"node"`
	Seq       uint64            `json:"seq"`
	Time      string            `json:"time"` // RFC 3339, UTC, µs
	Kind      Kind              `json:"kind"`
	Call      string            `json:"call"`
	Actor     string            `json:"actor"`
	Room      string            `json:"room"`
	Rule      string            `json:"rule"`
	Outcome   string            `json:"outcome"`
	Foreign   bool              `json:"foreign"`
	Caller    string            `json:"caller"`
	Called    string            `json:"called"`
	Address   string            `json:"address"`
	Shortened bool              `json:"shortened"`
	Fields    map[string]string `json:"fields"`
	Hash      Hash              `json:"hash"`
}

func (r *Record) exported() exported {
	return exported{
		Node: r.Node, Seq: r.Seq, Time: r.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), Kind: r.Kind, Call: r.Call, Actor: r.Actor, Room: r.Room,
		Rule: r.Rule, Outcome: r.Outcome, Foreign: r.Foreign, Caller: r.Caller, Called: r.Called, Address: r.Address, Shortened: r.Shortened,
		Fields: r.Fields, Hash: r.Hash,
	}
}

// Export writes the records that a query wants, the oldest first, whatever its limit and cursor, and tells how many they are. It holds one page in
// memory.
func (s *Store) Export(ctx context.Context, out io.Writer, f Format, q Query) (n uint64, err error) {
	buffer := bufio.NewWriterSize(out, 64<<10)
	var write func(*exported) error
	flush := buffer.Flush
	switch f {
	case JSONLines:
		e := json.NewEncoder(buffer)
		e.SetEscapeHTML(false)
		write = func(r *exported) error { return e.Encode(r) }
	case CSV:
		c := csv.NewWriter(buffer)
		if err := c.Write(csvNames()); err != nil {
			return 0, err
		}
		flush = func() error {
			c.Flush()
			return errors.Join(c.Error(), buffer.Flush())
		}
		write = func(r *exported) error { return c.Write(r.csv()) }
	default:
		return 0, fmt.Errorf("%w: the format is %q: expected %s or %s", ErrQuery, f, JSONLines, CSV)
	}
	err = s.look(ctx, func(tx *sql.Tx) error {
		var last *Record
		for {
			page, err := exportPage(ctx, tx, q, last)
			if err != nil || len(page) == 0 {
				return err
			}
			for i := range page {
				e := page[i].exported()
				if err := write(&e); err != nil {
					return err
				}
			}
			n += uint64(len(page))
			last = &page[len(page)-1]
		}
	})
	return n, errors.Join(err, flush())
}

// exportPage reads the records behind last.
func exportPage(ctx context.Context, tx *sql.Tx, q Query, last *Record) (page []Record, err error) {
	w := q.where()
	if last != nil {
		w.add("(at, node, seq) > (?, ?, ?)", last.Time.UnixMicro(), last.Node, int64(last.Seq))
	}
	rows, err := tx.QueryContext(ctx, selectRows+w.String()+" ORDER BY at, node, seq LIMIT "+strconv.Itoa(largePage), w.args...)
	if err != nil {
		return nil, err
	}
	err = each(rows, func(r *row) error {
		page = append(page, r.record())
		return nil
	})
	return page, err
}

func csvNames() []string {
	return []string{
		"node", "seq", "time", "kind", "call", "actor", "room", "rule", "outcome", "foreign", "caller", "called", "address", "shortened", "fields", "hash",
	}
}

func (e *exported) csv() []string {
	fields := "{}"
	if len(e.Fields) > 0 {
		b, _ := json.Marshal(e.Fields) // of strings: cannot fail
		fields = string(b)
	}
	line := []string{
		e.Node, strconv.FormatUint(e.Seq, 10), e.Time, string(e.Kind), e.Call, e.Actor, e.Room, e.Rule, e.Outcome, strconv.FormatBool(e.Foreign),
		e.Caller, e.Called, e.Address, strconv.FormatBool(e.Shortened), fields, e.Hash.String(),
	}
	for i := range line {
		line[i] = harmless(line[i])
	}
	return line
}

// harmless keeps a spreadsheet from taking what a stranger sent for a formula. A number may begin with a plus.
func harmless(s string) string {
	if s == "" || !strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
		return s
	}
	if s[0] == '+' && strings.Trim(s[1:], "0123456789*") == "" {
		return s
	}
	return "'" + s
}

// ReadTime reads a time as an operator writes it: a day, which begins at midnight UTC, or RFC 3339.
func ReadTime(s string) (time.Time, error) {
	for _, form := range [...]string{time.DateOnly, time.RFC3339Nano} {
		if t, err := time.Parse(form, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: %q is no time: expected 2026-01-31 or 2026-01-31T08:00:00Z", ErrQuery, s)
}
