package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"passerelle/internal/testpeer/speech"
	"passerelle/transcode"
	"passerelle/transcode/level"
	"passerelle/transcode/opus"
	"passerelle/transcode/resample"
)

// pairs is how many phones and participants are listened to at the same time, each pair in a room of its own.
const pairs = 4

// delays measures how much later a voice arrives, on a clean network beside more and more calls, and on a bad network.
func (b *bench) delays(ctx context.Context) error {
	type scene struct {
		calls  int
		impair bool
	}
	scenes := []scene{{calls: pairs}, {calls: 100}, {calls: 500}, {calls: pairs, impair: true}}
	if b.quick {
		scenes = []scene{scenes[0], scenes[3]}
	}
	var err error
	if b.report.lookahead, err = lookahead(b.clip); err != nil {
		return err
	}
	r, err := startRig(ctx, b.gateway, b.profile("delay"))
	if err != nil {
		return err
	}
	defer r.stop()
	w, err := newCrowd(r, kind{"PCMA", "", 4}, b.clip)
	if err != nil {
		return err
	}
	defer w.close()
	background := pattern(func(phone int, _ time.Duration) bool { return phone < 0 || phone%4 == 0 })
	w.load.talks.Store(&background)
	for i, s := range scenes {
		if _, err := w.grow(ctx, min(s.calls, b.maxCalls)-pairs); err != nil {
			return err
		}
		if w.refused.Load() != 0 {
			b.say("  the node refused a call at %d", len(w.calls))
		}
		if s.impair {
			w.shrink(ctx, 0)
		}
		d, err := b.delay(ctx, w, rooms-1-i*pairs, s.impair)
		if err != nil {
			return fmt.Errorf("%d calls: %w", s.calls, err)
		}
		d.calls = len(w.calls) + pairs
		b.report.delays = append(b.report.delays, d)
		b.say("  %s", d)
	}
	return nil
}

// delayed is what delays found out.
type delayed struct {
	calls            int
	impaired         bool
	toRoom, toPhone  []time.Duration // sorted, one for every 20 ms of speech
	missing, windows int             // windows of speech that were not found again, of both ways
	gaps, frames     int             // 20 ms in which the phone should have heard speech, and heard nothing
	share            float64         // of the gateway's core
}

// String is the line that is shown while the benchmark runs.
func (d delayed) String() string {
	return fmt.Sprintf("%d calls, impaired %v: phone → room p50 %v, p99 %v; room → phone p50 %v, p99 %v; %d of %d windows not found; %d of %d frames silent",
		d.calls, d.impaired, of(d.toRoom, .5), of(d.toRoom, .99), of(d.toPhone, .5), of(d.toPhone, .99), d.missing, d.windows, d.gaps, d.frames)
}

