package journal

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"passerelle/configs"
)

//go:embed migrations
var migrations embed.FS

// Dial opens a connection to a database. Implemented by egress.Guard.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Store is the database of a journal. Its methods may be called from any goroutine, and while a Writer writes to it, in this process or another.
type Store struct {
	dialect     goose.Dialect
	write, read *sql.DB                     // one and the same with PostgreSQL
	inserts     [len(insertSizes)]*sql.Stmt // of the one Writer
}

// OpenStore opens the database of a journal that a node has made. That of PostgreSQL need not be reached yet. It is ErrOff where the configuration has no
// journal.
func OpenStore(cfg configs.Journal, dial Dial) (*Store, error) {
	path, lite := strings.CutPrefix(cfg.URL, "sqlite:")
	switch {
	case cfg.URL == "off":
		return nil, ErrOff
	case cfg.URL == "":
		dir, err := stateDir(cfg.Dir)
		if err != nil {
			return nil, err
		}
		return openSQLite(filepath.Join(dir, "journal.db"))
	case lite:
		return openSQLite(path)
	default:
		return openPostgres(cfg, dial)
	}
}

// openSQLite opens a file. One connection writes: SQLite has one lock for all writers. Every commit is on the disk when it returns, readers do not
// wait, and what is deleted is overwritten.
func openSQLite(path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil { // the driver would make one
		return nil, fmt.Errorf("there is no journal: %w", err)
	}
	open := func(options string) (*sql.DB, error) {
		u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: options + "&_busy_timeout=10000&_secure_delete=on"}
		return sql.Open("sqlite3", u.String())
	}
	write, err := open("_journal_mode=WAL&_synchronous=FULL&_txlock=immediate&_cache_size=-16000")
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	read, err := open("mode=rw&_query_only=true")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(4)
	return &Store{dialect: goose.DialectSQLite3, write: write, read: read}, nil
}

// openPostgres prepares connections to a server. Where the URL names no sslmode, only a server on this machine is spoken to without TLS.
func openPostgres(cfg configs.Journal, dial Dial) (*Store, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, errors.New("journal.url is not a URL")
	}
	query := u.Query()
	if query.Get("sslmode") == "" {
		query.Set("sslmode", "verify-full")
		if local(u.Hostname()) {
			query.Set("sslmode", "disable")
		}
		u.RawQuery = query.Encode()
	}
	if p := cfg.Password.Reveal(); p != "" {
		u.User = url.UserPassword(u.User.Username(), p)
	}
	c, err := pgx.ParseConfig(u.String())
	if err != nil { // the error may show the URL
		return nil, errors.New("journal.url: this is not a PostgreSQL URL, or the certificates that it names cannot be read")
	}
	c.DialFunc = pgconn.DialFunc(dial)
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil } // dial resolves
	c.ConnectTimeout = connectTimeout
	db := stdlib.OpenDB(*c)
	db.SetMaxOpenConns(6)
	db.SetMaxIdleConns(2)
	db.SetConnMaxLifetime(time.Hour)
	return &Store{dialect: goose.DialectPostgres, write: db, read: db}, nil
}

const connectTimeout = 5 * time.Second

// local tells whether a host is this machine.
func local(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Close closes the database.
func (s *Store) Close() error {
	var err error
	for _, statement := range s.inserts {
		if statement != nil {
			err = errors.Join(err, statement.Close())
		}
	}
	err = errors.Join(err, s.write.Close())
	if s.read != s.write {
		err = errors.Join(err, s.read.Close())
	}
	return err
}

// migrate brings the tables to the form that this version knows. Nodes that start together wait for each other.
func (s *Store) migrate(ctx context.Context) error {
	dir := "migrations/sqlite"
	options := []goose.ProviderOption{
		goose.WithTableName("journal_version"), goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true),
	}
	if s.dialect == goose.DialectPostgres {
		dir = "migrations/postgres"
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	files, err := fs.Sub(migrations, dir)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(s.dialect, s.write, files, options...)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("prepare the tables of the journal: %w", err)
	}
	return nil
}

// change does something to the database, all of it or nothing.
func (s *Store) change(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // the first error is the one that counts
		return err
	}
	return tx.Commit()
}

// look reads the database in one state of it, whatever is written meanwhile.
func (s *Store) look(ctx context.Context, do func(tx *sql.Tx) error) error {
	options := &sql.TxOptions{ReadOnly: true}
	if s.dialect == goose.DialectPostgres {
		options.Isolation = sql.LevelRepeatableRead
	}
	tx, err := s.read.BeginTx(ctx, options)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing was changed
	return do(tx)
}
