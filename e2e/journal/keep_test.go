package journal

import (
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"passerelle/bridge/journal"
)

func testKeeps(t *testing.T, d database) {
	n := newNode(t, d).run()
	e := journal.Entry{
		Time: noon().Add(123456 * time.Microsecond), Kind: journal.Admission, Call: "c1", Actor: "host", Room: "Salle du conseil – été", Rule: "r", Outcome: "allowed",
		Caller: "+33198765432", Called: "0123456789", Address: "2001:db8:1:2::3", Foreign: true, Fields: map[string]string{"waited": "12s", "é": `"<&>'`},
	}
	n.write(e)
	list := n.all(journal.Query{})
	if len(list) != 1 {
		t.Fatalf("%d records", len(list))
	}
	r := list[0]
	if !maps.Equal(r.Fields, e.Fields) {
		t.Errorf("fields %v", r.Fields)
	}
	r.Fields, e.Fields = nil, nil
	if got, want := r.Entry, e; !got.Time.Equal(want.Time) || got.Caller != want.Caller || got.Called != want.Called || got.Address != want.Address ||
		got.Kind != want.Kind || got.Call != want.Call || got.Actor != want.Actor || got.Room != want.Room || got.Rule != want.Rule ||
		got.Outcome != want.Outcome || got.Foreign != want.Foreign {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if r.Node != n.name || r.Seq != 1 || r.Shortened || r.Hash == (journal.Hash{}) {
		t.Errorf("got %+v", r)
	}
	if c := n.holds(); c.Records != 1 || c.Sealed != 1 {
		t.Errorf("the beginning of a chain is not sealed at once: %+v", c)
	}
	if err := n.w.Ready(); err != nil {
		t.Error(err)
	}
	n.stop()
	left, err := filepath.Glob(filepath.Join(n.cfg.Dir, "*.spill"))
	if err != nil || len(left) != 0 {
		t.Errorf("a clean end leaves %v, %v", left, err)
	}
	for _, name := range []string{"journal.key", "head.json", "journal.lock"} {
		info, err := os.Stat(filepath.Join(n.cfg.Dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func testHostile(t *testing.T, d database) {
	n := newNode(t, d).run()
	long := strings.Repeat("é", 1000)
	many := map[string]string{}
	for i := range 100 {
		many["key"+strconv.Itoa(100+i)] = long
	}
	n.write(
		journal.Entry{Kind: "call\x00", Caller: "a\x00b\xff\xfe", Called: long, Room: "'; DROP TABLE journal_records; --", Fields: many},
		journal.Entry{Kind: journal.Call, Caller: "%", Address: "not an address \x01", Time: time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC)},
		journal.Entry{Kind: journal.Call, Caller: "\u202e", Fields: map[string]string{"": "", "\x00": "x", "\xff": "y"}, Time: time.Unix(1<<60, 0)},
		journal.Entry{},
	)
	list := n.all(journal.Query{})
	if len(list) != 4 {
		t.Fatalf("%d records", len(list))
	}
	found := false
	for _, r := range list {
		for _, s := range []string{string(r.Kind), r.Caller, r.Called, r.Room} {
			if !utf8.ValidString(s) || strings.Contains(s, "\x00") || len(s) > 512 {
				t.Errorf("%q was kept", s)
			}
		}
		if found = found || r.Seq == 1; r.Seq == 1 && (r.Caller != "ab?" || len(r.Called) < 500 || len(r.Fields) != 32 || r.Fields["key100"] == "") {
			t.Errorf("got %q, %d bytes, %d fields", r.Caller, len(r.Called), len(r.Fields))
		}
	}
	if !found {
		t.Error("record 1 was not found")
	}
	n.holds()
}

// testMany has many goroutines write at once: each keeps its order, nothing is lost or doubled.
func testMany(t *testing.T, d database) {
	n := newNode(t, d).run()
	const writers, each = 8, 200
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for j := range each {
				n.w.Write(journal.Entry{Kind: journal.Call, Actor: strconv.Itoa(i), Outcome: strconv.Itoa(j)})
			}
		})
	}
	all.Wait()
	n.settle()
	if s := n.w.Stats(); s.Lost != 0 || s.Kept != writers*each || s.Stored != writers*each {
		t.Fatalf("%+v", s)
	}
	if c := n.holds(); c.Records != writers*each {
		t.Fatalf("%+v", c)
	}
	for i := range writers {
		bySeq(t, n.all(journal.Query{Actor: strconv.Itoa(i), Limit: 1000}), each)
	}
}

// bySeq wants records whose outcomes count from 0 in the order of the chain.
func bySeq(t *testing.T, list []journal.Record, want int) {
	t.Helper()
	if len(list) != want {
		t.Fatalf("%d records, want %d", len(list), want)
	}
	order := make(map[uint64]string, len(list))
	var first, last uint64 = 1 << 62, 0
	for _, r := range list {
		order[r.Seq] = r.Outcome
		first, last = min(first, r.Seq), max(last, r.Seq)
	}
	next := 0
	for seq := first; seq <= last; seq++ {
		if outcome, ok := order[seq]; ok {
			if outcome != strconv.Itoa(next) {
				t.Fatalf("record %d is entry %s, want %d", seq, outcome, next)
			}
			next++
		}
	}
}

func testOrder(t *testing.T, d database) {
	n := newNode(t, d)
	count := 0
	for range 3 { // through restarts, too
		n.run()
		for range 700 {
			n.w.Write(journal.Entry{Kind: journal.Call, Outcome: strconv.Itoa(count)})
			count++
		}
		n.stop()
	}
	bySeq(t, n.all(journal.Query{Limit: 1000}), count)
	if c := n.holds(); c.Sealed != uint64(count) {
		t.Errorf("a clean end seals %d of %d records", c.Sealed, count)
	}
}
