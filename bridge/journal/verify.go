package journal

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Report says whether the chains of a journal hold.
type Report struct {
	Chains []ChainReport // of each node, by name
}

// ChainReport says whether one chain holds.
type ChainReport struct {
	Node     string
	Records  uint64 // that are there
	Removed  uint64 // because they were old, under a signed statement
	Last     uint64 // seq of the last record
	Heads    int
	Sealed   uint64    // up to this record, a signed head vouches for the chain
	SealedAt time.Time // when that head was signed
	Problem  *Problem  // the first one; nil: it holds
}

// Problem is where a chain does not hold, and why.
type Problem struct {
	Seq uint64
	Why string
}

// OK tells whether all chains hold.
func (r Report) OK() bool {
	return !slices.ContainsFunc(r.Chains, func(c ChainReport) bool { return c.Problem != nil })
}

// ErrNoKey says that a journal cannot be verified without a public key.
var ErrNoKey = errors.New("without a public key nothing can be verified")

// verifyPage is how many pieces of a chain are read at once.
const verifyPage = 1000

// Verify reads the whole journal and tells whether anything in it was changed, removed, inserted or moved. Heads count if one of keys signed them. known
// are heads that were kept elsewhere: what they vouch for must be there, too. The error says that the journal could not be read; what is wrong with
// it is in the report.
func (s *Store) Verify(ctx context.Context, keys []ed25519.PublicKey, known ...Head) (Report, error) {
	if len(keys) == 0 {
		return Report{}, ErrNoKey
	}
	var report Report
	err := s.look(ctx, func(tx *sql.Tx) error {
		v := verifier{tx: tx, keys: keys, chains: map[string]*vouched{}}
		if err := v.collect(ctx, known); errors.Is(err, errUnreadable) {
			report.Chains = []ChainReport{{Problem: &Problem{Why: fmt.Sprintf("a signed head is not as it was written: %v", err)}}}
			return nil
		} else if err != nil {
			return err
		}
		for _, node := range v.nodes() {
			c, err := v.chain(ctx, node)
			if err != nil {
				return err
			}
			report.Chains = append(report.Chains, c)
		}
		return nil
	})
	return report, err
}

// verifier verifies a journal in one state of it.
type verifier struct {
	tx     *sql.Tx
	keys   []ed25519.PublicKey
	chains map[string]*vouched
}

// vouched is what signed heads say about one chain.
type vouched struct {
	ends      []voucher // by seq
	heads     int
	shortened uint64
	newest    Head
}

// voucher is one head that names a record of the chain.
type voucher struct {
	seq  uint64
	hash Hash
	at   time.Time
	who  string // in words
	bad  string // why it is worth nothing
}

// trusted says why a signature is worth nothing; empty: it is good.
func (v *verifier) trusted(key ed25519.PublicKey, signed bool) string {
	switch {
	case !slices.ContainsFunc(v.keys, func(k ed25519.PublicKey) bool { return bytes.Equal(k, key) }):
		return "is signed by a key that was not given, with the fingerprint " + Fingerprint(key)
	case !signed:
		return "is forged: its signature is wrong"
	}
	return ""
}

// add takes a head into account.
func (v *verifier) add(h Head, who string) {
	c := v.of(h.Node)
	e := voucher{seq: h.Seq, hash: h.Hash, at: h.Time, who: who, bad: v.trusted(h.Key, h.signed())}
	c.ends = append(c.ends, e)
	if e.bad == "" {
		c.shortened = max(c.shortened, h.Shortened)
		if h.Number >= c.newest.Number {
			c.newest = h
		}
	}
}

func (v *verifier) of(node string) *vouched {
	if v.chains[node] == nil {
		v.chains[node] = &vouched{}
	}
	return v.chains[node]
}