// delay has pairs of a phone and a participant talk to each other, both at the same time, and finds what each said at the other's ear.
func (b *bench) delay(ctx context.Context, w *crowd, firstRoom int, impaired bool) (d delayed, err error) {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	d.impaired = impaired
	client, err := newClient(w.rig)
	if err != nil {
		return d, err
	}
	defer client.Close()
	spoken, err := b.sound("opus", 48000)
	if err != nil {
		return d, err
	}
	var (
		calls  []*call
		people []*participant
	)
	defer func() {
		for _, p := range people {
			p.leave()
		}
		for _, c := range calls {
			_ = c.dialog.hangUp(ctx)
			w.load.remove(c.phone)
		}
	}()
	for i := range pairs {
		network := func(seed uint64) *impairment {
			if !impaired {
				return nil
			}
			return &impairment{20 * time.Millisecond, 0.02, rand.New(rand.NewPCG(seed, uint64(i)))}
		}
		room := firstRoom - i
		p, err := join(ctx, client, roomName(room), "participant", spoken, network(1))
		if err != nil {
			return d, err
		}
		people = append(people, p)
		c, err := w.enter(ctx, -1, room, func(p *phone) { p.impair, p.tape = network(2), new(recording) })
		if err != nil {
			return d, err
		}
		calls = append(calls, c)
	}
	time.Sleep(6 * time.Second) // the callers hear that they have joined, and playout buffers forget what joining did to the network
	from, used := time.Now(), cpuTime(w.gateway.pid)
	length := 12 * time.Second
	if b.quick {
		length = 6 * time.Second
	}
	time.Sleep(length)
	to := time.Now()
	d.share = (cpuTime(w.gateway.pid) - used).Seconds() / to.Sub(from).Seconds()

	said, err := resample.Convert(b.clip, transcode.Rate, findRate)
	if err != nil {
		return d, err
	}
	for i := range pairs {
		phone, room := w.load.take(calls[i].phone), people[i].take()
		for _, way := range []struct {
			from, to recording
			codec    transcode.Codec
			delays   *[]time.Duration
			gaps     bool
		}{
			{phone, room, spoken.codec, &d.toRoom, false},
			{room, phone, w.sound.codec, &d.toPhone, true},
		} {
			heard, err := listen(way.to.heard, way.codec)
			if err != nil {
				return d, err
			}
			m := match{said: said, sent: way.from.sent, heard: heard, from: from, to: to.Add(-time.Second)}
			m.find()
			*way.delays = append(*way.delays, m.delays...)
			d.windows, d.missing = d.windows+m.windows, d.missing+m.missing
			if way.gaps {
				d.gaps, d.frames = d.gaps+m.gaps, d.frames+m.frames
			}
		}
	}
	slices.Sort(d.toRoom)
	slices.Sort(d.toPhone)
	if len(d.toRoom) == 0 || len(d.toPhone) == 0 {
		return d, fmt.Errorf("what was said was not heard: %d windows to the room and %d to the phone", len(d.toRoom), len(d.toPhone))
	}
	return d, nil
}

// take is what a phone said and heard so far.
func (l *load) take(p *phone) recording {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rx.Lock()
	defer l.rx.Unlock()
	return recording{slices.Clone(p.tape.sent), slices.Clone(p.tape.heard)}
}

// findRate is the sample rate in which speech is looked for, and frame20 its samples in 20 ms.
const (
	findRate = 8000
	frame20  = findRate / 50
)

// heard is decoded sound on the time line of its RTP timestamps, with the packets that it came in.
type heard struct {
	pcm     []int16
	packets []placed // by start
}

// placed is a packet's place in the sound.
type placed struct {
	start, end int
	at         time.Time
}

// listen decodes packets and puts them where their timestamps say, at findRate.
func listen(packets []packet, codec transcode.Codec) (h heard, err error) {
	if len(packets) == 0 {
		return h, nil
	}
	packets = slices.Clone(packets)
	base := packets[0].timestamp
	slices.SortStableFunc(packets, func(a, b packet) int { return int(int32(a.timestamp - b.timestamp)) })
	if int32(packets[0].timestamp-base) < 0 {
		base = packets[0].timestamp
	}
	decoder, err := codec.NewDecoder()
	if err != nil {
		return h, err
	}
	var whole []int16
	buffer := make([]int16, codec.SampleRate*120/1000)
	for _, p := range packets {
		n, err := decoder.Decode(buffer, p.payload)
		if err != nil {
			continue
		}
		start := int(p.timestamp-base) * codec.SampleRate / codec.ClockRate
		if start > len(whole)+60*codec.SampleRate {
			return h, fmt.Errorf("a timestamp jumps by %d samples", start-len(whole))
		}
		if missing := start + n - len(whole); missing > 0 {
			whole = append(whole, make([]int16, missing)...)
		}
		copy(whole[start:], buffer[:n])
		scale := func(i int) int { return i * findRate / codec.SampleRate }
		h.packets = append(h.packets, placed{scale(start), scale(start + n), p.at})
	}
	h.pcm, err = resample.Convert(whole, codec.SampleRate, findRate)
	return h, err
}

