package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// spill is the way of every entry to the database: files to which entries are appended, and from which they are stored. What append took survives
// the end of the process and of the machine. One goroutine appends and one reads.
type spill struct {
	dir     string
	limit   int64 // bytes of all segments
	segment int64 // bytes after which the next segment begins
	buffer  []byte

	mu       sync.Mutex
	segments []*segment    // in their order
	next     uint64        // number of the next one
	moved    chan struct{} // closed when something was stored
}

// place is where something stands in the spill. The zero value is in no segment: it is stored.
type place struct {
	segment *segment
	end     int64
}

const (
	spillLimit   = 512 << 20
	spillSegment = 8 << 20
	spillSuffix  = ".spill"
	spillKept    = 256 << 10 // a smaller segment is not worth a new one
)

var errSpillFull = errors.New("too much waits for the database already")

// openSpill opens what waits in a directory.
func openSpill(dir string, limit, size int64) (*spill, error) {
	s := &spill{dir: dir, limit: limit, segment: size, buffer: make([]byte, 1<<20), next: 1, moved: make(chan struct{})}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files { // sorted by name, and so by number
		name, ok := strings.CutSuffix(f.Name(), spillSuffix)
		if !ok {
			continue
		}
		number, err := strconv.ParseUint(name, 16, 64)
		if err != nil || len(name) != 16 {
			continue
		}
		g, err := openSegment(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.segments, s.next = append(s.segments, g), number+1
	}
	return s, nil
}

// append takes payloads of entries and returns when they are safe, with the place behind them. After an error none of them is there.
func (s *spill) append(payloads [][]byte) (place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, err := s.growing()
	if err != nil {
		return place{}, err
	}
	var frames []byte
	for _, p := range payloads {
		frames = appendFrame(frames, last.id, p)
	}
	if s.sizeLocked()+int64(len(frames)) > s.limit {
		return place{}, errSpillFull
	}
	err = last.append(frames)
	s.sweep()
	return place{last, last.size}, err
}

// wait returns when all that stands before a place is stored.
func (s *spill) wait(ctx context.Context, p place) error {
	for {
		s.mu.Lock()
		done, moved := p.segment == nil || p.segment.offset >= p.end, s.moved
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// growing is the segment to append to.
func (s *spill) growing() (*segment, error) {
	if n := len(s.segments); n > 0 {
		last := s.segments[n-1]
		if last.open && last.size < s.segment {
			return last, nil
		}
		last.open = false
	}
	g, err := createSegment(filepath.Join(s.dir, fmt.Sprintf("%016x%s", s.next, spillSuffix)))
	if err != nil {
		return nil, err
	}
	s.next++
	s.segments = append(s.segments, g)
	s.sweep()
	return g, nil
}

// sweep deletes segments that do not grow and hold nothing that waits. One that cannot be deleted is left: the database knows that it was read.
func (s *spill) sweep() {
	s.segments = slices.DeleteFunc(s.segments, func(g *segment) bool {
		if g.open || g.unread() {
			return false
		}
		_ = g.remove()
		return true
	})
}

// chunk is what was read from a segment.
type chunk struct {
	segment  *segment
	payloads [][]byte // good until the next read
	end      int64
	lost     int64 // bytes that cannot be read: a tail that was being written when a process died, or damage to the disk
}

// frames is how many frames of its segment are stored when the chunk is.
func (c *chunk) frames() uint64 { return c.segment.frames + uint64(len(c.payloads)) }

// read reads at most n of the payloads that wait, in their order. A chunk without payloads and without loss: nothing waits.
func (s *spill) read(n int) (chunk, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.segments {
		if !g.unread() {
			continue
		}
		payloads, end, err := g.read(n, s.buffer)
		if err != nil {
			return chunk{}, err
		}
		c := chunk{segment: g, payloads: payloads, end: end}
		if len(payloads) == 0 {
			c.end, c.lost = g.size, g.size-g.offset
		}
		return c, nil
	}
	return chunk{}, nil
}

// done says that a chunk is stored.
func (s *spill) done(c chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.segment.offset, c.segment.frames = c.end, c.frames()
	s.tell()
	if c.lost > 0 {
		c.segment.open = false
	}
	s.sweep()
}

// resume says what the database has: so many frames of this segment, and all that stood before it. A segment that is not there any more was stored as a
// whole.
func (s *spill) resume(id segmentID, frames uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.segments, func(g *segment) bool { return g.id == id })
	if at < 0 {
		return nil
	}
	for _, g := range s.segments[:at] {
		g.offset, g.open = g.size, false
	}
	for g := s.segments[at]; g.frames < frames && g.unread(); {
		payloads, end, err := g.read(int(min(frames-g.frames, 1<<20)), s.buffer)
		if err != nil {
			return err
		}
		if len(payloads) == 0 {
			break
		}
		g.offset, g.frames = end, g.frames+uint64(len(payloads))
	}
	s.tell()
	s.sweep()
	return nil
}

// tell wakes those who wait for a place.
func (s *spill) tell() {
	close(s.moved)
	s.moved = make(chan struct{})
}

// end is the place behind all that waits.
func (s *spill) end() place {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.segments); n > 0 {
		return place{s.segments[n-1], s.segments[n-1].size}
	}
	return place{}
}

// trim deletes what was stored, where that is worth it or all of it is asked for.
func (s *spill) trim(all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.segments); n > 0 {
		if last := s.segments[n-1]; !last.unread() && (all || last.size > spillKept) {
			last.open = false
		}
	}
	s.sweep()
}

// size is how many bytes the files have.
func (s *spill) size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sizeLocked()
}

func (s *spill) sizeLocked() (n int64) {
	for _, g := range s.segments {
		n += g.size
	}
	return n
}

// close closes the files and deletes what was stored.
func (s *spill) close() error {
	s.trim(true)
	var err error
	for _, g := range s.segments {
		err = errors.Join(err, g.file.Close())
	}
	s.segments = nil
	return err
}