// collect reads all heads, and what the newest head of each chain says about the others.
func (v *verifier) collect(ctx context.Context, known []Head) error {
	for _, table := range [...]string{"journal_records", "journal_chains", "journal_heads", "journal_pruned"} {
		if err := v.find(ctx, table); err != nil {
			return err
		}
	}
	rows, err := v.tx.QueryContext(ctx, selectHeads)
	if err != nil {
		return err
	}
	for rows.Next() {
		h, err := scanHead(rows.Scan)
		if err != nil {
			return errors.Join(errUnreadable, err, rows.Close())
		}
		v.of(h.Node).heads++
		v.add(h, fmt.Sprintf("head %d of %s", h.Number, date(h.Time)))
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, h := range known {
		v.add(h, fmt.Sprintf("the kept head %d of %s", h.Number, date(h.Time)))
	}
	for _, node := range v.nodes() {
		newest := v.chains[node].newest
		if newest.Number == 0 {
			continue
		}
		ends, err := newest.ends()
		if err != nil {
			return errors.Join(errUnreadable, err)
		}
		for _, e := range ends {
			c := v.of(e.Node)
			c.ends = append(c.ends, voucher{e.Seq, e.Hash, newest.Time, fmt.Sprintf("head %d of %s of the node %s", newest.Number, date(newest.Time), node), ""})
		}
	}
	for _, c := range v.chains {
		slices.SortStableFunc(c.ends, func(a, b voucher) int {
			return cmp.Compare(a.seq, b.seq)
		})
	}
	return nil
}

// find adds the nodes of a table, one index look-up for each.
func (v *verifier) find(ctx context.Context, table string) error {
	last := sql.NullString{Valid: true}
	query := "SELECT min(node) FROM " + table + " WHERE node >= $1"
	for {
		if err := v.tx.QueryRowContext(ctx, query, last.String).Scan(&last); err != nil {
			return err
		}
		if !last.Valid {
			return nil
		}
		v.of(last.String)
		query = "SELECT min(node) FROM " + table + " WHERE node > $1"
	}
}

// nodes are the names of all chains, sorted.
func (v *verifier) nodes() []string {
	var list []string
	for node := range v.chains {
		list = append(list, node)
	}
	slices.Sort(list)
	return list
}

// walk is how far the verification of a chain came.
type walk struct {
	ChainReport
	node    *vouched
	ends    []voucher // that were not reached yet
	hash    Hash      // of the last record
	scratch []byte
}

// fail notes the first problem, which ends the walk.
func (w *walk) fail(seq uint64, format string, args ...any) bool {
	if w.Problem == nil {
		w.Problem = &Problem{seq, fmt.Sprintf(format, args...)}
	}
	return false
}

// chain verifies one chain.
func (v *verifier) chain(ctx context.Context, node string) (ChainReport, error) {
	c := v.chains[node]
	w := &walk{ChainReport: ChainReport{Node: node, Heads: c.heads}, node: c, ends: c.ends}
	for after := int64(math.MinInt64); ; {
		list, err := pieces(ctx, v.tx, node, after, math.MaxInt64, verifyPage)
		if errors.Is(err, errUnreadable) {
			w.fail(w.Last+1, "behind record %d, there is one that cannot be read: a value in it has the wrong type or size (%v)", w.Last, err)
			return w.ChainReport, nil
		}
		if err != nil {
			return w.ChainReport, err
		}
		for i := range list {
			if !v.piece(w, list, i) {
				return w.ChainReport, nil
			}
		}
		if len(list) < verifyPage {
			break
		}
		after = int64(list[len(list)-1].first())
	}
	return w.ChainReport, v.end(ctx, w)
}

// piece verifies one piece of a page, and what heads say about it.
func (v *verifier) piece(w *walk, page []piece, i int) bool {
	p := page[i]
	switch next := w.Last + 1; {
	case p.first() > next:
		return w.fail(next, "record %d is missing", next)
	case p.first() < next && p.row != nil:
		return w.fail(p.first(), "there is a record %d where records were removed, or where none can be: it was inserted", p.first())
	case p.first() < next:
		return w.fail(p.first(), "the statement about removed records %d to %d covers records of another one", p.first(), p.last())
	case p.run != nil && p.last() < p.first():
		return w.fail(p.first(), "the statement about removed records %d to %d is impossible", p.first(), p.last())
	}
	switch {
	case p.run != nil:
		if bad := v.trusted(p.run.key, p.run.signed()); bad != "" {
			return w.fail(p.first(), "records %d to %d are missing, and the statement that they were removed because they were old %s", p.first(), p.last(), bad)
		}
		if !p.follows(w.hash, &w.scratch) {
			return w.fail(p.first(), "the removed records %d to %d did not follow this record %d: it, or one before it, was changed", p.first(), p.last(), w.Last)
		}
		w.Removed += p.last() - p.first() + 1
	case !p.follows(w.hash, &w.scratch):
		return w.fail(p.first(), "%s", diagnose(page, i, w.hash))
	default:
		if why := p.row.sealed(w.node.shortened); why != "" {
			return w.fail(p.first(), "%s", why)
		}
		w.Records++
	}
	w.Last, w.hash = p.last(), p.hash()
	return w.vouch(p.first())
}

// vouch holds the heads up to the last record against it, which is the last one of a piece that begins at first. Between the two, records were
// removed, and nothing can be said about them.
func (w *walk) vouch(first uint64) bool {
	for ; len(w.ends) > 0 && w.ends[0].seq <= w.Last; w.ends = w.ends[1:] {
		e := w.ends[0]
		switch {
		case e.bad != "":
			return w.fail(e.seq, "%s, about record %d, %s", e.who, e.seq, e.bad)
		case e.seq < first:
			return w.fail(e.seq, "%s is about a record %d, which cannot be", e.who, e.seq)
		case e.seq == w.Last && e.hash != w.hash:
			return w.fail(e.seq, "%s says otherwise: behind record %d and up to record %d, something was changed, removed or inserted, and the rest was fitted to it",
				e.who, w.Sealed, e.seq)
		}
		w.Sealed = e.seq
		if e.at.After(w.SealedAt) {
			w.SealedAt = e.at
		}
	}
	return true
}

// end verifies that nothing is missing behind the last record.
func (v *verifier) end(ctx context.Context, w *walk) error {
	if len(w.ends) > 0 {
		e := w.ends[len(w.ends)-1]
		if bad := slices.IndexFunc(w.ends, func(e voucher) bool { return e.bad != "" }); bad >= 0 {
			e = w.ends[bad]
			w.fail(e.seq, "%s, about record %d, %s", e.who, e.seq, e.bad)
			return nil
		}
		w.fail(w.Last+1, "the end is cut off: %s knows records up to %d", e.who, e.seq)
		return nil
	}
	var seq uint64
	var hash []byte
	err := v.tx.QueryRowContext(ctx, "SELECT seq, hash FROM journal_chains WHERE node = $1", w.Node).Scan(&seq, &hash)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		w.fail(w.Last+1, "the end may be cut off: the table of chains does not know this one any more")
	case err != nil:
		return err
	case seq != w.Last || seq > 0 && !bytes.Equal(hash, w.hash[:]):
		w.fail(w.Last+1, "the end is not as it was written: the table of chains knows %d records, the last with the hash %s", seq, hex.EncodeToString(hash))
	case w.Last > 0 && w.Sealed == 0:
		w.fail(1, "no signed head vouches for any record: the heads were removed")
	}
	return nil
}

// sealed says what is wrong with the personal values of a record that follows the one before it; empty: nothing.
func (r *row) sealed(shortened uint64) string {
	for i, p := range r.personal {
		name := personalNames[i]
		switch {
		case len(r.salt) == 0 && p.full != "":
			return fmt.Sprintf("record %d: the %s was put back into a shortened record", r.seq, name)
		case len(r.salt) == 0 && len(p.seal) > 0 && r.seq > shortened:
			return fmt.Sprintf("record %d: the full %s was removed, and no signed head permits that", r.seq, name)
		case len(r.salt) > 0 && !bytes.Equal(seal(name, r.salt, p.full), p.seal):
			return fmt.Sprintf("record %d: the %s was changed", r.seq, name)
		}
	}
	return ""
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }
