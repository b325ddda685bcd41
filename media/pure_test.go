package media

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// t0 is a moment; tests count from it.
var t0 = time.Unix(1_700_000_000, 0)

func ms(n int) time.Time { return t0.Add(time.Duration(n) * time.Millisecond) }

// raw is an RTP packet.
func raw(pt uint8, marker bool, seq uint16, ts, ssrc uint32, payload ...byte) []byte {
	b := make([]byte, headerSize, headerSize+len(payload))
	putHeader(b, pt, marker, seq, ts, ssrc)
	return append(b, payload...)
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want class
	}{
		{"empty", nil, classOther},
		{"short", []byte{0x80, 0, 0, 1}, classOther},
		{"stun", append([]byte{0, 1}, make([]byte, 18)...), classOther},
		{"zrtp", append([]byte{16}, make([]byte, 20)...), classOther},
		{"turn channel", append([]byte{0x40}, make([]byte, 20)...), classOther},
		{"dtls", append([]byte{22, 0xfe, 0xff}, make([]byte, 10)...), classDTLS},
		{"rtp", raw(8, true, 1, 2, 3), classRTP},
		{"rtp cut", raw(8, true, 1, 2, 3)[:11], classOther},
		{"rtcp sr", []byte{0x80, 200, 0, 1, 0, 0, 0, 1}, classRTCP},
		{"rtcp xr", []byte{0x80, 207, 0, 1, 0, 0, 0, 1}, classRTCP},
		{"version 3", append([]byte{0xc0}, make([]byte, 20)...), classOther},
	} {
		if got := classify(c.b); got != c.want {
			t.Errorf("%s: class %d, want %d", c.name, got, c.want)
		}
	}
}

func TestParsePacket(t *testing.T) {
	extension := raw(8, false, 1, 2, 3, 0xbe, 0xde, 0, 1, 1, 2, 3, 4, 'x')
	extension[0] |= 0x10
	sources := raw(8, false, 1, 2, 3, 0, 0, 0, 9, 'x')
	sources[0] |= 1
	padded := raw(8, false, 1, 2, 3, 'x', 0, 0, 3)
	padded[0] |= 0x20
	overPadded := raw(8, false, 1, 2, 3, 'x', 200)
	overPadded[0] |= 0x20
	zeroPadded := raw(8, false, 1, 2, 3, 'x', 0)
	zeroPadded[0] |= 0x20
	longExtension := raw(8, false, 1, 2, 3, 0xbe, 0xde, 0xff, 0xff, 1)
	longExtension[0] |= 0x10
	cutExtension := raw(8, false, 1, 2, 3, 0xbe)
	cutExtension[0] |= 0x10
	for _, c := range []struct {
		name    string
		b       []byte
		ok      bool
		payload string
	}{
		{"plain", raw(8, true, 1, 2, 3, 'x'), true, "x"},
		{"empty payload", raw(8, true, 1, 2, 3), true, ""},
		{"extension", extension, true, "x"},
		{"contributing source", sources, true, "x"},
		{"padding", padded, true, "x"},
		{"padding longer than the packet", overPadded, false, ""},
		{"padding of 0", zeroPadded, false, ""},
		{"extension longer than the packet", longExtension, false, ""},
		{"extension cut", cutExtension, false, ""},
		{"short", []byte{0x80}, false, ""},
	} {
		p := new(packet)
		ok := p.parse(copy(p.buf[:], c.b))
		if ok != c.ok || ok && string(p.payload) != c.payload {
			t.Errorf("%s: %v %q, want %v %q", c.name, ok, p.payload, c.ok, c.payload)
		}
	}
}

// orderCase is a sequence of arrivals, 10 ms apart, and what is due after each.
func TestOrder(t *testing.T) {
	for _, c := range []struct {
		name             string
		arrive           []int // -1: only time passes
		want             []int
		late, duplicates int
	}{
		{"in order", []int{1, 2, 3}, []int{1, 2, 3}, 0, 0},
		{"swapped", []int{1, 3, 2, 4}, []int{1, 2, 3, 4}, 0, 0},
		{"two behind", []int{1, 3, 4, 2, 5}, []int{1, 2, 3, 4, 5}, 0, 0},
		{"one lost", []int{1, 3, 4, 5, 6, 7}, []int{1, 3, 4, 5, 6, 7}, 0, 0},
		{"one lost, then nothing", []int{1, 3, -1, -1, -1, -1, -1}, []int{1, 3}, 0, 0},
		{"waits", []int{1, 3, -1}, []int{1}, 0, 0},
		{"burst lost passes at once", []int{1, 4}, []int{1, 4}, 0, 0},
		{"second loss ends the wait", []int{1, 3, 5}, []int{1, 3, 5}, 0, 0},
		{"came after all, too late", []int{1, 4, 3, 5}, []int{1, 4, 5}, 1, 0},
		{"duplicates", []int{1, 1, 3, 3, 2, 2, 3}, []int{1, 2, 3}, 0, 4},
		{"wrap", []int{65534, 65535, 0, 1}, []int{65534, 65535, 0, 1}, 0, 0},
		{"swapped over the wrap", []int{65534, 0, 65535, 1}, []int{65534, 65535, 0, 1}, 0, 0},
		{"duplicate over the wrap", []int{65535, 0, 65535}, []int{65535, 0}, 0, 1},
		{"older than the first", []int{10, 9}, []int{10}, 1, 0},
	} {
		var o order
		var due []*packet
		var lates, duplicates int
		for i, seq := range c.arrive {
			now := ms(10 * i)
			due = o.expire(now, due)
			if seq < 0 {
				continue
			}
			var v verdict
			due, v = o.push(&packet{sequence: uint16(seq), arrival: now}, due)
			switch v {
			case late:
				lates++
			case duplicate:
				duplicates++
			}
		}
		var got []int
		for _, p := range due {
			got = append(got, int(p.sequence))
		}
		if !slices.Equal(got, c.want) || lates != c.late || duplicates != c.duplicates {
			t.Errorf("%s: %v, %d late, %d duplicate; want %v, %d, %d", c.name, got, lates, duplicates, c.want, c.late, c.duplicates)
		}
	}
}

func TestSource(t *testing.T) {
	type step struct {
		ms   int
		ssrc uint32
		seq  uint16
		want admission
	}
	for _, c := range []struct {
		name  string
		steps []step
		lost  uint64
	}{
		{"starts at once", []step{{0, 1, 7, restarted}, {20, 1, 8, accepted}}, 0},
		{"loss", []step{{0, 1, 7, restarted}, {20, 1, 10, accepted}}, 2},
		{"reordered is no loss", []step{{0, 1, 7, restarted}, {20, 1, 9, accepted}, {21, 1, 8, accepted}}, 0},
		{"wraps", []step{{0, 1, 65534, restarted}, {20, 1, 65535, accepted}, {40, 1, 1, accepted}}, 1},
		{"another source is no one", []step{{0, 1, 7, restarted}, {10, 2, 1, refused}, {11, 2, 2, refused}, {20, 1, 8, accepted}}, 0},
		{"another source takes over", []step{{0, 1, 7, restarted}, {60, 2, 1, refused}, {80, 2, 2, restarted}, {100, 2, 3, accepted}}, 0},
		{"another source with gaps does not", []step{{0, 1, 7, restarted}, {60, 2, 1, refused}, {80, 2, 3, refused}}, 0},
		{"two others do not help each other", []step{{0, 1, 7, restarted}, {60, 2, 1, refused}, {80, 3, 2, refused}}, 0},
		{"another source over the wrap", []step{{0, 1, 7, restarted}, {60, 2, 65535, refused}, {80, 2, 0, restarted}}, 0},
		{"after silence at once", []step{{0, 1, 7, restarted}, {3000, 2, 1, restarted}}, 0},
		{"jump", []step{{0, 1, 7, restarted}, {20, 1, 5000, refused}, {40, 1, 5001, restarted}}, 0},
		{"jump back", []step{{0, 1, 7000, restarted}, {20, 1, 5000, refused}, {40, 1, 5001, restarted}}, 0},
		{"one stray packet", []step{{0, 1, 7, restarted}, {20, 1, 5000, refused}, {40, 1, 8, accepted}, {60, 1, 9, accepted}}, 0},
		{"pause without loss", []step{{0, 1, 7, restarted}, {9000, 1, 8, accepted}}, 0},
	} {
		var s source
		for i, st := range c.steps {
			got := s.admit(st.ssrc, st.seq, ms(st.ms))
			if got != st.want {
				t.Errorf("%s, step %d: %d, want %d", c.name, i, got, st.want)
			}
			if got != refused {
				s.received++
			}
		}
		if got := s.totalLost(); got != c.lost {
			t.Errorf("%s: lost %d, want %d", c.name, got, c.lost)
		}
	}
}

