package federation

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"

	"passerelle/bridge"
	"passerelle/media"
	"passerelle/transcode"
)

// voice is the sound of two rooms that are joined, as a call's. It implements bridge.Audio.
type voice struct {
	outward
	in inward

	at atomic.Pointer[netip.AddrPort] // the site
}

func newVoice() *voice {
	v := &voice{outward: outward{sequence: uint16(rand.Uint32()), time: rand.Uint32()}, in: inward{codec: opus()}}
	_ = v.packet.Header.SetExtension(bridge.AudioLevelID, v.level[:]) // one byte under a small id always fits
	return v
}

// opus is what every track of LiveKit carries.
func opus() transcode.Codec {
	c, _ := transcode.Lookup("opus", transcode.Rate)
	return c
}

// Codec implements bridge.Audio.
func (v *voice) Codec() transcode.Codec { return v.in.codec }

// SendsEvents implements bridge.Audio: a room has no keypad, and nobody has to look for tones.
func (v *voice) SendsEvents() bool { return true }

// SetSink implements bridge.Audio.
func (v *voice) SetSink(s media.Sink) {
	if s == nil {
		v.in.sink.Store(nil)
		return
	}
	v.in.sink.Store(&s)
}

// Stats implements bridge.Audio. Loss and jitter are those of many tracks, and stand in no one number.
func (v *voice) Stats() media.Stats {
	s := media.Stats{
		PacketsSent: v.outward.packets.Load(), BytesSent: v.outward.bytes.Load(),
		PacketsReceived: v.in.packets.Load(), BytesReceived: v.in.bytes.Load(), Encryption: "DTLS-SRTP",
	}
	if a := v.at.Load(); a != nil {
		s.Remote = *a
	}
	return s
}

func (v *voice) remote(a netip.AddrPort) { v.at.Store(&a) }

func (v *voice) close() { v.in.sink.Store(nil) }

// inward takes the far room's mix to the call. It implements mix.FrameWriter and mix.Meter.
type inward struct {
	codec          transcode.Codec
	sink           atomic.Pointer[media.Sink]
	packets, bytes atomic.Uint64

	// Of the mixer's tick.
	gate  gate
	frame media.Frame
	time  uint32
}

// Meter implements mix.Meter.
func (w *inward) Meter(dBov int) { w.gate.level = dBov }

// WriteFrame implements mix.FrameWriter.
func (w *inward) WriteFrame(payload []byte, samples int, marker bool) error {
	at := w.time
	w.time += uint32(samples)
	pass, begins := w.gate.open()
	sink := w.sink.Load()
	if !pass || sink == nil {
		return nil
	}
	w.frame.Codec, w.frame.Payload, w.frame.Timestamp, w.frame.Marker, w.frame.Arrival = &w.codec, payload, at, begins || marker, time.Now()
	w.frame.Sequence++
	w.packets.Add(1)
	w.bytes.Add(uint64(len(payload)))
	(*sink).WriteFrame(&w.frame)
	return nil
}

// outward takes our room's mix to the far one. It implements mix.FrameWriter and mix.Meter.
type outward struct {
	packets, bytes atomic.Uint64

	mu       sync.Mutex
	track    bridge.Track // nil: nowhere
	gate     gate
	packet   rtp.Packet
	level    [1]byte // the packet's header extension (RFC 6464)
	sequence uint16
	time     uint32
	last     time.Time // when the last frame came
}

// connect says where the mix goes from now on; nil: nowhere.
func (w *outward) connect(t bridge.Track) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.track = t
	w.gate = gate{} // a room learns of a track by its first packet
}

// Meter implements mix.Meter.
func (w *outward) Meter(dBov int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate.level = dBov
}

// WriteFrame implements bridge.Audio. Timestamps follow the time that passes in silence.
func (w *outward) WriteFrame(payload []byte, samples int, marker bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	frame := time.Duration(samples) * time.Second / transcode.Rate
	if away := now.Sub(w.last); marker && !w.last.IsZero() && away > 2*frame {
		w.time += uint32(away/frame-1) * uint32(samples)
	}
	w.last = now
	at := w.time
	w.time += uint32(samples)
	pass, begins := w.gate.open()
	if !pass || w.track == nil || len(payload) == 0 {
		return nil
	}
	w.sequence++
	w.level[0] = byte(min(max(-w.gate.level, 0), 127))
	if w.gate.loud() {
		w.level[0] |= 0x80 // voice
	}
	w.packet.Header.SequenceNumber, w.packet.Header.Timestamp, w.packet.Header.Marker = w.sequence, at, begins || marker
	w.packet.Payload = payload
	w.packets.Add(1)
	w.bytes.Add(uint64(len(payload)))
	return w.track.WriteRTP(&w.packet)
}

// gate lets sound pass, and of silence a packet now and then, as Opus DTX has it.
type gate struct {
	level  int // of the next frame, dBov
	silent int // frames in a row
}

// What counts as silence, and how much of it passes.
const (
	floor     = -60 // dBov
	linger    = 25  // frames of silence that pass after sound: half a second
	keepAlive = 20  // of the others every twentieth: 400 ms
)

func (g *gate) loud() bool { return g.level > floor }

// open tells whether a frame passes, and whether it is the first after such as did not.
func (g *gate) open() (pass, begins bool) {
	if g.loud() {
		begins = g.silent > linger
		g.silent = 0
		return true, begins
	}
	g.silent++
	return g.silent <= linger || (g.silent-linger)%keepAlive == 0, false
}
