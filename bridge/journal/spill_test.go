package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// tank opens a spill in a directory.
func tank(t *testing.T, dir string, limit, size int64) *spill {
	t.Helper()
	s, err := openSpill(dir, limit, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	return s
}

func put(t *testing.T, s *spill, from, n int) place {
	t.Helper()
	var payloads [][]byte
	for i := range n {
		payloads = append(payloads, fmt.Appendf(nil, "entry %d", from+i))
	}
	p, err := s.append(payloads)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// take reads what waits and wants entries that count on from next; it returns what comes next then, and the last chunk.
func take(t *testing.T, s *spill, next, most int) (int, chunk) {
	t.Helper()
	var last chunk
	for {
		c, err := s.read(most)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.payloads) == 0 {
			return next, last
		}
		for _, p := range c.payloads {
			if want := fmt.Sprintf("entry %d", next); string(p) != want {
				t.Fatalf("got %q, want %q", p, want)
			}
			next++
		}
		last = c
		s.done(c)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*"+spillSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestSpillKeepsOrderThroughRestarts(t *testing.T) {
	dir := t.TempDir()
	s := tank(t, dir, 1<<20, 200)
	for i := range 20 {
		put(t, s, i*5, 5)
	}
	if n := len(files(t, dir)); n < 5 {
		t.Errorf("%d files", n)
	}
	next, _ := take(t, s, 0, 3)
	if next != 100 || len(files(t, dir)) != 1 {
		t.Errorf("%d entries, files %v", next, files(t, dir))
	}
	put(t, s, 100, 20)
	// The process dies: the files stay as they are. What was stored of the file that grew is known to the database only.
	again := tank(t, dir, 1<<20, 200)
	id, frames := s.segments[0].id, s.segments[0].frames
	if frames == 0 {
		t.Fatal("nothing of the first file was stored: the test tests nothing")
	}
	if err := again.resume(id, frames); err != nil {
		t.Fatal(err)
	}
	put(t, again, 120, 1)
	if next, _ = take(t, again, 100, 100); next != 121 {
		t.Errorf("up to %d", next)
	}
}

func TestSpillResumesAnywhere(t *testing.T) {
	for stored := range 21 { // of 20 entries in 4 files
		dir := t.TempDir()
		s := tank(t, dir, 1<<20, 60)
		for i := range 4 {
			put(t, s, i*5, 5)
		}
		var id segmentID
		var frames uint64
		if stored > 0 {
			g := s.segments[(stored-1)/5]
			id, frames = g.id, uint64((stored-1)%5+1)
		}
		again := tank(t, dir, 1<<20, 60)
		if err := again.resume(id, frames); err != nil {
			t.Fatal(err)
		}
		if next, _ := take(t, again, stored, 7); next != 20 {
			t.Errorf("%d stored: up to %d", stored, next)
		}
		if left := files(t, dir); len(left) != 0 {
			t.Errorf("%d stored: %v are left", stored, left)
		}
	}
}

// TestSpillSurvivesTornFiles cuts the last file anywhere, and changes any of its bytes: what is whole before that is read, nothing else is, and what
// comes later is not touched.
func TestSpillSurvivesTornFiles(t *testing.T) {
	dir := t.TempDir()
	s := tank(t, dir, 1<<20, 1<<20)
	put(t, s, 0, 3)
	whole, err := os.ReadFile(files(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	frame := (len(whole) - segmentHeader) / 3
	for cut := range len(whole) * 2 {
		damaged := bytes.Clone(whole)
		if cut < len(whole) {
			damaged = damaged[:cut]
		} else {
			damaged[cut-len(whole)] ^= 0x40
		}
		at := cut % len(whole)
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%016x%s", 1, spillSuffix)), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s := tank(t, dir, 1<<20, 1<<20)
		if _, err := s.append([][]byte{[]byte("entry 99")}); err != nil {
			t.Fatal(err)
		}
		want := max(0, at-segmentHeader) / frame
		if at < segmentHeader {
			want = 0
		}
		got, last, lost := 0, "", int64(0)
		for {
			c, err := s.read(2)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.payloads) == 0 && c.lost == 0 {
				break
			}
			for _, p := range c.payloads {
				last = string(p)
				got++
			}
			lost += c.lost
			s.done(c)
		}
		if got != want+1 || last != "entry 99" {
			t.Fatalf("at %d: %d entries, want %d and one more; the last is %q", at, got-1, want, last)
		}
		rest := int64(len(damaged) - segmentHeader - want*frame)
		if cut >= len(whole) && at < segmentHeader { // the name of the file is damaged, and with it all of it
			rest = int64(len(damaged))
			if at >= len(segmentMark) {
				rest -= int64(segmentHeader)
			}
		}
		if lost != max(0, rest) {
			t.Fatalf("at %d of %d: %d bytes are told to be lost, want %d", at, len(damaged), lost, rest)
		}
	}
}

func TestSpillIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := tank(t, dir, 1000, 300)
	count := 0
	for ; ; count++ {
		if _, err := s.append([][]byte{fmt.Appendf(nil, "entry %d", count)}); errors.Is(err, errSpillFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if s.size() > 1000 || count < 20 {
		t.Errorf("%d bytes, %d entries", s.size(), count)
	}
	if next, _ := take(t, s, 0, 100); next != count {
		t.Errorf("%d of %d entries", next, count)
	}
	put(t, s, 0, 1) // there is room again
}

func TestSpillForgetsWhatIsStored(t *testing.T) {
	dir := t.TempDir()
	s := tank(t, dir, 1<<30, 1<<30)
	put(t, s, 0, 10)
	take(t, s, 0, 100)
	s.trim(false)
	if len(files(t, dir)) != 1 {
		t.Error("a small file was not kept for what comes")
	}
	s.trim(true)
	if len(files(t, dir)) != 0 {
		t.Error("what was stored is still on the disk")
	}
	put(t, s, 10, 1)
	s.trim(true)
	if next, _ := take(t, s, 10, 100); next != 11 {
		t.Error("what was not stored is gone")
	}
	for i := range 5 {
		if _, err := s.append([][]byte{bytes.Repeat([]byte{'x'}, maxEntry)}); err != nil {
			t.Fatal(i, err)
		}
		for range 12 {
			if _, err := s.append([][]byte{bytes.Repeat([]byte{'x'}, maxEntry)}); err != nil {
				t.Fatal(err)
			}
		}
		for c, err := s.read(100); len(c.payloads) > 0; c, err = s.read(100) {
			if err != nil {
				t.Fatal(err)
			}
			s.done(c)
		}
		s.trim(false)
		if size := s.size(); size > spillKept {
			t.Errorf("%d bytes that were stored stay", size)
		}
	}
}

// TestSpillAfterAFailedWrite has the disk refuse a write: nothing of it is there later, and the next one goes to another file.
func TestSpillAfterAFailedWrite(t *testing.T) {
	dir := t.TempDir()
	s := tank(t, dir, 1<<20, 1<<20)
	put(t, s, 0, 2)
	g := s.segments[0]
	readOnly, err := os.Open(g.path)
	if err != nil {
		t.Fatal(err)
	}
	old := g.file
	g.file = readOnly
	if _, err := s.append([][]byte{[]byte("lost")}); err == nil {
		t.Fatal("written to a file that cannot be written")
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, s, 2, 2)
	if len(s.segments) != 2 {
		t.Errorf("%d files", len(s.segments))
	}
	if next, _ := take(t, s, 0, 100); next != 4 {
		t.Errorf("up to %d", next)
	}
}

func TestSpillTellsWhoWaits(t *testing.T) {
	s := tank(t, t.TempDir(), 1<<20, 1<<20)
	p := put(t, s, 0, 2)
	done := make(chan error, 1)
	go func() { done <- s.wait(t.Context(), p) }()
	select {
	case <-done:
		t.Fatal("it did not wait")
	case <-time.After(20 * time.Millisecond):
	}
	take(t, s, 0, 1)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := s.wait(t.Context(), place{}); err != nil {
		t.Error(err)
	}
}

func FuzzReadFrames(f *testing.F) {
	id := segmentID{1}
	good := appendFrame(appendFrame(nil, id, []byte("a")), id, []byte("bb"))
	for _, b := range [][]byte{nil, good, good[:len(good)-1], append(bytes.Clone(good), 0, 0, 0, 0, 0, 0, 0, 0), bytes.Repeat([]byte{0xff}, 20)} {
		f.Add(b, 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		n &= 15
		payloads, read := readFrames(id, b, n)
		if len(payloads) > n || read > len(b) {
			t.Fatalf("%d payloads in %d of %d bytes", len(payloads), read, len(b))
		}
		var again []byte
		for _, p := range payloads {
			again = appendFrame(again, id, p)
		}
		if !bytes.Equal(again, b[:read]) {
			t.Error("what was read is not what is there")
		}
	})
}

// FuzzSpillFile has a process find any file in its directory.
func FuzzSpillFile(f *testing.F) {
	header := append([]byte(segmentMark), make([]byte, 16)...)
	f.Add(header)
	f.Add(appendFrame(bytes.Clone(header), segmentID{}, []byte("entry")))
	f.Add([]byte("passerelle"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000000000001.spill"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := openSpill(dir, 1<<20, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		read := int64(0)
		for {
			c, err := s.read(3)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.payloads) == 0 && c.lost == 0 {
				break
			}
			for _, p := range c.payloads {
				_, _ = readEntry(p)
				read += int64(len(p)) + frameHeader
			}
			read += c.lost
			s.done(c)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if read > int64(len(b)) || len(files(t, dir)) != 0 {
			t.Errorf("%d of %d bytes", read, len(b))
		}
	})
}
