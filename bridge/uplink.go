package bridge

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtp"

	"passerelle/media"
	"passerelle/transcode"
	"passerelle/transcode/level"
	"passerelle/transcode/opus"
	"passerelle/transcode/tone"
	"passerelle/transcode/vad"
)

// uplink takes what a caller says to the room: packet → decode → speech? → Opus → SFU, all in the call that delivers the packet. There is no
// jitter buffer on this way, because every receiver has its own: timestamps are kept, a gap stays a gap, and lost packets stay visible as lost.
// Opus passes through as it is, as far as somebody speaks in it. The other legs of the room on this node hear the same packets through a playout buffer in front of the mixer.
type uplink struct {
	log     *slog.Logger
	metrics *metrics
	tones   chan<- byte // digits heard in the sound

	mu     sync.Mutex
	track  Track      // nil before the room
	local  media.Sink // nil before the room: the playout buffer of the room's mixer
	muted  bool
	held   bool
	lent   bool // to a notice that is spoken instead of the caller
	closed bool
	inBand bool // digits are tones in the sound

	codec    transcode.Codec
	decoder  transcode.Decoder
	detector *tone.Detector
	speech   *vad.Detector
	encoder  *opus.Encoder
	frame    []int16 // one frame of 20 ms at the codec's rate, being filled
	filled   int
	start    uint32 // timestamp of the frame's first sample, 48 kHz
	history  [lookBack]spoken
	waiting  int // how many frames of history there are
	talking  bool
	silent   int     // frames since the last packet
	pause    int     // frames after which a packet of silence is sent
	passing  passing // of Opus

	pcm     []int16
	payload []byte
	packet  rtp.Packet
	level   [1]byte // the packet's header extension (RFC 6464)
	clock   timeline
}

// spoken is one frame that was not sent because nothing spoke in it, kept for the case that the next one begins a word.
type spoken struct {
	pcm   []int16
	start uint32
}

const (
	// lookBack is how many frames before the detected start of speech are sent, so that no word loses its beginning: 60 ms.
	lookBack = 3
	// keepAlive is how many silent frames pass until a packet of silence, as Opus DTX has it: 400 ms. Each pause is twice as long as the one before, up to
	// longKeepAlive: silent telephones are most of a large room, and such packets were a fifteenth of what each costs.
	keepAlive     = 20
	longKeepAlive = 100
	// longestPacket is 120 ms at 48 kHz: RFC 6716, section 3.1, allows no more.
	longestPacket = transcode.Rate * 120 / 1000
)

func newUplink(log *slog.Logger, m *metrics, tones chan<- byte) *uplink {
	u := &uplink{
		log: log, metrics: m, tones: tones,
		payload: make([]byte, 1275), pause: keepAlive,
		clock: timeline{out: rand.Uint32(), sequence: uint16(rand.Uint32())},
	}
	_ = u.packet.Header.SetExtension(AudioLevelID, u.level[:]) // one byte under a small id always fits
	return u
}

// listenForTones says whether digits are to be looked for in the sound.
func (u *uplink) listenForTones(inBand bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.inBand = inBand
	u.listen()
}

// listen makes or drops the detector of tones. Opus passes undecoded: who speaks it sends events.
func (u *uplink) listen() {
	u.detector = nil
	if u.inBand && u.decoder != nil {
		u.detector = tone.NewDetector(u.codec.SampleRate)
	}
}

// open lets the caller be heard: by the room through track, by the legs of this node through local.
func (u *uplink) open(track Track, local media.Sink) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.track, u.local = track, local
	u.clock.marker = true
	// A subscriber learns of a track by its first packet.
	u.write(append(u.payload[:0], opus.Silence...), u.clock.advance(transcode.FrameSamples), quiet)
}

// shut ends what open began.
func (u *uplink) shut() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.track, u.local = nil, nil
}

// mute lets nothing of the caller through, or again.
func (u *uplink) mute(muted bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.muted = muted
	u.rest()
}

// hold drops what a caller's side sends while it holds the call: that is its waiting music.
func (u *uplink) hold(held bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.held = held
	u.rest()
}

// close lets go of decoders and encoders. Later packets are dropped.
func (u *uplink) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	u.release()
}

// chain tells an operator what happens to a caller's voice.
func (u *uplink) chain() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.codec.Name == "":
		return "nothing heard"
	case strings.EqualFold(u.codec.Name, "opus"):
		return "opus → SFU"
	}
	return fmt.Sprintf("%s → %d kHz → opus → SFU", u.codec.Name, u.codec.SampleRate/1000)
}

