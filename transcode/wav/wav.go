// Package wav reads and writes RIFF WAVE files as mono 16-bit PCM, for prompts, recordings and tests.
//
// Specification: Multimedia Programming Interface and Data Specifications 1.0 (IBM and Microsoft, 1991), RFC 2361 for the format tags.
package wav

import "errors"

// MaxSamples is the longest clip that Read takes, in samples of one channel: ten minutes at 48 kHz.
const MaxSamples = 10 * 60 * 48000

// Errors of Read and Write.
var (
	ErrFormat      = errors.New("not a WAVE file")
	ErrUnsupported = errors.New("WAVE format not supported")
	ErrTooLong     = errors.New("WAVE file too long")
)

// Format tags (RFC 2361).
const (
	formatPCM        = 1
	formatFloat      = 3
	formatALaw       = 6
	formatMuLaw      = 7
	formatExtensible = 0xFFFE // the real tag is in the first two bytes of a GUID

	headerSize = 44 // RIFF, fmt and the head of data, as we write them

	minRate, maxRate = 4000, 192000
	maxChannels      = 8
	maxChunks        = 1000
)
