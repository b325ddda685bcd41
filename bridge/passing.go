package bridge

import (
	"sync"

	"passerelle/media"
	"passerelle/transcode"
	"passerelle/transcode/level"
	"passerelle/transcode/opus"
)

// passing decides which packets of a leg that speaks Opus go on to the room: those in which its encoder has found a voice, and some around them. The
// others, of a sender without DTX, are most of what comes, and cost more than all else that is done for who is silent.
type passing struct {
	recent [lookBack]kept // packets without a voice since the last one that was sent, oldest first
	count  int            // of them
	left   int            // samples for which a voice is still taken to last
	check  int            // samples until quiet packets are looked at again
	loud   bool           // they are not quiet: the encoder has got used to a tone, or to music
	sent   uint32         // timestamp of the last packet that was sent
}

// kept is a packet that was not sent, for the case that the next one begins a word.
type kept struct {
	payload []byte
	at      uint32
}

// Times in samples at 48 kHz.
const (
	passHangover = transcode.Rate * 240 / 1000 // after a voice, as of who is decoded
	checkEvery   = transcode.Rate              // quiet packets
	loudNoise    = -45                         // dBov below 4 kHz: louder is never left out, whatever the encoder takes it for
)

// voice tells whether a packet is to be passed on.
func (p *passing) voice(payload []byte, samples int) bool {
	voice, known := opus.Voice(payload)
	if !known {
		voice = len(payload) > dtx
	}
	if voice {
		p.left, p.check, p.loud = passHangover, 0, false
		return true
	}
	p.left = max(0, p.left-samples)
	if p.check -= samples; p.check <= 0 && known && len(payload) > dtx {
		p.check = checkEvery
		p.loud = loudness(payload) > loudNoise
	}
	return p.left > 0 || p.loud
}

// keep puts a packet aside.
func (p *passing) keep(payload []byte, at uint32) {
	if p.count == lookBack {
		first := p.recent[0]
		copy(p.recent[:], p.recent[1:])
		p.recent[lookBack-1] = first
		p.count--
	}
	k := &p.recent[p.count]
	k.payload, k.at = append(k.payload[:0], payload...), at
	p.count++
}

// pass sends an Opus packet as it came, with those before it that a word may have begun in. What was lost before it leaves the same hole in the
// sequence numbers.
func (u *uplink) pass(f *media.Frame, heard bool) {
	samples, err := opus.Duration(f.Payload)
	if err != nil {
		u.metrics.undecodable.Inc()
		return
	}
	at, lost := u.clock.place(f, samples)
	p := &u.passing
	voice := p.voice(f.Payload, samples)
	if !heard {
		return
	}
	if l, ok := u.local.(interface{ SetLevel(dBov int) }); ok && !voice {
		l.SetLevel(quiet) // nobody on this node needs to listen
	}
	u.local.WriteFrame(f)
	if !voice {
		u.talking = false
		if at-p.sent >= uint32(u.pause)*transcode.FrameSamples {
			p.count, p.sent = 0, at // nothing older is sent after it
			u.hush(at)
			return
		}
		p.keep(f.Payload, at)
		return
	}
	u.clock.marker = u.clock.marker || f.Marker || !u.talking
	if u.talking {
		u.clock.sequence += uint16(lost)
	}
	u.talking, u.pause = true, keepAlive
	for _, k := range p.recent[:p.count] {
		if at-k.at <= lookBack*transcode.FrameSamples {
			u.send(k.payload, k.at, quiet)
		}
	}
	p.count = 0
	u.send(f.Payload, at, assumed)
}

// send sends a packet, and notes when.
func (u *uplink) send(payload []byte, at uint32, loudness float64) {
	u.passing.sent = at
	u.write(payload, at, loudness)
}

// lookers decode single packets to see how loud they are. What they have heard before matters little to that.
var lookers = sync.Pool{New: func() any {
	d, err := opus.NewDecoder(lookRate)
	if err != nil {
		return nil // never: the rate is one of Opus's
	}
	return &looker{d, make([]int16, lookRate*120/1000)}
}}

// lookRate is enough to tell how loud noise is.
const lookRate = 8000

type looker struct {
	decoder *opus.Decoder
	pcm     []int16
}

// loudness is how loud a packet is, in dBov: that of its second half, which the decoder's past does not reach.
func loudness(payload []byte) float64 {
	l, ok := lookers.Get().(*looker)
	if !ok {
		return level.Silence
	}
	defer lookers.Put(l)
	n, err := l.decoder.Decode(l.pcm, payload)
	if err != nil {
		return level.Silence
	}
	return level.RMS(l.pcm[n/2 : n])
}
