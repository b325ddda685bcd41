//go:build e2e

package journal

import (
	"database/sql"
	"testing"

	"passerelle/configs"
	"passerelle/internal/testpeer/postgres"
)

func TestPostgres(t *testing.T) { suite(t, server{postgres.Start(t)}) }

func BenchmarkPostgres(b *testing.B) { benchmark(b, server{postgres.Start(b, "fsync=on")}) }

// server is a PostgreSQL with a database for each node under test.
type server struct{ *postgres.Server }

func (s server) fresh(t testing.TB) configs.Journal {
	return configs.Journal{URL: s.Database(t), Password: configs.Secret(s.Password)}
}

func (s server) open(t testing.TB, cfg configs.Journal) *sql.DB { return s.Open(t, cfg.URL) }