func TestSourceCountsOverManyWraps(t *testing.T) {
	var s source
	for i := range 200_000 {
		if s.admit(1, uint16(i), ms(i)); i%10 != 0 {
			s.received++
		}
	}
	if got := s.totalLost(); got != 20_000 {
		t.Errorf("lost %d, want 20000", got)
	}
	if s.highest>>16 != 200_000>>16 {
		t.Errorf("%d wraps counted, want %d", s.highest>>16, 200_000>>16)
	}
}

func TestJitter(t *testing.T) {
	measure := func(start uint32, shift func(i int) int) time.Duration {
		var s source
		for i := range 500 {
			s.measure(start+uint32(160*i), 8000, ms(20*i+shift(i)), t0)
		}
		return s.jitter
	}
	if got := measure(0xffffff00, func(int) int { return 0 }); got != 0 {
		t.Errorf("steady over the timestamp's wrap: %s, want 0", got)
	}
	if got := measure(0, func(i int) int { return i % 2 * 10 }); got < 9*time.Millisecond || got > 10*time.Millisecond {
		t.Errorf("10 ms back and forth: %s", got)
	}
}

func TestLossReport(t *testing.T) {
	var s source
	for _, seq := range []uint16{0, 1, 2, 4} {
		s.admit(1, seq, t0)
		s.received++
	}
	if f, total := s.lossSince(); f != 256/5 || total != 1 {
		t.Errorf("fraction %d/256 and %d, want %d and 1", f, total, 256/5)
	}
	if f, total := s.lossSince(); f != 0 || total != 1 {
		t.Errorf("afterwards: fraction %d/256 and %d, want 0 and 1", f, total)
	}
}

func TestBucket(t *testing.T) {
	var b bucket
	passed := 0
	for i := range 1000 { // a thousand in one second
		if b.take(ms(i), 20, 20) {
			passed++
		}
	}
	if passed < 38 || passed > 41 {
		t.Errorf("%d of 1000 a second passed a limit of 20 with a burst of 20", passed)
	}
}

// press is one packet of a telephone-event.
type eventAt struct {
	ms       int
	ts       uint32
	code     uint8
	duration uint16
	end      bool
}

