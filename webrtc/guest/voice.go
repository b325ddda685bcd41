package guest

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"passerelle/media"
	"passerelle/transcode"
)

// encryption is what stands in the record for a guest's media.
const encryption = "DTLS-SRTP"

// voice is the sound of a guest. It implements bridge.Audio, and outlives peer connections: a page that was loaded anew goes on with it.
type voice struct {
	codec transcode.Codec
	sink  atomic.Pointer[media.Sink]

	out      sync.Mutex // the way out
	outlet   *outlet    // nil: nowhere
	sequence uint16
	time     uint32    // timestamp of the next frame
	due      time.Time // when its time has come; zero: nothing was sent

	in      sync.Mutex // the way in
	frame   media.Frame
	last    uint16 // sequence number of the last packet passed on
	started bool
	transit uint32 // arrival less timestamp, in units of the clock
	jitter  float64
	begun   time.Time

	stats sync.Mutex
	count media.Stats
}

func newVoice() *voice {
	c, _ := transcode.Lookup("opus", transcode.Rate)
	return &voice{codec: c, sequence: uint16(rand.Uint32()), time: rand.Uint32(), begun: time.Now(), count: media.Stats{Encryption: encryption}}
}

// Codec implements bridge.Audio.
func (v *voice) Codec() transcode.Codec { return v.codec }

// SendsEvents implements bridge.Audio: a page has no keypad, and nobody has to look for tones.
func (v *voice) SendsEvents() bool { return true }

// SetSink implements bridge.Audio.
func (v *voice) SetSink(s media.Sink) {
	if s == nil {
		v.sink.Store(nil)
		return
	}
	v.sink.Store(&s)
}

// connect says where the mix goes from now on; nil: nowhere.
func (v *voice) connect(o *outlet) {
	v.out.Lock()
	v.outlet = o
	v.out.Unlock()
	v.in.Lock()
	v.started = false // another stream, with other numbers
	v.in.Unlock()
}

// WriteFrame implements bridge.Audio. Timestamps follow the time that passes in silence.
func (v *voice) WriteFrame(payload []byte, samples int, marker bool) error {
	v.out.Lock()
	defer v.out.Unlock()
	now := time.Now()
	if v.due.IsZero() {
		v.due = now
	}
	frame := time.Duration(samples) * time.Second / time.Duration(v.codec.ClockRate)
	if late := now.Sub(v.due); frame > 0 && (late > time.Second || marker && late > frame) {
		skip := late / frame
		v.time += uint32(int64(skip) * int64(samples))
		v.due = v.due.Add(skip * frame)
	}
	at := v.time
	v.time += uint32(samples)
	v.due = v.due.Add(frame)
	if v.outlet == nil || len(payload) == 0 {
		return nil
	}
	v.sequence++
	if err := v.outlet.voice(payload, v.sequence, at, marker); err != nil {
		return err
	}
	v.stats.Lock()
	v.count.PacketsSent++
	v.count.BytesSent += uint64(len(payload)) + rtpHeader
	v.stats.Unlock()
	return nil
}

// rtpHeader is how long an RTP header without extensions is.
const rtpHeader = 12

// take passes on a packet that the guest sent. One that comes after its turn is dropped, as its loss was passed on already.
func (v *voice) take(p *rtp.Packet, now time.Time) {
	v.in.Lock()
	defer v.in.Unlock()
	ahead := int16(p.SequenceNumber - v.last)
	v.stats.Lock()
	v.count.PacketsReceived++
	v.count.BytesReceived += uint64(len(p.Payload)) + rtpHeader
	switch {
	case !v.started:
	case ahead == 0:
		v.count.Duplicate++
	case ahead < 0:
		v.count.Late++
		v.count.Lost -= min(v.count.Lost, 1)
	default:
		v.count.Lost += uint64(ahead - 1)
	}
	v.stats.Unlock()
	if v.started && ahead <= 0 {
		return
	}
	v.measure(p.Timestamp, now)
	v.started, v.last = true, p.SequenceNumber
	sink := v.sink.Load()
	if sink == nil || len(p.Payload) == 0 {
		return
	}
	v.frame = media.Frame{Codec: &v.codec, Payload: p.Payload, Sequence: p.SequenceNumber, Timestamp: p.Timestamp, Marker: p.Marker, Arrival: now}
	(*sink).WriteFrame(&v.frame)
}

// measure follows the interarrival jitter (RFC 3550, section 6.4.1).
func (v *voice) measure(timestamp uint32, now time.Time) {
	transit := uint32(now.Sub(v.begun).Microseconds()*int64(v.codec.ClockRate)/1e6) - timestamp
	if v.started {
		d := float64(int32(transit - v.transit))
		v.jitter += (max(d, -d) - v.jitter) / 16
	}
	v.transit = transit
}

// report takes what the page says about the mix.
func (v *voice) report(r *rtcp.ReceptionReport, now time.Time) {
	v.stats.Lock()
	defer v.stats.Unlock()
	v.count.FarLost = r.TotalLost
	v.count.FarJitter = time.Duration(r.Jitter) * time.Second / time.Duration(v.codec.ClockRate)
	if r.LastSenderReport != 0 {
		if rtt := ntpShort(now) - r.LastSenderReport - r.Delay; rtt < 1<<20 { // 16 s; more is a mistake, or a lie
			v.count.RoundTrip = time.Duration(rtt) * time.Second >> 16
		}
	}
}

// reaches notes where packets go.
func (v *voice) reaches(address string, port uint16) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return
	}
	v.stats.Lock()
	defer v.stats.Unlock()
	v.count.Remote = netip.AddrPortFrom(a, port)
}

// Stats implements bridge.Audio.
func (v *voice) Stats() media.Stats {
	v.in.Lock()
	jitter := v.jitter
	v.in.Unlock()
	v.stats.Lock()
	defer v.stats.Unlock()
	s := v.count
	s.Jitter = time.Duration(jitter * float64(time.Second) / float64(v.codec.ClockRate))
	return s
}

// ntpShort is the middle of an NTP timestamp, as reception reports have it (RFC 3550, section 4).
func ntpShort(t time.Time) uint32 {
	seconds := uint64(t.Unix()) + 2208988800 // between 1900 and 1970
	fraction := uint64(t.Nanosecond()) << 32 / 1e9
	return uint32((seconds<<32 | fraction) >> 16)
}
