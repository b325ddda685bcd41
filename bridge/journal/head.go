package journal

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"passerelle/configs"
)

// Head is a signed statement: at this time, the chain of this node had so many records, and the last one this hash. Whoever holds a head can tell
// later that nothing before it was changed or removed.
type Head struct {
	Node      string            `json:"node"`
	Number    uint64            `json:"number"` // of the heads of this node, from 1
	Seq       uint64            `json:"seq"`    // of the last record
	Hash      Hash              `json:"hash"`   // of the last record
	Time      time.Time         `json:"time"`
	Shortened uint64            `json:"shortened"` // records up to this one may have lost the ends of their personal values
	Others    string            `json:"others"`    // a JSON array of Ends: the other chains in the same database
	Key       ed25519.PublicKey `json:"public_key"`
	Signature []byte            `json:"signature"`
}

// End is where a chain ends.
type End struct {
	Node string `json:"node"`
	Seq  uint64 `json:"seq"`
	Hash Hash   `json:"hash"`
}

// content is what is signed.
func (h *Head) content() []byte {
	return items(nil).text(headForm).text(h.Node).number(int64(h.Number)).number(int64(h.Seq)).bytes(h.Hash[:]).
		number(h.Time.UnixMicro()).number(int64(h.Shortened)).text(h.Others)
}

// signed tells whether the signature is that of the key in the head.
func (h *Head) signed() bool {
	return len(h.Key) == ed25519.PublicKeySize && ed25519.Verify(h.Key, h.content(), h.Signature)
}

// sign adds a head to the chain of a node, which must end at t. Where there is nothing to say that the last head does not say, it is nil.
func (s *Store) sign(ctx context.Context, node string, t *tip, key ed25519.PrivateKey, at time.Time) (head *Head, err error) {
	err = s.change(ctx, func(tx *sql.Tx) error {
		head, err = signHead(ctx, tx, node, t, key, at, 0)
		return err
	})
	if errors.Is(err, errNothing) {
		return nil, nil
	}
	return head, err
}

var errNothing = errors.New("nothing to sign")

// signHead signs a head that permits shortening up to a record, besides what the last head permits. Without t it names the same record as the last head:
// who shortens does not know what the node wrote since.
func signHead(ctx context.Context, tx *sql.Tx, node string, t *tip, key ed25519.PrivateKey, at time.Time, shortened uint64) (*Head, error) {
	h := Head{Node: node, Time: at, Shortened: shortened, Key: key.Public().(ed25519.PublicKey)}
	var hash []byte
	var last uint64
	// The update changes nothing: it locks the chain.
	err := tx.QueryRowContext(ctx, "UPDATE journal_chains SET head = head WHERE node = $1 RETURNING seq, hash, head", node).Scan(&h.Seq, &hash, &last)
	if err != nil {
		return nil, err
	}
	copy(h.Hash[:], hash)
	if t != nil && (t.seq != h.Seq || t.hash != h.Hash) {
		return nil, errForked
	}
	if h.Others, err = others(ctx, tx, node); err != nil {
		return nil, err
	}
	before, err := readHead(ctx, tx, node, last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	if before.Key.Equal(h.Key) && before.signed() { // what somebody else wrote there is not signed again
		if t == nil {
			h.Seq, h.Hash, h.Others = before.Seq, before.Hash, before.Others
		}
		h.Shortened = max(h.Shortened, before.Shortened)
		if before.Seq == h.Seq && before.Shortened == h.Shortened && before.Others == h.Others {
			return nil, errNothing
		}
	}
	if h.Seq == 0 {
		return nil, errNothing
	}
	h.Number = last + 1
	h.Signature = ed25519.Sign(key, h.content())
	_, err = tx.ExecContext(ctx, `INSERT INTO journal_heads (node, number, seq, hash, at, shortened, others, public_key, signature)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, node, int64(h.Number), int64(h.Seq), h.Hash[:], h.Time.UnixMicro(), int64(h.Shortened), h.Others,
		[]byte(h.Key), h.Signature)
	if err != nil {
		return nil, err
	}
	_, err = tx.ExecContext(ctx, "UPDATE journal_chains SET head = $1 WHERE node = $2", int64(h.Number), node)
	return &h, err
}

// others is where the other chains end, as Head.Others.
func others(ctx context.Context, tx *sql.Tx, node string) (string, error) {
	rows, err := tx.QueryContext(ctx, "SELECT node, seq, hash FROM journal_chains WHERE node <> $1 AND seq > 0 ORDER BY node", node)
	if err != nil {
		return "", err
	}
	list := []End{}
	for rows.Next() {
		var e End
		var hash []byte
		if err := rows.Scan(&e.Node, &e.Seq, &hash); err != nil {
			return "", errors.Join(err, rows.Close())
		}
		copy(e.Hash[:], hash)
		list = append(list, e)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return "", err
	}
	b, err := json.Marshal(list)
	return string(b), err
}

const selectHeads = "SELECT node, number, seq, hash, at, shortened, others, public_key, signature FROM journal_heads"

func readHead(ctx context.Context, tx *sql.Tx, node string, number uint64) (Head, error) {
	return scanHead(tx.QueryRowContext(ctx, selectHeads+" WHERE node = $1 AND number = $2", node, int64(number)).Scan)
}

func scanHead(scan func(...any) error) (h Head, err error) {
	var at int64
	var hash []byte
	err = scan(&h.Node, &h.Number, &h.Seq, &hash, &at, &h.Shortened, &h.Others, (*[]byte)(&h.Key), &h.Signature)
	h.Time = time.UnixMicro(at).UTC()
	copy(h.Hash[:], hash)
	return h, err
}

const headFile = "head.json"

// save keeps the head beside the spill, where whoever changes the database does not reach it. The file appears as a whole.
func (h *Head) save(dir string) error {
	b, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return err
	}
	temporary := filepath.Join(dir, "."+headFile)
	if err := os.WriteFile(temporary, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(dir, headFile))
}

// ReadHead reads a head that was kept. Its signature is not checked.
func ReadHead(path string) (*Head, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	h := &Head{}
	if err := json.Unmarshal(b, h); err != nil {
		return nil, fmt.Errorf("%s is not a head of a journal: %w", path, err)
	}
	return h, nil
}

// LastHead is the head that the node signed last, as it is kept in the journal's directory; nil: none.
func LastHead(cfg configs.Journal) (*Head, error) {
	dir, err := stateDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	h, err := ReadHead(filepath.Join(dir, headFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return h, err
}

// ends reads where the other chains were when the head was signed.
func (h *Head) ends() ([]End, error) {
	var list []End
	if err := json.Unmarshal([]byte(h.Others), &list); err != nil {
		return nil, fmt.Errorf("head %d of %s names no other chains: %w", h.Number, h.Node, err)
	}
	return slices.DeleteFunc(list, func(e End) bool { return e.Node == h.Node }), nil
}

// has tells whether the record that a head names is in its chain, or was removed under a statement about it.
func (s *Store) has(ctx context.Context, h *Head) (bool, error) {
	ok := false
	err := s.look(ctx, func(tx *sql.Tx) error {
		list, err := around(ctx, tx, h.Node, h.Seq, h.Seq)
		if errors.Is(err, errUnreadable) || err == nil && len(list) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		p := list[0]
		inside := p.first() <= h.Seq && h.Seq < p.last()
		ok = inside || p.last() == h.Seq && p.hash() == h.Hash
		return nil
	})
	return ok, err
}
