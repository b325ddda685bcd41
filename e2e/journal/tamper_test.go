package journal

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"passerelle/bridge/journal"
)

// wrong wants the first problem of the node's chain at a record, with some words in its reason.
func (n *node) wrong(seq uint64, words string, known ...journal.Head) {
	n.t.Helper()
	r := n.verify(known...)
	for _, c := range r.Chains {
		if c.Node != n.name {
			continue
		}
		switch {
		case r.OK() || c.Problem == nil:
			n.t.Fatalf("nobody notices: %+v", r)
		case c.Problem.Seq != seq || !strings.Contains(c.Problem.Why, words):
			n.t.Errorf("got %d, %q; want %d, %q", c.Problem.Seq, c.Problem.Why, seq, words)
		}
		return
	}
	n.t.Fatalf("there is no chain of %s: %+v", n.name, r)
}

// testTampering edits the database in every way that leaves traces in the chain itself.
func testTampering(t *testing.T, d database) {
	n := newNode(t, d).run()
	n.write(calls(30)...)
	n.stop()
	n.holds()
	n.remember()
	const row = "node = 'node-1' AND seq = "
	for _, c := range []struct {
		name  string
		edits []string
		seq   uint64
		words string
	}{
		{"removed", []string{"DELETE FROM journal_records WHERE " + row + "17"}, 17, "record 17 is missing"},
		{"the first removed", []string{"DELETE FROM journal_records WHERE " + row + "1"}, 1, "record 1 is missing"},
		{"all removed", []string{"DELETE FROM journal_records"}, 1, "the end is cut off"},
		{"all of it removed", []string{"DELETE FROM journal_records", "DELETE FROM journal_heads"}, 1, "the end is not as it was written"},
		{
			"removed and closed up", []string{
				"DELETE FROM journal_records WHERE " + row + "17", "UPDATE journal_records SET seq = -seq WHERE seq > 17",
				"UPDATE journal_records SET seq = -seq - 1 WHERE seq < 0",
			}, 17, "record 17 was written as record 18",
		},
		{
			"inserted", []string{
				"UPDATE journal_records SET seq = -seq WHERE seq > 17", "UPDATE journal_records SET seq = -seq + 1 WHERE seq < 0",
				copyRow(17, 18),
			}, 18, "record 18 was written as record 17",
		},
		{"inserted before the first", []string{copyRow(1, 0)}, 0, "it was inserted"},
		{"inserted far before the first", []string{copyRow(1, -7)}, 1, "cannot be read"},
		{"inserted behind the last", []string{copyRow(30, 31)}, 31, "record 31 was written as record 30"},
		{
			"two changed places", []string{
				"UPDATE journal_records SET seq = -5 WHERE " + row + "5", "UPDATE journal_records SET seq = 5 WHERE " + row + "6",
				"UPDATE journal_records SET seq = 6 WHERE " + row + "-5",
			}, 5, "record 5 was written as record 6",
		},
		{"the hash", []string{"UPDATE journal_records SET hash = (SELECT hash FROM journal_records WHERE " + row + "3) WHERE " + row + "9"}, 9, "another hash"},
		{"the hash is too short", []string{"UPDATE journal_records SET hash = salt WHERE " + row + "9"}, 1, "cannot be read"},
		{"the salt", []string{"UPDATE journal_records SET salt = hash WHERE " + row + "9"}, 9, "the caller was changed"},
		{"the caller", []string{"UPDATE journal_records SET caller = '+33100000000' WHERE " + row + "9"}, 9, "the caller was changed"},
		{"the called", []string{"UPDATE journal_records SET called = NULL WHERE " + row + "9"}, 9, "the called was changed"},
		{"the address", []string{"UPDATE journal_records SET address = '192.0.2.99' WHERE " + row + "9"}, 9, "the address was changed"},
		{"shortened", []string{"UPDATE journal_records SET salt = NULL, caller = NULL, called = NULL, address = NULL WHERE " + row + "9"}, 9, "no signed head permits"},
		{"another node's", []string{"UPDATE journal_records SET node = 'node-2' WHERE " + row + "9"}, 9, "record 9 is missing"},
		{"the whole chain renamed", []string{"UPDATE journal_records SET node = 'node-2'"}, 1, "the end is cut off"},
		{"the chain forgotten", []string{"DELETE FROM journal_chains"}, 31, "the table of chains does not know"},
		{"the end moved", []string{"UPDATE journal_chains SET seq = 12"}, 31, "the end is not as it was written"},
		{"said to be removed", []string{
			"DELETE FROM journal_records WHERE seq IN (7, 8)",
			`INSERT INTO journal_pruned (node, first, last, before, hash, newest, at, public_key, signature) SELECT node, 7, 8,
				(SELECT hash FROM journal_records WHERE seq = 6), (SELECT hash FROM journal_records WHERE seq = 9), 0, 0, public_key, signature FROM journal_heads`,
		}, 7, "is forged"},
	} {
		n.tampered(t, c.name, c.seq, c.words, c.edits...)
	}
	for column, value := range map[string]string{
		"at": "at + 1", "kind": "'node'", "call_id": "'call-1'", "actor": "'alice'", "room": "'other'", "rule": "''", "outcome": "'refused'", "foreign_leg": "1",
		"caller_short": "'+33***'", "caller_seal": "NULL", "called_short": "''", "called_seal": "caller_seal", "address_short": "'192.0.3.0/24'",
		"address_seal": "hash", "fields": "'{}'",
	} {
		n.tampered(t, column, 9, "record 9 was changed", "UPDATE journal_records SET "+column+" = "+value+" WHERE "+row+"9")
		n.tampered(t, column+" of the last", 30, "record 30", "UPDATE journal_records SET "+column+" = "+value+" WHERE "+row+"30")
	}
	n.holds()
}

