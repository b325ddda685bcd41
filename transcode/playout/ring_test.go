package playout

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"passerelle/media"
	"passerelle/transcode"
)

// TestRingResized: whether a ring has few places or all, it holds the newest packets, each once, and gives them out in order.
func TestRingResized(t *testing.T) {
	codec, _ := transcode.Lookup("PCMA", 8000)
	random := rand.New(rand.NewPCG(1, 2))
	r := ring{slots: make([]slot, few)}
	const first = 1 << 16
	r.clear(first - 1)
	kept := map[int64]bool{}
	for q := int64(first); q < first+5000; q++ {
		if random.IntN(50) == 0 {
			r.resize([]int{few, slots}[random.IntN(2)])
			for old := range kept {
				if old <= r.last-int64(len(r.slots)) || old <= r.taken {
					delete(kept, old)
				}
			}
		}
		if random.IntN(10) == 0 {
			continue // lost
		}
		payload := binary.BigEndian.AppendUint64(nil, uint64(q))
		f := &media.Frame{Codec: &codec, Payload: payload}
		if v := r.put(q, q*960, f); v == duplicate || v == tooLate {
			t.Fatalf("packet %d: verdict %d", q, v)
		}
		kept[q] = true
		if v := r.put(q, q*960, f); v != duplicate {
			t.Fatalf("packet %d again: verdict %d", q, v)
		}
		delete(kept, q-int64(len(r.slots)))
		for n := random.IntN(3); n > 1; n-- {
			s := r.next()
			if s == nil {
				break
			}
			if !kept[s.sequence] || !bytes.Equal(s.payload, binary.BigEndian.AppendUint64(nil, uint64(s.sequence))) {
				t.Fatalf("%d with %x came out", s.sequence, s.payload)
			}
			for old := range kept {
				if old < s.sequence && old > r.taken {
					t.Fatalf("%d was passed over for %d", old, s.sequence)
				}
			}
			r.take(s)
			delete(kept, s.sequence)
		}
	}
	if len(kept) == 0 {
		t.Fatal("nothing was kept")
	}
	if n := testing.AllocsPerRun(10, func() { r.resize(few); r.resize(slots) }); n > 0 {
		t.Errorf("%v allocations to resize a ring that has been large", n)
	}
}
