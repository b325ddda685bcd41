package journal

import (
	"errors"
	"testing"
	"time"
)

func FuzzReadCursor(f *testing.F) {
	r := Record{Entry: Entry{Time: time.UnixMicro(1773489600123456)}, Node: "node-1", Seq: 7}
	for _, s := range []string{"", "W10", r.cursor(), "WzEsIm4iLDJd", "WzEsIm4iLC0yXQ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, node, seq, err := readCursor(s)
		if err != nil {
			if !errors.Is(err, ErrQuery) {
				t.Error(err)
			}
			return
		}
		if node != clean(node, maxText) {
			t.Errorf("the node %q", node)
		}
		if seq < 0 {
			return
		}
		r := Record{Entry: Entry{Time: time.UnixMicro(at)}, Node: node, Seq: uint64(seq)}
		if a, n, q, err := readCursor(r.cursor()); err != nil || a != at || n != node || q != seq {
			t.Errorf("%d, %q, %d became %d, %q, %d, %v", at, node, seq, a, n, q, err)
		}
	})
}
