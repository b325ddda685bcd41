package journal

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"
	"time"

	"passerelle/bridge/journal"
	"passerelle/configs"
)

const day = 24 * time.Hour

// prune applies retention as of a time.
func (n *node) prune(at time.Time) journal.Pruned {
	n.t.Helper()
	did, err := n.store().Prune(n.t.Context(), n.name, n.cfg, n.key(), at)
	if err != nil {
		n.t.Fatal(err)
	}
	return did
}

// dump is every value of every table, for the test to look for what must not be there.
func (n *node) dump() string {
	n.t.Helper()
	var b strings.Builder
	for _, table := range tables() {
		rows, err := n.database().QueryContext(n.t.Context(), "SELECT * FROM "+table)
		if err != nil {
			n.t.Fatal(err)
		}
		names, err := rows.Columns()
		if err != nil {
			n.t.Fatal(err)
		}
		values, targets := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			targets[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(targets...); err != nil {
				n.t.Fatal(err)
			}
			for _, v := range values {
				if text, ok := v.([]byte); ok {
					v = string(text)
				}
				fmt.Fprintln(&b, v)
			}
		}
		if err := rows.Err(); err != nil {
			n.t.Fatal(err)
		}
	}
	return b.String()
}

func testShortens(t *testing.T, d database) {
	n := newNode(t, d).run()
	n.write(calls(2500)...) // more than two steps
	n.stop()
	n.cfg.ShortenAfter = 0
	if did := n.prune(noon().Add(1000 * day)); did != (journal.Pruned{}) {
		t.Errorf("without retention: %+v", did)
	}
	n.cfg.ShortenAfter = 30 * day
	if did := n.prune(noon().Add(29 * day)); did != (journal.Pruned{}) {
		t.Errorf("too early: %+v", did)
	}
	// The first 2,400 are older than 30 days then.
	if did := n.prune(noon().Add(30*day + 2400*time.Second)); did != (journal.Pruned{Shortened: 2400}) {
		t.Errorf("got %+v", did)
	}
	if did := n.prune(noon().Add(30*day + 2400*time.Second)); did != (journal.Pruned{}) {
		t.Errorf("again: %+v", did)
	}
	n.holds()
	list := n.all(journal.Query{Limit: 1000})
	if r := list[len(list)-1]; !r.Shortened || r.Caller != "+3319876****" && r.Caller != "+33198765****" || r.Called != "12**" || r.Address != "192.0.2.0/24" || r.Rule != "trunk" {
		t.Errorf("the oldest is %+v", r)
	}
	if r := list[0]; r.Shortened || strings.Contains(r.Caller, "*") {
		t.Errorf("the newest is %+v", r)
	}
	n.prune(noon().Add(60 * day))
	for _, secret := range []string{"+331987654", "192.0.2.17"} {
		if all := n.dump(); strings.Contains(all, secret) {
			t.Errorf("%s is still somewhere", secret)
		}
	}
	n.holds()
	n.remember()
	n.tampered(t, "put back", 5, "was put back", "UPDATE journal_records SET called = '1234' WHERE seq = 5")
	n.tampered(t, "short form changed", 5, "record 5 was changed", "UPDATE journal_records SET caller_short = '+44***' WHERE seq = 5")
}

func testRemoves(t *testing.T, d database) {
	n := newNode(t, d).run()
	kinds := []journal.Kind{journal.Decision, journal.Call, journal.Decision, journal.Admin, journal.Admission, journal.Decision}
	const count = 2400
	list := make([]journal.Entry, count) // one each hour: 100 days
	for i := range list {
		list[i] = journal.Entry{Time: noon().Add(time.Duration(i) * time.Hour), Kind: kinds[i%len(kinds)], Caller: "+33198765432", Outcome: "o"}
	}
	n.write(list...)
	n.stop()
	n.cfg.Keep = configs.Keep{Calls: 100 * day, Decisions: 10 * day, Others: 50 * day}
	n.cfg.ShortenAfter = 20 * day
	now := noon().Add(count * time.Hour)
	due := func(e journal.Entry, now time.Time) bool {
		keep := map[journal.Kind]time.Duration{journal.Call: 100 * day, journal.Admin: 50 * day}[e.Kind]
		if keep == 0 {
			keep = 10 * day
		}
		return now.Sub(e.Time) > keep
	}
	for _, later := range []time.Duration{0, time.Hour, 6 * day, 30 * day, 99 * day, 101 * day} {
		now := now.Add(later)
		n.prune(now)
		left := uint64(0)
		for _, e := range list {
			if !due(e, now) {
				left++
			}
		}
		if c := n.holds(); c.Records != left || c.Records+c.Removed != count || c.Last != count {
			t.Fatalf("after %v: %+v, want %d records", later, c, left)
		}
		for _, r := range n.all(journal.Query{Limit: 1000}) {
			if due(r.Entry, now) || r.Shortened != (now.Sub(r.Time) > 20*day) {
				t.Fatalf("after %v: %+v is still there, or not as it should be", later, r)
			}
		}
		if later == 30*day { // in the middle, where all three kinds have gone in part
			n.remember()
			n.tampered(t, "one more removed", left0(n), "is missing", fmt.Sprintf("DELETE FROM journal_records WHERE seq = %d", left0(n)))
			n.tampered(t, "a statement removed", 1, "is missing", "DELETE FROM journal_pruned WHERE first = 1")
			n.tampered(t, "a statement stretched", 1, "is forged", "UPDATE journal_pruned SET last = last + 1 WHERE first = 1")
			n.tampered(t, "a record put back", 1, "it was inserted", copyRow(int(left0(n)), 1))
		}
	}
	// All is gone: one statement is left, and the chain goes on.
	var runs, heads int
	if err := n.database().QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM journal_pruned), (SELECT count(*) FROM journal_heads WHERE seq < 2400)").Scan(&runs, &heads); err != nil {
		t.Fatal(err)
	}
	if runs != 1 || heads != 0 {
		t.Errorf("%d statements and %d heads within them are left", runs, heads)
	}
	n.cfg.Keep = configs.Keep{}
	n.run()
	n.write(calls(3)...)
	n.stop()
	if c := n.holds(); c.Records != 3 || c.Removed != count || c.Last != count+3 {
		t.Errorf("%+v", c)
	}
}