func TestDigits(t *testing.T) {
	five := func(ts uint32, at int, drop ...int) (list []eventAt) {
		for i := range 8 {
			if !slices.Contains(drop, i) {
				list = append(list, eventAt{at + 20*i, ts, 5, uint16(160 * min(i+1, 6)), i >= 5})
			}
		}
		return list
	}
	cases := []struct {
		name   string
		events []eventAt
		want   string
	}{
		{"whole", five(1000, 0), "5"},
		{"start lost", five(1000, 0, 0, 1, 2), "5"},
		{"end lost", five(1000, 0, 5, 6, 7), "5"},
		{"only the end", five(1000, 0, 0, 1, 2, 3, 4), "5"},
		{"only one end packet", five(1000, 0, 0, 1, 2, 3, 4, 5, 6), "5"},
		{"pressed twice", append(five(1000, 0), five(3000, 250)...), "55"},
		{"pressed twice, first end lost", append(five(1000, 0, 5, 6, 7), five(3000, 250)...), "55"},
		{"timestamp wraps", append(five(0xffffff00, 0), five(0x00000700, 250)...), "55"},
		{"late packet of the press before", append(append(five(1000, 0), eventAt{200, 3000, 6, 160, false}), eventAt{205, 1000, 5, 960, true}), "56"},
		{"all keys", []eventAt{{0, 1, 0, 1, true}, {100, 900, 9, 1, true}, {200, 1800, 10, 1, true}, {300, 2700, 11, 1, true}, {400, 3600, 12, 1, true}, {500, 4500, 15, 1, true}}, "09*#AD"},
		{"flash and tones are no keys", []eventAt{{0, 1, 16, 1, true}, {100, 900, 36, 1, true}, {200, 1800, 255, 1, true}}, ""},
		{"long press in segments", []eventAt{{0, 1000, 7, 160, false}, {8180, 1000, 7, 0xffff, false}, {8200, 1000 + 0xffff, 7, 160, false}, {8400, 1000 + 0xffff, 7, 1000, true}}, "7"},
		{"same key again after a long press", []eventAt{{0, 1000, 7, 160, false}, {8180, 1000, 7, 0xffff, true}, {8200, 1000 + 0xffff, 7, 160, false}}, "77"},
		{"sender starts anew", append(five(900000, 0), five(1000, 900)...), "55"},
	}
	for _, c := range cases {
		var d digits
		var got []byte
		for _, e := range c.events {
			if digit, ok, _ := d.press(event{code: e.code, end: e.end, duration: e.duration}, 1, e.ts, ms(e.ms)); ok {
				got = append(got, digit)
			}
		}
		if string(got) != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Whatever subset of a press's packets comes, in whatever order: one digit, or none where nothing came.
func TestDigitOnceWhateverIsLost(t *testing.T) {
	for mask := range 1 << 8 {
		for _, backwards := range []bool{false, true} {
			var d digits
			reports := 0
			for i := range 8 {
				j := i
				if backwards {
					j = 7 - i
				}
				if mask&(1<<j) == 0 {
					continue
				}
				if _, ok, _ := d.press(event{code: 1, end: j >= 5, duration: uint16(160 * min(j+1, 6))}, 1, 77, ms(20*i)); ok {
					reports++
				}
			}
			if want := min(mask, 1); reports != want {
				t.Fatalf("packets %08b, backwards %v: reported %d times", mask, backwards, reports)
			}
		}
	}
}

// Another source's timestamps say nothing about the first one's.
func TestDigitOfAnotherSource(t *testing.T) {
	var d digits
	presses := ""
	for i, p := range []struct{ ssrc, ts uint32 }{{1, 9000}, {2, 9000}, {2, 9000}, {3, 100}, {1, 9000}} {
		if digit, ok, _ := d.press(event{code: uint8(i), end: true}, p.ssrc, p.ts, ms(10*i)); ok {
			presses += string(digit)
		}
	}
	if presses != "0134" {
		t.Errorf("%q", presses)
	}
}

func TestLatch(t *testing.T) {
	agreed, one, two := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"), netip.MustParseAddrPort("127.0.0.1:3")
	var l latch
	for i, step := range []struct {
		ms   int
		from netip.AddrPort
		want bool // heard
	}{
		{0, one, true},
		{20, two, false},
		{40, one, true},
		{1900, two, false},
		{2039, two, false},
		{2040, two, true},
		{2060, one, false},
		{2080, agreed, true},
		{2100, two, false},
		{2120, agreed, true},
	} {
		got := l.admits(step.from, agreed, ms(step.ms))
		if got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
		if got {
			l.learn(step.from, ms(step.ms))
		}
	}
}

func TestDigitStorm(t *testing.T) {
	var d digits
	reported, flooded := 0, 0
	for i := range 2000 { // one new press a millisecond
		_, ok, f := d.press(event{code: uint8(i % 10), end: true}, 1, uint32(i*10), ms(i))
		if ok {
			reported++
		}
		if f {
			flooded++
		}
	}
	if reported > 61 || reported < 55 || reported+flooded != 2000 {
		t.Errorf("%d reported and %d refused of 2000 in 2 s", reported, flooded)
	}
}

func TestEventRoundTrip(t *testing.T) {
	want := event{code: 11, end: true, volume: 10, duration: 0xabcd}
	var b [4]byte
	want.put(b[:])
	if got, ok := parseEvent(b[:]); !ok || got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, ok := parseEvent(b[:3]); ok {
		t.Error("3 bytes were taken")
	}
}

func TestCutMKI(t *testing.T) {
	for _, c := range []struct {
		in       string
		mki, tag int
		want     string
	}{
		{"payloadMKITAG", 3, 3, "payloadTAG"},
		{"payloadTAGMKI", 3, 0, "payloadTAG"},
		{"payloadTAG", 0, 3, "payloadTAG"},
		{"xy", 3, 3, "xy"},
	} {
		if got := cutMKI([]byte(c.in), c.mki, c.tag); string(got) != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func TestFingerprint(t *testing.T) {
	cert, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	der := cert.tls.Certificate[0]
	for _, hash := range []string{"sha-1", "SHA-256", "sha-384", "sha-512"} {
		f := fingerprint{hash: string(bytes.ToLower([]byte(hash)))}
		f, err := parseFingerprint(hash + " " + colons(f.digest(der)))
		if err != nil {
			t.Errorf("%s: %v", hash, err)
			continue
		}
		if err := f.verify([][]byte{der}, nil); err != nil {
			t.Errorf("%s: %v", hash, err)
		}
		if err := f.verify([][]byte{append([]byte{0}, der...)}, nil); err == nil {
			t.Errorf("%s: another certificate passed", hash)
		}
	}
	for _, bad := range []string{"", "sha-256", "sha-256 AA", "md5 00112233445566778899AABBCCDDEEFF", "sha-1 zz", fmt.Sprintf("sha-256 %s:00", colons(make([]byte, 32)))} {
		if _, err := parseFingerprint(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if err := (fingerprint{hash: "sha-256"}).verify(nil, nil); err == nil {
		t.Error("no certificate passed")
	}
}

func FuzzPacket(f *testing.F) {
	f.Add(raw(8, true, 1, 2, 3, 'x'))
	b := raw(101, true, 1, 2, 3, 0xbe, 0xde, 0, 1, 1, 2, 3, 4, 'x', 1)
	b[0] |= 0x31
	f.Add(b)
	f.Add([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := new(packet)
		n := copy(p.buf[:], b)
		c := classify(p.buf[:n])
		ok := p.parse(n)
		if c == classRTP && p.buf[0]>>6 != 2 {
			t.Error("RTP of another version")
		}
		if ok && len(p.payload)+headerSize > n {
			t.Errorf("payload of %d in a packet of %d", len(p.payload), n)
		}
	})
}

func FuzzEvent(f *testing.F) {
	f.Add([]byte{5, 0x8a, 0, 160, 0, 0, 0, 1, 5, 0x0a, 0, 160, 0, 0, 3, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var d digits
		reported := 0
		for now := t0; len(b) >= 8; b, now = b[8:], now.Add(time.Millisecond) {
			e, ok := parseEvent(b)
			if !ok {
				t.Fatal("4 bytes are an event")
			}
			digit, ok, _ := d.press(e, uint32(e.volume&1), binary.BigEndian.Uint32(b[4:]), now)
			if ok && bytes.IndexByte([]byte(digitKeys), digit) < 0 {
				t.Errorf("%q is no key", digit)
			}
			if ok {
				reported++
			}
			if limit := 21 + int(now.Sub(t0).Seconds()*digitRate); reported > limit {
				t.Errorf("%d digits in %s", reported, now.Sub(t0))
			}
		}
	})
}
