package links

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

// Dialect is the kind of a database.
type Dialect string

// The databases that links can be kept in.
const (
	SQLite   Dialect = "sqlite3"
	Postgres Dialect = "postgres"
)

// migrate brings the table up to date. Several nodes may begin at once.
func migrate(ctx context.Context, db *sql.DB, d Dialect, log *slog.Logger) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{goose.WithTableName("links_versions"), goose.WithSlog(log), goose.WithDisableGlobalRegistry(true)}
	if d == Postgres {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(goose.Dialect(d), db, files, options...)
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// store is the table of links, in SQLite or PostgreSQL. Times are Unix seconds, 0 is none.
type store struct{ db *sql.DB }

const columns = "id, room, title, name, ask_name, lobby, language, begins, ends, uses, used, made, made_by, revoked"

// maxListed is how many links are told at once.
const maxListed = 1000

func (s store) insert(ctx context.Context, l Link) error {
	_, err := s.db.ExecContext(ctx, "INSERT INTO links ("+columns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12, 0) ON CONFLICT (id) DO NOTHING",
		l.ID, l.Room, l.Title, l.Name, number(l.AskName), number(l.Lobby), l.Language, unix(l.From), unix(l.Until), l.Uses, unix(l.Made), l.By)
	if err != nil {
		return fmt.Errorf("keep a link: %w", err)
	}
	return nil
}

func (s store) get(ctx context.Context, id string) (Link, error) {
	l, err := scan(s.db.QueryRowContext(ctx, "SELECT "+columns+" FROM links WHERE id = $1", id))
	if errors.Is(err, sql.ErrNoRows) {
		return Link{}, ErrUnknown
	}
	return l, err
}

func (s store) list(ctx context.Context, room string) ([]Link, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT "+columns+" FROM links WHERE $1 = '' OR room = $2 ORDER BY made DESC, id LIMIT $3", room, room, maxListed)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Link
	for rows.Next() {
		l, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, rows.Err()
}

func (s store) revoke(ctx context.Context, id string, now time.Time) error {
	if _, err := s.get(ctx, id); err != nil {
		return err
	}
	_, err := s.db.ExecContext(ctx, "UPDATE links SET revoked = $1 WHERE id = $2 AND revoked = 0", unix(now), id)
	return err
}

// use counts a use if there is one left. Two who are equally quick cannot both get the last one.
func (s store) use(ctx context.Context, l Link) error {
	if err := s.insert(ctx, l); err != nil { // it is there, or was made elsewhere
		return err
	}
	r, err := s.db.ExecContext(ctx, "UPDATE links SET used = used + 1 WHERE id = $1 AND revoked = 0 AND (uses = 0 OR used < uses)", l.ID)
	if err != nil {
		return fmt.Errorf("use a link: %w", err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 1 {
		return err
	}
	known, err := s.get(ctx, l.ID)
	switch {
	case err != nil:
		return err
	case !known.Revoked.IsZero():
		return ErrRevoked
	}
	return ErrUsedUp
}

func (s store) revoked(ctx context.Context, now time.Time) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id FROM links WHERE revoked <> 0 AND ends > $1", unix(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// forget drops links that were over long ago.
func (s store) forget(ctx context.Context, before time.Time) error {
	_, err := s.db.ExecContext(ctx, "DELETE FROM links WHERE ends < $1", unix(before))
	return err
}

func scan(row interface{ Scan(...any) error }) (Link, error) {
	var (
		l                          Link
		ask, lobby                 int
		from, until, made, revoked int64
	)
	err := row.Scan(&l.ID, &l.Room, &l.Title, &l.Name, &ask, &lobby, &l.Language, &from, &until, &l.Uses, &l.Used, &made, &l.By, &revoked)
	l.AskName, l.Lobby = ask != 0, lobby != 0
	l.From, l.Until, l.Made, l.Revoked = at(from), at(until), at(made), at(revoked)
	return l, err
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func at(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
