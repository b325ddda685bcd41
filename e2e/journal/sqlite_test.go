//go:build !e2e

package journal

import "testing"

// TestSQLite runs with the unit tests; the run with build tag e2e is PostgreSQL's.
func TestSQLite(t *testing.T) { suite(t, sqlite{}) }

// TestDiskFull fills the disk under a node, a small one that only its process sees. The node says that it is not ready, loses nothing of what it
// acknowledged, goes on when there is room again, and its record tells what was lost meanwhile.
func TestDiskFull(t *testing.T) { onSmallDisk(t, task{Node: "node-1", Dir: t.TempDir()}) }

func BenchmarkSQLite(b *testing.B) { benchmark(b, sqlite{}) }