// copyRow copies a record to another place.
func copyRow(from, to int) string {
	const columns = `at, kind, call_id, actor, room, rule, outcome, foreign_leg, caller_short, caller_seal, called_short, called_seal, address_short,
		address_seal, fields, salt, caller, called, address, hash`
	return fmt.Sprintf("INSERT INTO journal_records (node, seq, %s) SELECT node, %d, %s FROM journal_records WHERE seq = %d", columns, to, columns, from)
}

// tables are the tables of the journal.
func tables() []string {
	return []string{"journal_records", "journal_chains", "journal_heads", "journal_pruned", "journal_marks"}
}

// remember copies all tables, for tampered to put everything back.
func (n *node) remember() {
	n.t.Helper()
	var all []string
	for _, table := range tables() {
		all = append(all, "DROP TABLE IF EXISTS kept_"+table, "CREATE TABLE kept_"+table+" AS SELECT * FROM "+table)
	}
	n.sql(all...)
}

// tampered edits the database, wants it noticed, and puts everything back as remember found it.
func (n *node) tampered(t *testing.T, name string, seq uint64, words string, edits ...string) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		here := *n
		here.t = t
		here.sql(edits...)
		here.wrong(seq, words)
		var all []string
		for _, table := range tables() {
			all = append(all, "DELETE FROM "+table, "INSERT INTO "+table+" SELECT * FROM kept_"+table)
		}
		here.sql(all...)
	})
}

// testFitted has somebody change a record and fit all hashes behind it to the change: only the signed heads know better.
func testFitted(t *testing.T, d database) {
	n := newNode(t, d).run()
	n.write(calls(5)...)
	n.stop() // signs a head for 5
	n.run()
	n.write(calls(5)...)
	n.stop() // and one for 10
	forger := newNode(t, d)
	forger.name = n.name
	forger.run()
	list := append(calls(5), calls(5)...)
	list[6].Outcome = "changed"
	forger.write(list...)
	forger.stop()
	// Another chain that holds, but for the signatures: its own heads tell.
	r, err := forger.store().Verify(t.Context(), []ed25519.PublicKey{n.public()})
	if err != nil || r.OK() || !strings.Contains(r.Chains[0].Problem.Why, "signed by a key that was not given") {
		t.Fatalf("%+v, %v", r, err)
	}
	// With the true heads, it is they who contradict it.
	head, err := journal.ReadHead(filepath.Join(n.cfg.Dir, "head.json"))
	if err != nil {
		t.Fatal(err)
	}
	forger.sql("DELETE FROM journal_heads")
	forger.key() // is its own; verify with n's
	forger.cfg.KeyFile = filepath.Join(n.cfg.Dir, "journal.key")
	forger.wrong(10, "says otherwise", *head)
	forger.wrong(1, "no signed head vouches")
}

// testCut cuts the end off, and makes the rest look whole.
func testCut(t *testing.T, d database) {
	n := newNode(t, d).run()
	n.write(calls(10)...)
	n.stop()
	head, err := journal.ReadHead(filepath.Join(n.cfg.Dir, "head.json"))
	if err != nil || head.Seq != 10 {
		t.Fatalf("%+v, %v", head, err)
	}
	n.sql("DELETE FROM journal_records WHERE seq > 7",
		"UPDATE journal_chains SET seq = 7, hash = (SELECT hash FROM journal_records WHERE seq = 7)")
	n.wrong(8, "the end is cut off")
	n.sql("DELETE FROM journal_heads WHERE seq > 7")
	n.wrong(8, "the end is cut off", *head)
}

