package journal

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// A segment is one file of the spill: a mark, 16 random bytes that name it, and frames. A frame is the length of its payload and a CRC-32C
// (Castagnoli) over name, length and payload, 4 bytes each with the highest first, then the payload.
const (
	segmentMark   = "passerelle spill 1\n"
	segmentHeader = len(segmentMark) + len(segmentID{})
	frameHeader   = 8
)

// segmentID names a segment.
type segmentID [16]byte

type segment struct {
	path   string
	id     segmentID
	file   *os.File
	size   int64  // bytes that are safe on the disk
	offset int64  // of what is not stored yet
	frames uint64 // before offset
	open   bool   // may grow
}

// createSegment makes an empty file, which is there after a power cut, too.
func createSegment(path string) (*segment, error) {
	s := &segment{path: path, size: int64(segmentHeader), offset: int64(segmentHeader), open: true}
	_, _ = rand.Read(s.id[:]) // cannot fail
	var err error
	if s.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, err
	}
	_, err = s.file.Write(append([]byte(segmentMark), s.id[:]...))
	if err == nil {
		err = s.file.Sync()
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// openSegment opens a file that an earlier process left. It does not grow any more.
func openSegment(path string) (*segment, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	s := &segment{path: path, file: f, offset: int64(segmentHeader)}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if s.size = info.Size(); s.size < int64(segmentHeader) { // its maker died at once
		s.size, s.offset = 0, 0
		return s, nil
	}
	header := make([]byte, segmentHeader)
	if _, err := f.ReadAt(header, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, f.Close())
	}
	id, ok := bytes.CutPrefix(header, []byte(segmentMark))
	if copy(s.id[:], id); !ok {
		s.offset = 0 // nothing in it can be read
	}
	return s, nil
}

// syncDir makes sure that the names in a directory are safe on the disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// remove deletes the file.
func (s *segment) remove() error { return errors.Join(s.file.Close(), os.Remove(s.path)) }

// append writes framed payloads and returns when they are safe on the disk. After an error, nothing of them is there, and the segment does not
// grow any more: what a disk does after a failed write is not to be relied on.
func (s *segment) append(frames []byte) error {
	_, err := s.file.WriteAt(frames, s.size)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		s.open = false
		if cut := s.file.Truncate(s.size); cut != nil {
			err = fmt.Errorf("%w; some entries may be recorded twice after a restart, because: %w", err, cut)
		}
		return err
	}
	s.size += int64(len(frames))
	return nil
}

// unread tells whether something waits in the segment.
func (s *segment) unread() bool { return s.offset < s.size }

// read reads at most n payloads from the offset on, and tells where the next one begins. No payload although some are unread: the rest of the file
// is damaged.
func (s *segment) read(n int, buffer []byte) (payloads [][]byte, end int64, err error) {
	if s.offset < int64(segmentHeader) {
		return nil, s.offset, nil
	}
	size, err := s.file.ReadAt(buffer[:min(int64(len(buffer)), s.size-s.offset)], s.offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, s.offset, err
	}
	payloads, read := readFrames(s.id, buffer[:size], n)
	return payloads, s.offset + int64(read), nil
}

// appendFrame appends the frame of a payload, which is not empty.
func appendFrame(b []byte, id segmentID, payload []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.BigEndian.AppendUint32(b, checksum(id, payload))
	return append(b, payload...)
}

// readFrames reads at most n whole frames and returns their payloads, which are parts of b, and how many bytes of b they take. It ends at the first
// that is torn or damaged.
func readFrames(id segmentID, b []byte, n int) (payloads [][]byte, read int) {
	for len(payloads) < n && len(b)-read >= frameHeader {
		size := binary.BigEndian.Uint32(b[read:])
		sum := binary.BigEndian.Uint32(b[read+4:])
		if size == 0 || size > maxEntry || int(size) > len(b)-read-frameHeader {
			break
		}
		payload := b[read+frameHeader:][:size:size]
		if checksum(id, payload) != sum {
			break
		}
		payloads = append(payloads, payload)
		read += frameHeader + int(size)
	}
	return payloads, read
}

func checksum(id segmentID, payload []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // made once, by crc32
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(payload)))
	return crc32.Update(crc32.Update(crc32.Update(0, table, id[:]), table, size[:]), table, payload)
}
