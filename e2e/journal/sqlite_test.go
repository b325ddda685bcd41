//go:build !e2e

package journal

import "testing"

// TestSQLite runs with the unit tests; the run with build tag e2e is PostgreSQL's.
func TestSQLite(t *testing.T) { suite(t, sqlite{}) }

func BenchmarkSQLite(b *testing.B) { benchmark(b, sqlite{}) }