func testForged(t *testing.T, d database) {
	n := newNode(t, d).run()
	n.write(calls(1)...) // sealed at once by head 1
	n.write(calls(2)...) // and at the end by head 2
	n.stop()
	n.remember()
	for _, c := range []struct {
		name, edit string
		seq        uint64
	}{
		{"seq", "UPDATE journal_heads SET seq = 2 WHERE number = 2", 2},
		{"number", "UPDATE journal_heads SET number = 7 WHERE number = 2", 3},
		{"time", "UPDATE journal_heads SET at = at - 1", 1},
		{"bound", "UPDATE journal_heads SET shortened = 3", 1},
		{"others", "UPDATE journal_heads SET others = '[]x'", 1},
		{"signature", "UPDATE journal_heads SET signature = hash", 1},
	} {
		n.tampered(t, c.name, c.seq, "is forged", c.edit)
	}
	other, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := n.store().Verify(t.Context(), []ed25519.PublicKey{other})
	if err != nil || r.OK() || !strings.Contains(r.Chains[0].Problem.Why, journal.Fingerprint(n.public())) {
		t.Errorf("a wrong key: %+v, %v", r, err)
	}
	if _, err := n.store().Verify(t.Context(), nil); !errors.Is(err, journal.ErrNoKey) {
		t.Error(err)
	}
	// Of two keys one is right, as after a change of keys.
	if r, err := n.store().Verify(t.Context(), []ed25519.PublicKey{other, n.public()}); err != nil || !r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}

// testReplaced swaps the database for an empty one while the node is down: the node itself notices, and keeps that in the record.
func testReplaced(t *testing.T, d database) {
	n := newNode(t, d).run()
	n.write(calls(10)...)
	n.stop()
	for _, table := range tables() {
		n.sql("DELETE FROM " + table)
	}
	n.run()
	n.write(calls(1)...)
	n.stop()
	list := n.all(journal.Query{Kinds: []journal.Kind{journal.Node}})
	if len(list) != 1 || list[0].Outcome != "broken" || list[0].Fields["expected_record"] != "10" {
		t.Fatalf("%+v", list)
	}
	n.holds() // a new chain, which says in it what happened
	n.run()
	n.stop()
	if again := n.all(journal.Query{Kinds: []journal.Kind{journal.Node}}); len(again) != 1 {
		t.Fatalf("told again: %+v", again)
	}
}

// testSecondWriter has two processes write under one name: the chain stays one chain, and says so.
func testSecondWriter(t *testing.T, d database) {
	n := newNode(t, d).run()
	other := n.beside(n.name)
	if n.cfg.URL == "" {
		other.cfg.URL = "sqlite:" + filepath.Join(n.cfg.Dir, "journal.db")
	}
	other.cfg.KeyFile = filepath.Join(n.cfg.Dir, "journal.key")
	other.run()
	for i := range 5 {
		n.w.Write(calls(5)[i])
		n.settle()
		other.w.Write(calls(5)[i])
		other.settle()
	}
	n.stop()
	other.stop()
	if c := n.holds(); c.Records < 11 {
		t.Errorf("%+v", c)
	}
	for outcome, want := range map[string]int{"hung_up": 10, "forked": 2} {
		if list := n.all(journal.Query{Outcome: outcome}); len(list) != want {
			t.Errorf("%d records %q, want %d", len(list), outcome, want)
		}
	}
	n.run()
	if w, err := journal.Open(t.Context(), n.cfg, "node-2", nil, discard()); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("two processes use one directory: %v, %v", w, err)
	}
}

// testGoesOn has somebody change under a running node what the database says about the end of the chain: the node goes on, and both show.
func testGoesOn(t *testing.T, d database) {
	for edit, words := range map[string]string{
		"DELETE FROM journal_chains":                             "",
		"UPDATE journal_chains SET seq = 3, head = 0":            "",
		"UPDATE journal_chains SET seq = 30":                     "record 6 is missing",
		"DELETE FROM journal_records WHERE seq > 3":              "record 4 is missing",
		"UPDATE journal_records SET seq = 99 WHERE seq = 5":      "record 5 is missing",
		"DELETE FROM journal_records; DELETE FROM journal_heads": "record 1 is missing",
	} {
		n := newNode(t, d).run()
		n.write(calls(1)...)
		n.write(calls(4)...)
		n.sql(edit)
		n.write(calls(2)...)
		n.stop()
		if list := n.all(journal.Query{Outcome: "forked"}); len(list) != 1 && !strings.Contains(edit, "records") {
			t.Errorf("%s: it is told by %+v", edit, list)
		}
		r := n.verify()
		switch p := r.Chains[0].Problem; {
		case words == "" && p != nil:
			t.Errorf("%s: %+v", edit, p)
		case words != "" && (p == nil || !strings.Contains(p.Why, words)):
			t.Errorf("%s: %+v, want %q", edit, p, words)
		}
	}
}

// testVerifyWhileWritten verifies again and again while entries come and old ones go.
func testVerifyWhileWritten(t *testing.T, d database) {
	n := newNode(t, d).run()
	n.write(calls(1)...)
	n.cfg.ShortenAfter = time.Hour
	n.cfg.Keep.Calls = time.Hour
	for i := range 20 {
		for range 50 {
			n.w.Write(calls(1)[0])
		}
		if i%3 == 0 {
			if _, err := n.store().Prune(t.Context(), n.name, n.cfg, n.key(), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		n.holds()
	}
}
