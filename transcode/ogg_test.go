package transcode_test

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// The least of Ogg (RFC 3533) and its mapping of Opus (RFC 7845) that opusenc and opusdec need: one logical stream, packets within pages.

// writeOgg puts packets of 20 ms into an Ogg file, one page each.
func writeOgg(packets [][]byte) []byte {
	var out bytes.Buffer
	head := append([]byte("OpusHead\x01\x01"), 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0) // version, one channel, no pre-skip, 48 kHz, no gain, family 0
	oggPage(&out, head, 0, 0, 2)
	oggPage(&out, append([]byte("OpusTags\x00\x00\x00\x00"), 0, 0, 0, 0), 1, 0, 0)
	for i, p := range packets {
		flags := byte(0)
		if i == len(packets)-1 {
			flags = 4
		}
		oggPage(&out, p, uint32(i+2), uint64(i+1)*960, flags)
	}
	return out.Bytes()
}

func oggPage(out *bytes.Buffer, packet []byte, sequence uint32, granule uint64, flags byte) {
	page := append([]byte("OggS\x00"), flags)
	page = binary.LittleEndian.AppendUint64(page, granule)
	page = binary.LittleEndian.AppendUint32(page, 1) // serial number
	page = binary.LittleEndian.AppendUint32(page, sequence)
	page = binary.LittleEndian.AppendUint32(page, 0) // checksum
	page = append(page, byte(len(packet)/255+1))
	for range len(packet) / 255 {
		page = append(page, 255)
	}
	page = append(append(page, byte(len(packet)%255)), packet...)
	var crc uint32
	for _, b := range page {
		crc ^= uint32(b) << 24
		for range 8 {
			crc = crc<<1 ^ crc>>31*0x04c11db7
		}
	}
	binary.LittleEndian.PutUint32(page[22:], crc)
	out.Write(page)
}

// readOgg returns the packets behind the two headers, and how many samples at 48 kHz to skip of their sound.
func readOgg(b []byte) (packets [][]byte, skip int, err error) {
	var packet []byte
	for len(b) > 0 {
		if len(b) < 27 || string(b[:4]) != "OggS" || len(b) < 27+int(b[26]) {
			return nil, 0, errors.New("no Ogg page")
		}
		lacing := b[27 : 27+int(b[26])]
		b = b[27+len(lacing):]
		for _, n := range lacing {
			if int(n) > len(b) {
				return nil, 0, errors.New("Ogg page cut short")
			}
			packet = append(packet, b[:n]...)
			b = b[n:]
			if n < 255 {
				packets = append(packets, packet)
				packet = nil
			}
		}
	}
	if len(packets) < 2 || len(packets[0]) < 19 {
		return nil, 0, errors.New("no Opus headers")
	}
	return packets[2:], int(binary.LittleEndian.Uint16(packets[0][10:])), nil
}