// played is when a sample would be heard by somebody who plays packets as they come; false: it was in no packet.
func (h *heard) played(sample int) (time.Time, bool) {
	i, exact := slices.BinarySearchFunc(h.packets, sample, func(p placed, s int) int { return p.start - s })
	if !exact {
		i--
	}
	if i < 0 || sample >= h.packets[i].end {
		return time.Time{}, false
	}
	return h.packets[i].at.Add(time.Duration(sample-h.packets[i].start) * time.Second / findRate), true
}

// near is the sample that came at about a time.
func (h *heard) near(at time.Time) int {
	best := 0
	for _, p := range h.packets {
		if p.at.After(at) {
			break
		}
		best = p.start
	}
	return best
}

// match looks for what was said in what was heard.
type match struct {
	said  []int16 // one round of it, findRate
	sent  []time.Time
	heard heard
	from  time.Time
	to    time.Time

	delays           []time.Duration
	windows, missing int
	gaps, frames     int
}

// Windows of speech: long enough to be found for sure, short enough for a playout buffer to keep its pace within them.
const (
	window   = 20 // packets: 400 ms
	hop      = 10
	loudness = -38 // dBFS: what is quieter is a pause
	surely   = 0.7 // correlation
	early    = 40 * time.Millisecond
	longest  = 800 * time.Millisecond // delay that is looked for
)

// find fills in the results.
func (m *match) find() {
	round := len(m.said) / frame20
	for n := 0; n+window <= len(m.sent); n += hop {
		if m.sent[n].Before(m.from) || m.sent[n+window-1].After(m.to) || n%round+window > round {
			continue
		}
		piece := m.said[n%round*frame20:][:window*frame20]
		if level.RMS(piece) < loudness {
			continue
		}
		m.windows++
		start := max(0, m.heard.near(m.sent[n].Add(-early)))
		end := min(len(m.heard.pcm), start+len(piece)+int((early+longest).Seconds()*findRate))
		if end-start < len(piece) {
			m.missing++
			continue
		}
		offset, correlation := speech.Find(m.heard.pcm[start:end], piece, findRate)
		if correlation < surely {
			m.missing++
			continue
		}
		found := start + int(offset.Seconds()*findRate+0.5)
		for k := range window {
			if level.RMS(piece[k*frame20:][:frame20]) < loudness {
				continue
			}
			sample := found + k*frame20
			at, ok := m.heard.played(sample)
			if ok {
				m.delays = append(m.delays, at.Sub(m.sent[n+k]))
			}
			m.frames++
			if !ok || level.RMS(m.heard.pcm[sample:min(sample+frame20, len(m.heard.pcm))]) < loudness-30 {
				m.gaps++
			}
		}
	}
}

// lookahead is how much of the way from phone to room is the Opus encoder's and decoder's own: no gateway can do without.
func lookahead(clip []int16) (time.Duration, error) {
	narrow, err := resample.Convert(clip[:5*transcode.Rate], transcode.Rate, findRate)
	if err != nil {
		return 0, err
	}
	encoder, err := opus.NewEncoder(findRate, opus.ForVoices(findRate))
	if err != nil {
		return 0, err
	}
	decoder, err := opus.NewDecoder(transcode.Rate)
	if err != nil {
		return 0, err
	}
	var out []int16
	payload, pcm := make([]byte, 1500), make([]int16, transcode.FrameSamples*6)
	for i := 0; i+frame20 <= len(narrow); i += frame20 {
		n, err := encoder.Encode(payload, narrow[i:i+frame20])
		if err != nil {
			return 0, err
		}
		if n, err = decoder.Decode(pcm, payload[:n]); err != nil {
			return 0, err
		}
		out = append(out, pcm[:n]...)
	}
	if out, err = resample.Convert(out, transcode.Rate, findRate); err != nil {
		return 0, err
	}
	offset, _ := speech.Find(out, narrow[:len(narrow)-findRate/2], findRate)
	return offset, nil
}
