package journal

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "github.com/mattn/go-sqlite3"

	"passerelle/configs"
)

// sqlite is a file in the journal's directory.
type sqlite struct{}

func (sqlite) fresh(t testing.TB) configs.Journal { return configs.Journal{Dir: t.TempDir()} }

func (sqlite) open(t testing.TB, cfg configs.Journal) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(cfg.Dir, "journal.db")+"?_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	return db
}
