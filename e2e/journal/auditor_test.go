//go:build e2e

package journal

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"passerelle/bridge/journal"
	"passerelle/configs"
)

// TestAuditor checks a journal with the program that docs/journal.md gives to auditors, which shares no code with ours: the document says how it is.
func TestAuditor(t *testing.T) {
	document, err := os.ReadFile("../../docs/journal.md")
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile("(?s)```python\n(.*?)```").FindSubmatch(document)
	if program == nil {
		t.Fatal("docs/journal.md has no program")
	}
	n := newNode(t, sqlite{}).run()
	n.write(calls(100)...)
	n.write(journal.Entry{Time: noon().Add(2 * day), Kind: journal.Admin, Caller: "x", Actor: "alice", Room: "été \"<&>\u2028", Fields: map[string]string{"é": "<\n>"}})
	n.stop()
	key, err := journal.MarshalPublicKey(n.public())
	if err != nil {
		t.Fatal(err)
	}
	public := filepath.Join(n.cfg.Dir, "public.pem")
	if err := os.WriteFile(public, key, 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(want string) {
		t.Helper()
		cmd := exec.Command("python3", "-c", string(program[1]), filepath.Join(n.cfg.Dir, "journal.db"), public)
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) || (err == nil) != strings.Contains(want, "the last hash") {
			t.Errorf("want %q: got %v, %s", want, err, out)
		}
	}
	check("node-1 101 records, the last hash is " + n.all(journal.Query{Limit: 1})[0].Hash.String())
	n.cfg.ShortenAfter = day
	n.cfg.Keep = configs.Keep{Calls: 2 * day}
	n.prune(noon().Add(2*day + 40*time.Second)) // removes 40 and shortens 60
	if c := n.holds(); c.Removed != 40 {
		t.Fatalf("%+v", c)
	}
	check("node-1 101 records, the last hash is")
	n.remember()
	for want, edit := range map[string]string{
		"record 60 does not follow":           "UPDATE journal_records SET rule = 'x' WHERE seq = 60",
		"record 60 is missing":                "DELETE FROM journal_records WHERE seq = 60",
		"is forged":                           "UPDATE journal_heads SET shortened = 101",
		"the statement about 1 to":            "UPDATE journal_pruned SET newest = 0",
		"record 101 another caller":           "UPDATE journal_records SET caller = 'y' WHERE seq = 101",
		"says otherwise":                      "DELETE FROM journal_records WHERE seq > 100",
		"the end is not as it was written":    "UPDATE journal_chains SET seq = 100",
		"record 41 caller was shortened":      "DELETE FROM journal_heads",
		"record 50 caller was shortened with": "UPDATE journal_records SET caller = 'x' WHERE seq = 50",
	} {
		n.sql(edit)
		check(want)
		var all []string
		for _, table := range tables() {
			all = append(all, "DELETE FROM "+table, "INSERT INTO "+table+" SELECT * FROM kept_"+table)
		}
		n.sql(all...)
	}
}
