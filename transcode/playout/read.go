package playout

import (
	"slices"
	"strings"

	"passerelle/transcode"
)

// Lengths in units of media time, 1/48000 s.
const (
	lookahead  = 1200 // 25 ms: what a change of pace needs beyond the frame
	fifoSize   = 2*maxPacket + frame20 + lookahead
	blend      = 240       // 5 ms: how long one sound takes to become another one
	fadeFrom   = 2880      // 60 ms of concealment, then it fades,
	fadeTo     = 5760      // until nothing is left after 120 ms
	briefly    = 1920      // 40 ms: a late packet may be left out when its time was concealed and waiting for it would not help later ones
	unreadTime = 4800      // 100 ms without a Read: nobody listened, and the past is not played
	late       = 1920      // 40 ms without one: we were held up,
	longAgo    = 5 * 48000 // unless it is so long ago that we were not asked
	maxVoices  = 8
)

// reader is the reading goroutine's half of a Buffer. What it needs to make sound is made when it is first read: most streams never are.
type reader struct {
	voices     []*voice
	active     *voice
	generation int
	lastRead   int64
	playing    bool
	grain      grain   // of fifo; 0: not read yet
	fifo       []int16 // sound to be read
	tail       int64   // media time at the end of fifo, not counting owed
	owed       int     // concealed time for which it is not known yet whether a packet is lost or late
	run        int     // concealed time since the last packet
	packet     int     // length of the last packet
	dtx        bool    // the last packet was silence: nothing is missing after it
	torn       bool    // what comes next does not continue what came last
	last       int16   // the newest sample that was made
	played     int16   // the newest one that was read
	pace       pace
}

func (r *reader) init() {
	r.packet = frame20
	r.lastRead = -1 << 62
	r.pace.reset()
}

// units is how long so many samples of fifo last.
func (r *reader) units(samples int) int64 { return int64(samples) * 48 / int64(r.grain) }

// count is how many samples of fifo last so long.
func (r *reader) count(units int64) int { return int(units * int64(r.grain) / 48) }

// held is how long fifo lasts.
func (r *reader) held() int64 { return r.units(len(r.fifo)) }

// head is the media time of what is read next.
func (r *reader) head() int64 { return r.tail - r.held() }

func (r *reader) close() {
	for _, v := range r.voices {
		v.up.Close()
	}
	r.voices, r.active = nil, nil
}

// voice makes v the one that decodes, and makes it first if it is new.
func (r *reader) voice(codec transcode.Codec) (*voice, error) {
	if r.active != nil && r.active.codec.Is(codec) {
		return r.active, nil
	}
	for _, v := range r.voices {
		if v.codec.Is(codec) {
			r.active, r.torn = v, true
			return v, nil
		}
	}
	if len(r.voices) >= maxVoices {
		r.close()
	}
	v, err := newVoice(codec, int(r.grain)*1000)
	if err != nil {
		return nil, err
	}
	r.voices = append(r.voices, v)
	r.active, r.torn = v, true
	return v, nil
}

// Read fills frame (20 ms, mono, at 8, 16 or 48 kHz: 160, 320 or 960 samples) with what is to be heard now. False means silence: frame is as it was.
// It is to be called every 20 ms by one goroutine; a stream that is not listened to needs no calls, and is heard from its present when they come again.
// Another rate than the time before costs no sound and makes no click, but some work.
func (b *Buffer) Read(frame []int16) bool {
	now := samples(b.cfg.Now().Sub(b.epoch))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unread = 0
	b.ring.resize(slots)
	if g := grain(len(frame) / 20); g != b.grain {
		b.retune(g)
	}
	if away := now - b.lastRead; away > late && away < longAgo {
		b.timing.excuse(b.lastRead, now)
	}
	if b.generation != b.track.generation || now-b.lastRead > unreadTime {
		b.stop()
		b.generation = b.track.generation
		b.skip(now)
	}
	b.lastRead = now
	if !b.playing && !b.startAt(now) {
		return b.release(frame)
	}
	b.trim()
	b.keepPace(now)
	for b.held() < frame20 && b.pull(now) {
	}
	n := copy(frame, b.fifo)
	b.fifo = b.fifo[:copy(b.fifo, b.fifo[n:])]
	if n < len(frame) {
		// The talk spurt is over. Its end is not cut, and the next one waits for its own time.
		b.stop()
		if n > 0 {
			b.last = frame[n-1]
		}
		b.ebb(frame[n:])
	}
	b.played = frame[len(frame)-1]
	b.louder(measure(frame))
	return true
}

// stop ends a talk spurt.
func (b *Buffer) stop() {
	b.fifo, b.owed, b.run = b.fifo[:0], 0, 0
	b.playing, b.dtx, b.torn = false, false, true
	b.pace.reset()
}

// release lets the last sample ebb away, once; then there is silence.
func (b *Buffer) release(frame []int16) bool {
	if b.last == 0 {
		return false
	}
	b.ebb(frame)
	return true
}

// ebb fills pcm with the way from the last sample to silence.
func (b *Buffer) ebb(pcm []int16) {
	clear(pcm)
	b.grain.mend(pcm, int(b.last))
	b.last = 0
}

// skip drops what is over, as far as something newer is due as well.
func (b *Buffer) skip(now int64) {
	for s := b.ring.next(); s != nil; s = b.ring.next() {
		if now-s.at < b.required()+frame20 {
			return
		}
		b.ring.take(s)
	}
}

