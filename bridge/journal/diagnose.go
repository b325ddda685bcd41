package journal

import "fmt"

// neighbours is how far a record is looked for that was moved.
const neighbours = 16

// diagnose says in words what happened to a record that does not follow the one before it, which has the hash before.
func diagnose(page []piece, i int, before Hash) string {
	r := page[i].row
	var scratch []byte
	was := written(page, i, before)
	if was == 0 && i+1 < len(page) && page[i+1].row != nil { // what it followed may be gone, but the next one may tell
		if next := written(page, i+1, r.hash); next == page[i+1].row.seq+1 {
			was = r.seq + 1
		}
	}
	if was != 0 {
		what := "it was moved"
		switch {
		case was == r.seq-1:
			what = "a record was inserted before it, or it was moved"
		case was == r.seq+1:
			what = "a record before it was removed, or it was moved"
		}
		return fmt.Sprintf("record %d was written as record %d: %s", r.seq, was, what)
	}
	if i+1 < len(page) && page[i+1].first() == r.seq+1 && page[i+1].follows(r.hash, &scratch) {
		// Its hash is the one that was written, for the next record still follows it.
		return fmt.Sprintf("record %d was changed: its content does not give its hash", r.seq)
	}
	if i+1 < len(page) && page[i+1].row != nil && page[i+1].first() == r.seq+1 && page[i+1].follows(r.follow(before, &scratch), &scratch) {
		return fmt.Sprintf("record %d has another hash than it was written with", r.seq)
	}
	if r.seq == 1 {
		return "record 1 was changed, or it is not the one with which the chain began"
	}
	return fmt.Sprintf("record %d does not follow record %d: one of the two was changed or inserted, or something between them was removed", r.seq, r.seq-1)
}

// written is the number under which a record was written, if it stood near where it is now; 0: not known.
func written(page []piece, i int, before Hash) uint64 {
	now, moved := page[i].row.seq, *page[i].row
	hashes := []Hash{{}, before}
	for j := max(0, i-neighbours); j < min(len(page), i+neighbours); j++ {
		hashes = append(hashes, page[j].hash())
	}
	var scratch []byte
	for was := max(now, neighbours+1) - neighbours; was <= now+neighbours; was++ {
		if was == now {
			continue
		}
		moved.seq = was
		for _, h := range hashes {
			if moved.follow(h, &scratch) == moved.hash {
				return was
			}
		}
	}
	return 0
}
