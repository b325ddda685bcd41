// Package picture makes, sends and recognizes moving pictures, for tests. What is received is held against what was sent byte by byte, so that a test
// knows which clip, and which layer of it, a viewer sees.
package picture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os/exec"

	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4/pkg/media/h264reader"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"

	"passerelle/bridge"
)

// Rate is how many pictures a second a clip has.
const Rate = 15

// packetSize is the most that a packet's payload has.
const packetSize = 1100

// Clip is a moving picture. The first picture is its only keyframe.
type Clip struct {
	Name   string
	Codec  bridge.VideoCodec
	Width  int
	Height int
	frames [][]byte
	known  map[uint64]int // picture by the fingerprint of a packet
	seed   maphash.Seed
}

// Make makes a clip of one moving pattern with ffmpeg. Clips with different names differ.
func Make(ctx context.Context, name string, codec bridge.VideoCodec, width, height, frames int) (*Clip, error) {
	encoder := map[bridge.VideoKind][]string{
		bridge.VP8:  {"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-f", "ivf"},
		bridge.VP9:  {"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-f", "ivf"},
		bridge.AV1:  {"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-f", "ivf"},
		bridge.H264: {"-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1", "-slices", "1", "-f", "h264"},
	}[codec.Kind]
	hue := 0
	for _, c := range name {
		hue = (hue*31 + int(c)) % 360
	}
	args := append([]string{
		"-v", "error", "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%dx%d:rate=%d,hue=h=%d", width, height, Rate, hue),
		"-frames:v", fmt.Sprint(frames), "-pix_fmt", "yuv420p", "-b:v", fmt.Sprintf("%dk", width*height/600), "-g", "10000",
	}, encoder...)
	out, err := exec.CommandContext(ctx, "ffmpeg", append(args, "-")...).Output()
	if err != nil {
		var said *exec.ExitError
		if errors.As(err, &said) {
			return nil, fmt.Errorf("ffmpeg: %w: %s", err, said.Stderr)
		}
		return nil, fmt.Errorf("ffmpeg: %w", err)
	}
	c := &Clip{Name: name, Codec: codec, Width: width, Height: height, known: map[uint64]int{}, seed: maphash.MakeSeed()}
	if codec.Kind == bridge.H264 {
		err = c.readH264(out)
	} else {
		err = c.readIVF(out)
	}
	if err != nil {
		return nil, err
	}
	p := newPacketizer(codec.Kind)
	for i, f := range c.frames {
		for _, payload := range p.split(f) {
			c.known[c.fingerprint(payload)] = i
		}
	}
	return c, nil
}

func (c *Clip) readIVF(b []byte) error {
	r, _, err := ivfreader.NewWith(bytes.NewReader(b))
	if err != nil {
		return err
	}
	for {
		f, _, err := r.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		c.frames = append(c.frames, f)
	}
}

// readH264 groups NAL units into pictures: each slice ends one, as there is one per picture.
func (c *Clip) readH264(b []byte) error {
	r, err := h264reader.NewReader(bytes.NewReader(b))
	if err != nil {
		return err
	}
	var frame []byte
	for {
		n, err := r.NextNAL()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		frame = append(append(frame, 0, 0, 0, 1), n.Data...)
		if n.UnitType == h264reader.NalUnitTypeCodedSliceIdr || n.UnitType == h264reader.NalUnitTypeCodedSliceNonIdr {
			c.frames = append(c.frames, frame)
			frame = nil
		}
	}
}

// fingerprint is of what an SFU leaves alone in a packet.
func (c *Clip) fingerprint(payload []byte) uint64 {
	switch c.Codec.Kind {
	case bridge.VP8:
		var p codecs.VP8Packet
		if _, err := p.Unmarshal(payload); err == nil {
			payload = p.Payload
		}
	case bridge.VP9:
		var p codecs.VP9Packet
		if _, err := p.Unmarshal(payload); err == nil {
			payload = p.Payload
		}
	}
	return maphash.Bytes(c.seed, payload)
}

// packetizer splits pictures into payloads. Picture ids go on from one picture to the next.
type packetizer struct {
	kind bridge.VideoKind
	id   uint16
	vp9  codecs.VP9Payloader
	h264 codecs.H264Payloader
	av1  codecs.AV1Payloader
}

func newPacketizer(k bridge.VideoKind) *packetizer {
	return &packetizer{kind: k, vp9: codecs.VP9Payloader{InitialPictureIDFn: func() uint16 { return 0x7ff0 }}, id: 0x7ff0}
}

func (p *packetizer) split(frame []byte) [][]byte {
	switch p.kind {
	case bridge.VP9:
		return p.vp9.Payload(packetSize, frame)
	case bridge.H264:
		return p.h264.Payload(packetSize, frame)
	case bridge.AV1:
		return p.av1.Payload(packetSize, frame)
	}
	return p.splitVP8(frame)
}

// splitVP8 writes payload descriptors with picture ids of 15 bits (RFC 7741, section 4.2), so that pictures are split the same way each time.
func (p *packetizer) splitVP8(frame []byte) [][]byte {
	var list [][]byte
	for start := byte(0x10); len(frame) > 0; start = 0 {
		n := min(len(frame), packetSize-4)
		list = append(list, append([]byte{0x80 | start, 0x80, 0x80 | byte(p.id>>8), byte(p.id)}, frame[:n]...))
		frame = frame[n:]
	}
	p.id = (p.id + 1) & 0x7fff
	return list
}
