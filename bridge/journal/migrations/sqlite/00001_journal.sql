-- +goose Up
-- Records, in one chain per node. at: microseconds since 1970. The names ending in _short and _seal are hashed; salt, caller, called and address
-- are removed when they are old. docs/journal.md says how to check all of this without Passerelle.
CREATE TABLE journal_records (
    node          TEXT    NOT NULL,
    seq           INTEGER NOT NULL,
    at            INTEGER NOT NULL,
    kind          TEXT    NOT NULL,
    call_id       TEXT    NOT NULL,
    actor         TEXT    NOT NULL,
    room          TEXT    NOT NULL,
    rule          TEXT    NOT NULL,
    outcome       TEXT    NOT NULL,
    foreign_leg   INTEGER NOT NULL,
    caller_short  TEXT    NOT NULL,
    caller_seal   BLOB,
    called_short  TEXT    NOT NULL,
    called_seal   BLOB,
    address_short TEXT    NOT NULL,
    address_seal  BLOB,
    fields        TEXT    NOT NULL,
    salt          BLOB,
    caller        TEXT,
    called        TEXT,
    address       TEXT,
    hash          BLOB    NOT NULL,
    PRIMARY KEY (node, seq)
);
CREATE INDEX journal_records_at ON journal_records (at, node, seq);
CREATE INDEX journal_records_call ON journal_records (call_id) WHERE call_id <> '';

-- Where each chain ends, how many heads it has, and how much of which spill file is in it.
CREATE TABLE journal_chains (
    node    TEXT    NOT NULL PRIMARY KEY,
    seq     INTEGER NOT NULL,
    hash    BLOB    NOT NULL,
    head    INTEGER NOT NULL,
    segment BLOB,
    frames  INTEGER NOT NULL
);

-- Signed statements: the chain was this long and had this hash, records up to shortened may be shortened, and other chains were that long.
CREATE TABLE journal_heads (
    node       TEXT    NOT NULL,
    number     INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    hash       BLOB    NOT NULL,
    at         INTEGER NOT NULL,
    shortened  INTEGER NOT NULL,
    others     TEXT    NOT NULL,
    public_key BLOB    NOT NULL,
    signature  BLOB    NOT NULL,
    PRIMARY KEY (node, number)
);
CREATE INDEX journal_heads_seq ON journal_heads (node, seq);

-- Signed statements: these records were old and were removed; before and hash join the ends of the chain.
CREATE TABLE journal_pruned (
    node       TEXT    NOT NULL,
    first      INTEGER NOT NULL,
    last       INTEGER NOT NULL,
    before     BLOB    NOT NULL,
    hash       BLOB    NOT NULL,
    newest     INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    public_key BLOB    NOT NULL,
    signature  BLOB    NOT NULL,
    PRIMARY KEY (node, first)
);
CREATE INDEX journal_pruned_last ON journal_pruned (node, last);

-- How far retention and shortening have come in each chain.
CREATE TABLE journal_marks (
    node TEXT    NOT NULL,
    name TEXT    NOT NULL,
    seq  INTEGER NOT NULL,
    PRIMARY KEY (node, name)
);
