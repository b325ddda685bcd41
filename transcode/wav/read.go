package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/zaf/g711"
)

// layout is what a fmt chunk says about the samples.
type layout struct {
	tag, channels, bits int
	rate                int
}

// Read reads a clip: integers of 8, 16, 24 and 32 bits, floats of 32, A-law and µ-law, one to eight channels, which are mixed down to one. rate is
// in Hz. A file that ends early gives what it has. Clips over MaxSamples are refused with ErrTooLong.
func Read(r io.Reader) (pcm []int16, rate int, err error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[:4]) != "RIFF" || string(head[8:]) != "WAVE" {
		return nil, 0, ErrFormat
	}
	var l layout
	for range maxChunks {
		if _, err := io.ReadFull(r, head[:8]); err != nil {
			return nil, 0, fmt.Errorf("%w: no data chunk", ErrFormat)
		}
		size := int64(binary.LittleEndian.Uint32(head[4:8]))
		switch string(head[:4]) {
		case "fmt ":
			if l, err = readLayout(r, size); err != nil {
				return nil, 0, err
			}
		case "data":
			if l.rate == 0 {
				return nil, 0, fmt.Errorf("%w: data before fmt", ErrFormat)
			}
			pcm, err = l.readSamples(io.LimitReader(r, size))
			return pcm, l.rate, err
		default:
			if _, err := io.CopyN(io.Discard, r, size+size&1); err != nil {
				return nil, 0, fmt.Errorf("%w: no data chunk", ErrFormat)
			}
		}
	}
	return nil, 0, fmt.Errorf("%w: too many chunks", ErrFormat)
}

func readLayout(r io.Reader, size int64) (layout, error) {
	if size < 16 || size > 1024 {
		return layout{}, fmt.Errorf("%w: fmt chunk of %d bytes", ErrFormat, size)
	}
	b := make([]byte, size+size&1)
	if _, err := io.ReadFull(r, b); err != nil {
		return layout{}, fmt.Errorf("%w: fmt chunk cut short", ErrFormat)
	}
	l := layout{
		tag:      int(binary.LittleEndian.Uint16(b)),
		channels: int(binary.LittleEndian.Uint16(b[2:])),
		rate:     int(binary.LittleEndian.Uint32(b[4:])),
		bits:     int(binary.LittleEndian.Uint16(b[14:])),
	}
	if l.tag == formatExtensible && size >= 40 {
		l.tag = int(binary.LittleEndian.Uint16(b[24:]))
	}
	if l.channels < 1 || l.channels > maxChannels || l.rate < minRate || l.rate > maxRate || l.sample() == nil {
		return layout{}, fmt.Errorf("%w: tag %d, %d bits, %d channels, %d Hz", ErrUnsupported, l.tag, l.bits, l.channels, l.rate)
	}
	return l, nil
}

// sample returns the function that reads one sample, nil for a format that we do not know.
func (l layout) sample() func(b []byte) int32 {
	switch [2]int{l.tag, l.bits} {
	case [2]int{formatPCM, 8}:
		return func(b []byte) int32 { return (int32(b[0]) - 128) << 8 }
	case [2]int{formatPCM, 16}:
		return func(b []byte) int32 { return int32(int16(binary.LittleEndian.Uint16(b))) }
	case [2]int{formatPCM, 24}:
		return func(b []byte) int32 { return int32(int16(binary.LittleEndian.Uint16(b[1:]))) }
	case [2]int{formatPCM, 32}:
		return func(b []byte) int32 { return int32(int16(binary.LittleEndian.Uint16(b[2:]))) }
	case [2]int{formatFloat, 32}:
		return func(b []byte) int32 { return fromFloat(math.Float32frombits(binary.LittleEndian.Uint32(b))) }
	case [2]int{formatALaw, 8}:
		return func(b []byte) int32 { return int32(g711.DecodeAlawFrame(b[0])) }
	case [2]int{formatMuLaw, 8}:
		return func(b []byte) int32 { return int32(g711.DecodeUlawFrame(b[0])) }
	}
	return nil
}

func fromFloat(f float32) int32 {
	v := math.Round(float64(f) * 32768)
	if math.IsNaN(v) {
		return 0
	}
	return int32(max(math.MinInt16, min(math.MaxInt16, v)))
}

// readSamples grows with what really comes, whatever the header promised.
func (l layout) readSamples(r io.Reader) ([]int16, error) {
	sample, width := l.sample(), l.bits/8
	frame := width * l.channels
	block := make([]byte, 2048*frame)
	var pcm []int16
	for {
		n, err := io.ReadFull(r, block)
		for b := block[:n]; len(b) >= frame; b = b[frame:] {
			var sum int32
			for c := range l.channels {
				sum += sample(b[c*width:])
			}
			pcm = append(pcm, int16(sum/int32(l.channels)))
		}
		switch {
		case len(pcm) > MaxSamples:
			return nil, ErrTooLong
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return pcm, nil
		case err != nil:
			return nil, fmt.Errorf("read samples: %w", err)
		}
	}
}