// trim drops the oldest packets of a sender that sends more than time passes.
func (b *Buffer) trim() {
	most := samples(b.cfg.Max)
	if b.track.at-b.tail <= most {
		return
	}
	for s := b.ring.next(); s != nil && b.track.at-s.at > most/2; s = b.ring.next() {
		b.ring.take(s)
		b.stats.Dropped++
		b.tail, b.owed, b.torn = s.at+int64(b.packet), 0, true
	}
}

// startAt begins a talk spurt when its first packet is due.
func (b *Buffer) startAt(now int64) bool {
	for s := b.ring.next(); s != nil; s = b.ring.next() {
		if now-s.at < b.required() && b.ring.last-s.sequence < slots/2 {
			return false
		}
		if !silent(s) {
			b.playing, b.tail = true, s.at
			b.trim()
			return true
		}
		b.ring.take(s)
	}
	return false
}

// silent tells whether a packet is an Opus packet that holds no sound.
func silent(s *slot) bool {
	return len(s.payload) <= dtxBytes && strings.EqualFold(s.codec.Name, "opus")
}

// pull makes some more sound, and says whether there was any to be had.
func (b *Buffer) pull(now int64) bool {
	s := b.ring.next()
	if s == nil {
		return !b.dtx && b.conceal()
	}
	gap := s.at - b.tail
	credit := min(max(gap, 0), int64(b.owed))
	b.owed -= int(credit)
	b.tail += credit
	gap -= credit
	if gap > blend {
		if s.sequence == b.ring.taken+1 {
			return false // nothing is missing: the sender was silent
		}
		return b.bridge(s, int(gap))
	}
	b.decode(s, b.leaveOut(now))
	return true
}

// leaveOut says how much of a late packet is not to be played, because its time has been concealed and the delay need not grow.
func (b *Buffer) leaveOut(now int64) int {
	owed := b.owed
	b.owed = 0
	if owed == 0 || owed > briefly {
		return 0
	}
	_, room := b.slack(now)
	return int(min(int64(owed), max(room, 0)))
}

// conceal makes up 10 ms or more, because nothing is there: lost or late will show.
func (b *Buffer) conceal() bool {
	if b.active == nil || b.run >= fadeTo {
		return false
	}
	n := (frame20 - int(b.held()) + 479) / 480 * 480
	b.extend(n)
	b.owed += n
	return true
}

// bridge fills a hole of gap before s: what was lost there does not come any more, or would come too late.
func (b *Buffer) bridge(s *slot, gap int) bool {
	if b.active == nil || b.run >= fadeTo || gap > fadeTo {
		return false
	}
	n := min(gap, frame20)
	fec := s.sequence == b.ring.taken+2 && gap == n && b.active.fec != nil && n%120 == 0
	b.tail += int64(n)
	if fec {
		from := len(b.fifo)
		var restored bool
		b.fifo, restored = b.active.restore(b.fifo, n, s.payload)
		b.run += n
		b.made(from, restored)
		return true
	}
	b.extend(n)
	return true
}

// extend appends concealment that lasts n.
func (b *Buffer) extend(n int) {
	n = (n + 119) / 120 * 120 // Opus conceals multiples of 2.5 ms
	from := len(b.fifo)
	b.fifo = b.active.conceal(b.fifo, n)
	b.made(from, false)
	if b.run+n > fadeFrom {
		b.grain.fade(b.fifo[from:], b.run)
	}
	b.run += n
	b.tidy(from)
}

// made counts sound that was not sent.
func (b *Buffer) made(from int, restored bool) {
	d := duration(b.units(len(b.fifo) - from))
	if restored {
		b.stats.Restored += d
	} else {
		b.stats.Concealed += d
	}
	b.tidy(from)
}

// tidy joins what was appended at from to what was before.
func (b *Buffer) tidy(from int) {
	if fresh := b.fifo[from:]; len(fresh) > 0 {
		if b.torn {
			b.grain.mend(fresh, int(b.last)-int(fresh[0]))
			b.torn = false
		}
		b.last = fresh[len(fresh)-1]
	}
}

// decode appends a packet, less its beginning that is to be left out.
func (b *Buffer) decode(s *slot, leaveOut int) {
	b.ring.take(s)
	b.tail = s.at
	v, err := b.voice(s.codec)
	if err != nil {
		b.stats.Invalid++
		return
	}
	from := len(b.fifo)
	b.fifo, err = v.decode(b.fifo, s.payload)
	n := int(b.units(len(b.fifo) - from))
	if err != nil || n == 0 {
		b.stats.Invalid++
		b.extend(b.packet)
		b.tail += int64(b.packet)
		return
	}
	b.tail += int64(n)
	b.packet, b.run, b.dtx = n, 0, silent(s)
	b.learn(len(s.payload), b.fifo[from:])
	if leaveOut = b.count(int64(min(leaveOut, n))); leaveOut > 0 {
		b.fifo = slices.Delete(b.fifo, from, from+leaveOut)
		b.torn = true
	}
	b.tidy(from)
}

// fade takes a concealment that has lasted for run down to silence.
func (g grain) fade(pcm []int16, run int) {
	for i, v := range pcm {
		left := min(max(fadeTo-run-i*48/int(g), 0), fadeTo-fadeFrom)
		pcm[i] = int16(int(v) * left / (fadeTo - fadeFrom))
	}
}

// mend bends the beginning of pcm by step, less and less, so that it continues what was before it without a click.
func (g grain) mend(pcm []int16, step int) {
	n := min(len(pcm), g.blend())
	for i := range pcm[:n] {
		pcm[i] = clip(int(pcm[i]) + step*(n-i)/n)
	}
}

func clip(v int) int16 { return int16(min(max(v, -32768), 32767)) }
