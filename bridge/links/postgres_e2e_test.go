//go:build e2e

package links

import (
	"log/slog"
	"sync"
	"testing"

	"passerelle/internal/testpeer/postgres"
)

// TestPostgres: nodes that share a PostgreSQL database share links, also when they begin at once.
func TestPostgres(t *testing.T) {
	server := postgres.Start(t)
	url := server.Database(t)
	dir := t.TempDir()
	var starting sync.WaitGroup
	for range 3 {
		db := server.Open(t, url)
		starting.Go(func() {
			defer db.Close()
			if err := migrate(t.Context(), db, Postgres, slog.New(slog.DiscardHandler)); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	k, now := openOn(t, server.Open(t, url), Postgres, dir, secret)
	other, _ := openOn(t, server.Open(t, url), Postgres, dir, secret)
	_, token := create(t, k, Wish{Room: "elsewhere", Uses: 1})
	l, err := other.Check(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Use(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if err := k.Use(t.Context(), l); err == nil {
		t.Error("used on two nodes")
	}
	live(t, k, now)
	hurry(t, k)
}
