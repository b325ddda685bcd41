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