// left0 is the first record that is left.
func left0(n *node) uint64 {
	list := n.all(journal.Query{Limit: 1000})
	return list[len(list)-1].Seq
}

// testLaunders has somebody forge the permission to shorten, and wait for the node to sign it with its next head.
func testLaunders(t *testing.T, d database) {
	n := newNode(t, d).run()
	n.write(calls(10)...)
	n.stop()
	n.sql("UPDATE journal_heads SET shortened = 10")
	n.run()
	n.write(calls(1)...)
	n.stop()
	n.sql("DELETE FROM journal_heads WHERE seq <= 10", "UPDATE journal_records SET salt = NULL, caller = NULL, called = NULL, address = NULL WHERE seq = 9")
	n.wrong(9, "no signed head permits")
}

// testRemovesNothing has somebody change what is about to be removed: no signature must be set over it.
func testRemovesNothing(t *testing.T, d database) {
	n := newNode(t, d).run()
	n.write(calls(20)...)
	n.stop()
	n.cfg.Keep.Calls = day
	n.sql("UPDATE journal_records SET rule = 'other' WHERE seq = 7")
	did, err := n.store().Prune(t.Context(), n.name, n.cfg, n.key(), noon().Add(2*day))
	if err == nil || !strings.Contains(err.Error(), "record 7") {
		t.Fatalf("%+v, %v", did, err)
	}
	n.wrong(7, "was changed")
	n.sql("UPDATE journal_records SET rule = 'trunk' WHERE seq = 7", `INSERT INTO journal_pruned (node, first, last, before, hash, newest, at, public_key, signature)
		SELECT node, 4, 4, (SELECT hash FROM journal_records WHERE seq = 3), (SELECT hash FROM journal_records WHERE seq = 4), 0, 0, public_key, signature
		FROM journal_heads WHERE number = 1`, "DELETE FROM journal_records WHERE seq = 4")
	if _, err := n.store().Prune(t.Context(), n.name, n.cfg, n.key(), noon().Add(2*day)); err != nil {
		t.Fatal(err)
	}
	n.wrong(4, "is forged") // the forged statement was not made a part of a true one
}

// testClock has the clock of a node jump back and ahead while it writes: nothing goes before its time, and nothing stays for ever.
func testClock(t *testing.T, d database) {
	n := newNode(t, d).run()
	at := func(when ...time.Time) {
		for _, w := range when {
			n.w.Write(journal.Entry{Time: w, Kind: journal.Call, Caller: "+33198765432"})
		}
	}
	at(noon(), noon().Add(time.Minute), time.Unix(0, 0), noon().Add(-40*365*day)) // the battery of the clock is empty
	at(noon().Add(2*time.Minute), noon().Add(30*365*day), noon().Add(3*time.Minute))
	n.settle()
	n.stop()
	n.cfg.Keep.Calls, n.cfg.ShortenAfter = 100*day, 100*day
	if did := n.prune(noon().Add(99 * day)); did != (journal.Pruned{}) {
		t.Fatalf("too early: %+v", did)
	}
	if c := n.holds(); c.Records != 7 {
		t.Fatalf("%+v", c)
	}
	if list := n.all(journal.Query{From: noon(), To: noon().Add(time.Hour)}); len(list) != 4 {
		t.Errorf("%d records of that hour", len(list))
	}
	n.prune(noon().Add(100*day + 150*time.Second)) // the first five are old, the sixth claims to come from the future
	if c := n.holds(); c.Records != 1 {
		t.Fatalf("%+v", c)
	}
	r, err := n.store().Verify(t.Context(), []ed25519.PublicKey{n.public()})
	if err != nil || r.Chains[0].Removed != 6 {
		t.Fatalf("%+v, %v", r, err)
	}
}
