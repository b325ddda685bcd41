package wav

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Write writes a whole clip as 16-bit mono PCM. rate is in Hz.
func Write(w io.Writer, pcm []int16, rate int) error {
	if err := checkRate(rate); err != nil {
		return err
	}
	if int64(len(pcm)) > maxData/2 {
		return ErrTooLong
	}
	b := make([]byte, 0, headerSize+2*len(pcm))
	b = appendHeader(b, rate, uint32(2*len(pcm)))
	_, err := w.Write(appendSamples(b, pcm))
	return err
}

// maxData is the longest data chunk whose sizes fit their 32 bits.
const maxData = math.MaxUint32 - headerSize - 1

// Writer writes a clip bit by bit, for recordings. The sizes in its header are right after Close. It is for one goroutine.
type Writer struct {
	ws   io.WriteSeeker
	rate int
	size int64 // bytes of samples so far
	buf  []byte
}

// NewWriter begins a 16-bit mono file at the present place of ws. rate is in Hz.
func NewWriter(ws io.WriteSeeker, rate int) (*Writer, error) {
	if err := checkRate(rate); err != nil {
		return nil, err
	}
	w := &Writer{ws: ws, rate: rate}
	if _, err := ws.Write(appendHeader(nil, rate, 0)); err != nil {
		return nil, err
	}
	return w, nil
}

// Write appends samples. ErrTooLong tells that the file is full (4 GiB).
func (w *Writer) Write(pcm []int16) error {
	if w.size+2*int64(len(pcm)) > maxData {
		return ErrTooLong
	}
	w.buf = appendSamples(w.buf[:0], pcm)
	n, err := w.ws.Write(w.buf)
	w.size += int64(n)
	return err
}

// Close puts the sizes into the header. It leaves the underlying file open, at its end.
func (w *Writer) Close() error {
	if _, err := w.ws.Seek(-w.size-headerSize, io.SeekCurrent); err != nil {
		return err
	}
	if _, err := w.ws.Write(appendHeader(nil, w.rate, uint32(w.size))); err != nil {
		return err
	}
	_, err := w.ws.Seek(w.size, io.SeekCurrent)
	return err
}

func checkRate(rate int) error {
	if rate < minRate || rate > maxRate {
		return fmt.Errorf("%w: %d Hz", ErrUnsupported, rate)
	}
	return nil
}

func appendHeader(b []byte, rate int, dataSize uint32) []byte {
	le := binary.LittleEndian
	b = append(b, "RIFF"...)
	b = le.AppendUint32(b, headerSize-8+dataSize)
	b = append(b, "WAVEfmt "...)
	b = le.AppendUint32(b, 16)
	b = le.AppendUint16(b, formatPCM)
	b = le.AppendUint16(b, 1) // channels
	b = le.AppendUint32(b, uint32(rate))
	b = le.AppendUint32(b, uint32(2*rate)) // bytes a second
	b = le.AppendUint16(b, 2)              // bytes a sample
	b = le.AppendUint16(b, 16)             // bits a sample
	b = append(b, "data"...)
	return le.AppendUint32(b, dataSize)
}

func appendSamples(b []byte, pcm []int16) []byte {
	for _, s := range pcm {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	return b
}
