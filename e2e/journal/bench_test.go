package journal

import (
	"testing"
	"time"
)

// benchmark measures records a second from Write until the database has them. Every batch is on the disk twice by then: in the spill and in the database.
func benchmark(b *testing.B, d database) {
	n := newNode(b, d).run()
	entries := calls(1000)
	begin := time.Now()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		for n.w.Stats().Queued > 4096 { // as fast as it can, and not faster
			time.Sleep(100 * time.Microsecond)
		}
		e := entries[i%len(entries)]
		e.Time = begin.Add(time.Duration(i) * time.Millisecond)
		n.w.Write(e)
	}
	n.settle()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "records/s")
	if s := n.w.Stats(); s.Lost != 0 || s.Stored != uint64(b.N) {
		b.Fatalf("%+v of %d", s, b.N)
	}
	n.stop()
}