// WriteFrame is media.Sink.
func (u *uplink) WriteFrame(f *media.Frame) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed || u.lent {
		return
	}
	if !f.Codec.Is(u.codec) || u.codec.Name == "" {
		if err := u.setCodec(*f.Codec); err != nil {
			u.log.Error("cannot take this codec", "codec", f.Codec.Name, "error", err)
			return
		}
	}
	heard := u.track != nil && !u.muted && !u.held
	if u.decoder == nil {
		u.pass(f, heard)
		return
	}
	if heard {
		u.local.WriteFrame(f)
	}
	n, err := u.decoder.Decode(u.pcm, f.Payload)
	if err != nil {
		u.metrics.undecodable.Inc()
		return
	}
	pcm := u.pcm[:n]
	if u.detector != nil {
		if d, ok := u.detector.Detect(pcm); ok {
			select {
			case u.tones <- d:
			default: // nobody types sixteen digits before the call has read one
			}
		}
	}
	ticks := uint32(transcode.Rate / u.codec.SampleRate)
	at, lost := u.clock.place(f, len(pcm)*int(ticks))
	if heard {
		u.take(pcm, at, ticks, lost)
		u.metrics.uplinkDelay.Observe(time.Since(f.Arrival).Seconds())
	}
}

// setCodec makes what the new codec needs.
func (u *uplink) setCodec(c transcode.Codec) (err error) {
	u.release()
	u.codec = c
	if strings.EqualFold(c.Name, "opus") {
		return nil
	}
	if u.decoder, err = c.NewDecoder(); err != nil {
		return err
	}
	if u.encoder, err = opus.NewEncoder(c.SampleRate, opus.ForVoices(c.SampleRate)); err != nil {
		return err
	}
	if u.speech, err = vad.New(c.SampleRate); err != nil {
		return err
	}
	u.listen()
	samples := c.SampleRate / 50
	u.pcm, u.frame = make([]int16, longestPacket*c.SampleRate/transcode.Rate), make([]int16, samples)
	for i := range u.history {
		u.history[i].pcm = make([]int16, samples)
	}
	u.rest()
	return nil
}

// release lets go of the old codec's parts.
func (u *uplink) release() {
	u.decoder, u.encoder, u.speech, u.detector = nil, nil, nil, nil
}

// rest forgets the frames that are under way.
func (u *uplink) rest() { u.filled, u.waiting, u.talking, u.passing.count = 0, 0, false, 0 }

// take cuts a packet's samples, which begin at the timestamp at and last ticks each, into frames of 20 ms and says them. lost packets came
// before it.
func (u *uplink) take(pcm []int16, at, ticks uint32, lost int) {
	if lost > 0 || at != u.start+uint32(u.filled)*ticks {
		u.filled = 0 // a gap: what began before it is not glued to what comes after it
		if u.talking {
			u.clock.sequence += uint16(lost)
		}
	}
	for len(pcm) > 0 {
		if u.filled == 0 {
			u.start = at
		}
		n := copy(u.frame[u.filled:], pcm)
		pcm, at, u.filled = pcm[n:], at+uint32(n)*ticks, u.filled+n
		if u.filled == len(u.frame) {
			u.filled = 0
			u.say()
		}
	}
}

// say sends the full frame when there is speech in it, together with the frames before that a word may have begun in.
func (u *uplink) say() {
	if !u.speech.Speech(u.frame) {
		u.talking = false
		if u.silent++; u.silent >= u.pause {
			u.waiting = 0 // nothing older is sent after it
			u.hush(u.start)
			return
		}
		if u.waiting == lookBack {
			first := u.history[0]
			copy(u.history[:], u.history[1:])
			u.history[lookBack-1] = first
			u.waiting--
		}
		copy(u.history[u.waiting].pcm, u.frame)
		u.history[u.waiting].start = u.start
		u.waiting++
		return
	}
	u.clock.marker = u.clock.marker || !u.talking
	u.talking, u.pause = true, keepAlive
	for _, h := range u.history[:u.waiting] {
		if u.start-h.start <= lookBack*transcode.FrameSamples {
			u.encode(h.pcm, h.start)
		}
	}
	u.waiting = 0
	u.encode(u.frame, u.start)
}

// hush sends a packet of silence, and waits longer until the next.
func (u *uplink) hush(at uint32) {
	u.write(append(u.payload[:0], opus.Silence...), at, quiet)
	u.pause = min(2*u.pause, longKeepAlive)
}

// encode sends one frame.
func (u *uplink) encode(pcm []int16, start uint32) {
	n, err := u.encoder.Encode(u.payload, pcm)
	if err != nil {
		u.metrics.undecodable.Inc()
		return
	}
	u.write(u.payload[:n], start, level.RMS(pcm))
}

// write sends one Opus packet, whose sound is as loud as level says, in dBov.
func (u *uplink) write(payload []byte, timestamp uint32, loudness float64) {
	u.silent = 0
	u.level[0] = byte(min(max(-loudness, 0), 127))
	if loudness > quiet {
		u.level[0] |= 0x80 // voice
	}
	u.clock.sequence++
	u.packet.Header.SequenceNumber = u.clock.sequence
	u.packet.Header.Timestamp = timestamp
	u.packet.Header.Marker = u.clock.marker
	u.packet.Payload = payload
	u.clock.marker = false
	if err := u.track.WriteRTP(&u.packet); err != nil {
		u.metrics.uplinkDropped.Inc() // the SFU is away: the session says so itself, in its own events
	}
}

// Levels in dBov, and what of an Opus packet tells them when it passes undecoded.
const (
	quiet   = -127.0
	assumed = -25.0 // of somebody who speaks
	dtx     = 3     // bytes of the longest Opus packet that says nothing
)
