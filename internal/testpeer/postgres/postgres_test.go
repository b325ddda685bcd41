//go:build e2e

package postgres

import (
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServerKeepsWhatWasCommitted(t *testing.T) {
	s := Start(t)
	url := s.Database(t)
	db := s.Open(t, url)
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE kept (n INT); INSERT INTO kept VALUES (7)"); err != nil {
		t.Fatal(err)
	}
	s.Stop(t, syscall.SIGQUIT)
	if err := db.PingContext(t.Context()); err == nil {
		t.Fatal("a stopped server answers")
	}
	s.Run(t)
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT n FROM kept").Scan(&n); err != nil || n != 7 {
		t.Fatalf("got %d, %v", n, err)
	}
	if thaw := s.Freeze(t); thaw != nil {
		thaw()
	}
	if err := db.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
}
