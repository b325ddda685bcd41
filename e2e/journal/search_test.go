package journal

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"passerelle/bridge/journal"
)

func testSearch(t *testing.T, d database) {
	n := newNode(t, d).run()
	yes, no := true, false
	n.write(
		journal.Entry{Time: noon(), Kind: journal.Call, Call: "a", Room: "r1", Rule: "x", Outcome: "hung_up", Caller: "+33198765432", Foreign: true},
		journal.Entry{Time: noon().Add(time.Hour), Kind: journal.Decision, Call: "a", Room: "r2", Rule: "x", Outcome: "allowed", Caller: "100%_\\", Actor: "rules"},
		journal.Entry{Time: noon().Add(2 * time.Hour), Kind: journal.Admin, Outcome: "allowed", Actor: "Alice", Caller: "ALICE"},
		journal.Entry{Time: noon().Add(3 * time.Hour), Kind: journal.Call, Call: "b", Room: "r1", Rule: "y", Outcome: "hung_up", Caller: "+331987650032"},
	)
	for name, c := range map[string]struct {
		q    journal.Query
		want string // of seqs, the newest first
	}{
		"all":                     {journal.Query{}, "4321"},
		"kind":                    {journal.Query{Kinds: []journal.Kind{journal.Call}}, "41"},
		"kinds":                   {journal.Query{Kinds: []journal.Kind{journal.Decision, journal.Admin}}, "32"},
		"call":                    {journal.Query{Call: "a"}, "21"},
		"room":                    {journal.Query{Room: "r1"}, "41"},
		"rule":                    {journal.Query{Rule: "x"}, "21"},
		"outcome":                 {journal.Query{Outcome: "allowed"}, "32"},
		"actor":                   {journal.Query{Actor: "Alice"}, "3"},
		"node":                    {journal.Query{Node: "node-1"}, "4321"},
		"another node":            {journal.Query{Node: "node-2"}, ""},
		"foreign":                 {journal.Query{Foreign: &yes}, "1"},
		"not foreign":             {journal.Query{Foreign: &no}, "432"},
		"from is included":        {journal.Query{From: noon().Add(2 * time.Hour)}, "43"},
		"to is not":               {journal.Query{To: noon().Add(2 * time.Hour)}, "21"},
		"caller":                  {journal.Query{Caller: "32"}, "41"},
		"caller, longer":          {journal.Query{Caller: "5432"}, "1"},
		"caller, only at the end": {journal.Query{Caller: "+33"}, ""},
		"caller, what LIKE knows": {journal.Query{Caller: `%_\`}, "2"},
		"caller, %":               {journal.Query{Caller: "%2"}, ""},
		"caller, a name":          {journal.Query{Caller: "lice"}, "3"},
		"caller, an injection":    {journal.Query{Caller: "' OR '1'='1"}, ""},
		"together":                {journal.Query{Kinds: []journal.Kind{journal.Call}, Room: "r1", Outcome: "hung_up", Caller: "32", Foreign: &no}, "4"},
		"nothing like it":         {journal.Query{Room: "r1", Rule: "z"}, ""},
		"a NUL":                   {journal.Query{Room: "r1\x00"}, "41"},
	} {
		got := ""
		for _, r := range n.all(c.q) {
			got += string('0' + rune(r.Seq))
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func testPages(t *testing.T, d database) {
	n := newNode(t, d).run()
	for range 3 { // three of each time
		n.write(calls(15)...)
	}
	for _, limit := range []int{1, 2, 7, 44, 45, 46, 1000} {
		seen := map[uint64]bool{}
		last := time.Now().Add(time.Hour)
		for _, r := range n.all(journal.Query{Limit: limit}) {
			if seen[r.Seq] || r.Time.After(last) {
				t.Fatalf("limit %d: record %d again, or out of order", limit, r.Seq)
			}
			seen[r.Seq], last = true, r.Time
		}
		if len(seen) != 45 {
			t.Errorf("limit %d: %d records", limit, len(seen))
		}
	}
	page, next, err := n.w.Search(t.Context(), journal.Query{Limit: 45})
	if len(page) != 45 || next != "" || err != nil {
		t.Errorf("%d records, next %q, %v", len(page), next, err)
	}
	for _, q := range []journal.Query{{Limit: -1}, {Limit: 1001}, {Cursor: "x"}, {Cursor: "!!"}, {Cursor: "WzEsMl0"}, {Cursor: strings.Repeat("A", 1<<20)}} {
		if _, _, err := n.w.Search(t.Context(), q); !errors.Is(err, journal.ErrQuery) {
			t.Errorf("%.20q, limit %d: %v", q.Cursor, q.Limit, err)
		}
	}
}

func testExport(t *testing.T, d database) {
	n := newNode(t, d).run()
	n.write(calls(1200)...) // more than a page
	n.write(journal.Entry{Time: noon().Add(time.Hour), Kind: journal.Admin, Actor: "=HYPERLINK(\"http://192.0.2.1\")", Caller: "-1+1", Room: "a,\"b\"\nc"})
	var lines bytes.Buffer
	count, err := n.store().Export(t.Context(), &lines, journal.JSONLines, journal.Query{})
	if err != nil || count != 1201 {
		t.Fatalf("%d, %v", count, err)
	}
	decoder := json.NewDecoder(&lines)
	for i := range 1201 {
		var r struct {
			Seq                   int
			Time                  time.Time
			Caller, Address, Hash string
			Fields                map[string]string
		}
		if err := decoder.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Seq != i+1 || len(r.Hash) != 64 || i < 1200 && (r.Fields["encryption"] != "SRTP" || !r.Time.Equal(noon().Add(time.Duration(i)*time.Second))) {
			t.Fatalf("line %d is %+v", i+1, r)
		}
	}
	var table bytes.Buffer
	if _, err := n.store().Export(t.Context(), &table, journal.CSV, journal.Query{From: noon().Add(1199 * time.Second)}); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&table).ReadAll()
	if err != nil || len(rows) != 3 || len(rows[0]) != 16 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	column := func(row int, name string) string {
		for i, c := range rows[0] {
			if c == name {
				return rows[row][i]
			}
		}
		t.Fatalf("no column %s", name)
		return ""
	}
	if got := column(1, "caller"); !strings.HasPrefix(got, "+33") {
		t.Errorf("a number is %q", got)
	}
	if a, c, r := column(2, "actor"), column(2, "caller"), column(2, "room"); a[0] != '\'' || c != "'-1+1" || r != "a,\"b\"\nc" {
		t.Errorf("got %q, %q, %q", a, c, r)
	}
	if _, err := n.store().Export(t.Context(), &table, "xml", journal.Query{}); !errors.Is(err, journal.ErrQuery) {
		t.Error(err)
	}
}
