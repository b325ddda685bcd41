package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"

	"passerelle/bridge/journal"
	"passerelle/configs"
)

// someJournal makes the journal of a node that ran.
func someJournal(t *testing.T, dir string) {
	t.Helper()
	w, err := journal.Open(t.Context(), configs.Journal{Dir: dir, HeadEvery: time.Hour}, "node-1", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-100 * 24 * time.Hour)
	w.Write(journal.Entry{Time: old, Kind: journal.Call, Call: "c1", Caller: "+33198765432", Outcome: "hung_up"})
	w.Write(journal.Entry{Time: old, Kind: journal.Admin, Actor: "alice", Outcome: "done"})
	w.Write(journal.Entry{Kind: journal.Call, Call: "c2", Caller: "+33198765432", Outcome: "hung_up"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	if err := w.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestJournalCommand(t *testing.T) {
	dir := t.TempDir()
	command := func(args ...string) (string, exit, error) {
		t.Helper()
		var out bytes.Buffer
		err := run(t.Context(), append(append([]string{"journal"}, args...), "--journal.dir", dir, "--node.name", "node-1"), &out)
		var status exit
		if !errors.As(err, &status) && err != nil {
			status = 1
		}
		return out.String(), status, err
	}
	if out, status, _ := command("verify"); status != 2 || !strings.Contains(out, "there is no journal") {
		t.Errorf("before there is one: %d, %s", status, out)
	}
	if _, _, err := command("key"); err == nil {
		t.Error("a key was made for somebody who only asks")
	}
	someJournal(t, dir)
	if out, status, _ := command("verify"); status != 0 || !strings.Contains(out, "node-1: 3 records") || !strings.Contains(out, "the journal holds") {
		t.Errorf("%d, %s", status, out)
	}

	out, status, err := command("export", "--kind", "call", "--call", "c1")
	if status != 0 || strings.Count(out, "\n") != 1 || !strings.Contains(out, `"caller":"+33198765432"`) {
		t.Errorf("%v, %s", err, out)
	}
	if out, _, err := command("export", "--format", "csv", "--from", "2020-01-01", "--to", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)); strings.Count(out, "\n") != 3 {
		t.Errorf("%v, %s", err, out)
	}
	for _, bad := range [][]string{{"export", "--kind", "c"}, {"export", "--from", "yesterday"}, {"export", "--format", "xml"}, {"export", "x"}, {"burn"}, {}} {
		if _, _, err := command(bad...); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}

	key, _, err := command("key")
	if err != nil || !strings.Contains(key, "BEGIN PUBLIC KEY") || strings.Contains(key, "PRIVATE") {
		t.Fatalf("%v, %s", err, key)
	}
	public, other := filepath.Join(dir, "public.pem"), filepath.Join(dir, "other.pem")
	if err := os.WriteFile(public, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, status, _ := command("verify", "--public-key", public, "--head", filepath.Join(dir, "head.json")); status != 0 {
		t.Errorf("with the printed key: %d, %s", status, out)
	}
	const stranger = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"
	if err := os.WriteFile(other, []byte(stranger), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, status, _ := command("verify", "--public-key", other); status != 1 || !strings.Contains(out, "a key that was not given") {
		t.Errorf("with another key: %d, %s", status, out)
	}
	if out, status, _ := command("verify", "--public-key", filepath.Join(dir, "head.json")); status != 2 {
		t.Errorf("with no key: %d, %s", status, out)
	}

	if out, _, err := command("prune", "--journal.keep.calls", "24h", "--journal.shorten_after", "24h"); err != nil || !strings.Contains(out, "2 records shortened, 1 removed") {
		t.Errorf("%v, %s", err, out)
	}
	if out, status, _ := command("verify"); status != 0 || !strings.Contains(out, "1 were removed") {
		t.Errorf("%d, %s", status, out)
	}
	db, err := sql.Open("sqlite3", filepath.Join(dir, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE journal_records SET actor = 'bob' WHERE seq = 2"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if out, status, _ := command("verify"); status != 1 || !strings.Contains(out, "does NOT hold at record 2: record 2 was changed") {
		t.Errorf("%d, %s", status, out)
	}
	if _, _, err := command("verify", "--journal.url", "off"); err == nil {
		t.Error("no journal was verified")
	}
}
