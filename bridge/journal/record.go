package journal

import "encoding/hex"

// Record is an entry as the database has it.
type Record struct {
	Entry
	Node      string // whose chain the record is in
	Seq       uint64 // position in that chain, from 1
	Shortened bool   // Caller, Called and Address are what is left of them
	Hash      Hash
}

// Hash is a SHA-256 hash.
type Hash [32]byte

// String is the hash in hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes the hash in hexadecimal digits.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (h *Hash) UnmarshalText(b []byte) error {
	if len(b) != 2*len(h) {
		return errHash
	}
	_, err := hex.Decode(h[:], b)
	return err
}

// row is a record as a row of the table: journal_records has one column for each field, and docs/journal.md says how they are hashed.
type row struct {
	node                                   string
	seq                                    uint64
	at                                     int64 // µs since 1970, UTC
	kind, call, actor, room, rule, outcome string
	foreign                                bool
	personal                               [3]personal // caller, called, address
	fields                                 string      // JSON object
	salt                                   []byte      // of the seals; none: shortened
	hash                                   Hash
}

// personal is a value that loses its end when it is old.
type personal struct {
	short string // what is left of it then
	seal  []byte // commitment to the full value; none: there was none
	full  string // empty when shortened
}
