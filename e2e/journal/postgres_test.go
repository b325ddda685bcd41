//go:build e2e

package journal

import (
	"database/sql"
	"testing"

	"passerelle/configs"
	"passerelle/internal/testpeer/postgres"
)

func TestPostgres(t *testing.T) {
	s := server{postgres.Start(t)}
	t.Run("suite", func(t *testing.T) { suite(t, s) })
	t.Run("two nodes", func(t *testing.T) { testTwoNodes(t, s) })
	t.Run("a lost answer", func(t *testing.T) { testLostAnswer(t, s) })
	t.Run("a full disk", func(t *testing.T) {
		onSmallDisk(t, task{Node: "node-1", Dir: t.TempDir(), URL: s.Database(t), Password: s.Password})
	})
	t.Run("refused", func(t *testing.T) { testRefused(t, s) })
	t.Run("away", func(t *testing.T) { testAway(t, s) })
	t.Run("away at the start", func(t *testing.T) { testAwayAtStart(t, s) })
}

func BenchmarkPostgres(b *testing.B) { benchmark(b, server{postgres.Start(b, "fsync=on")}) }

// server is a PostgreSQL with a database for each node under test.
type server struct{ *postgres.Server }

func (s server) fresh(t testing.TB) configs.Journal {
	return configs.Journal{URL: s.Database(t), Password: configs.Secret(s.Password)}
}

func (s server) open(t testing.TB, cfg configs.Journal) *sql.DB { return s.Open(t, cfg.URL) }
