package links

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"

	"passerelle/bridge/journal"
	"passerelle/configs"
)

// OpenFor makes the keeper of a node, with its keys and its database: links.db in the state directory, or the journal's where that is PostgreSQL, so that
// nodes which share a journal share links. Close ends it.
func OpenFor(ctx context.Context, cfg configs.Config, dial journal.Dial, log *slog.Logger) (*Keeper, error) {
	dir, err := journal.StateDir(cfg.Journal)
	if err != nil {
		return nil, err
	}
	keyDir := cfg.Guests.KeyDir
	if keyDir == "" {
		keyDir = filepath.Join(dir, "links")
	}
	keys, err := OpenKeys(keyDir, cfg.Guests.LinkSecret.Reveal())
	if err != nil {
		return nil, err
	}
	var (
		db      *sql.DB
		dialect = SQLite
	)
	if strings.HasPrefix(cfg.Journal.URL, "postgres") {
		dialect = Postgres
		db, err = journal.OpenPostgres(cfg.Journal, dial)
	} else {
		db, err = OpenFile(filepath.Join(dir, "links.db"))
	}
	if err != nil {
		return nil, err
	}
	k, err := Open(ctx, db, dialect, keys, log)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return k, nil
}

// OpenFile opens the SQLite database of a node that shares its links with nobody, and makes it where it is not there. Other processes of the machine,
// such as the command line, may have it open at the same time.
func OpenFile(path string) (*sql.DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("links: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // SQLite itself would let everybody read it
	if err != nil {
		return nil, fmt.Errorf("links: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	options := url.Values{"_busy_timeout": {"10000"}, "_journal_mode": {"WAL"}, "_synchronous": {"NORMAL"}, "_txlock": {"immediate"}}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: options.Encode()}
	return sql.Open("sqlite3", u.String())
}
