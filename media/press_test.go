package media

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"
)

// digitPackets collects the packets of one telephone-event until its three ends.
func digitPackets(t *testing.T, far *peer, pt uint8) (list []packet) {
	t.Helper()
	for ends := 0; ends < digitEnds; {
		var p packet
		if !p.parse(copy(p.buf[:], far.receive())) {
			t.Fatal("not RTP")
		}
		p.payload = append([]byte(nil), p.payload...)
		if p.pt != pt {
			t.Fatalf("payload type %d while a key is pressed", p.pt)
		}
		if e, _ := parseEvent(p.payload); e.end {
			ends++
		}
		list = append(list, p)
	}
	return list
}

func TestSendDigit(t *testing.T) {
	for _, c := range []struct {
		codec      string
		rate       int
		eventRate  int
		want       uint16 // of the end's duration: 100 ms
		wantFirst  uint16 // of the first packet's: 20 ms
		eventTypes uint8
	}{
		{"PCMA", 8000, 8000, 800, 160, 101},
		{"opus", 48000, 48000, 4800, 960, 110},
		{"opus", 48000, 8000, 800, 160, 101},
		{"L16", 16000, 16000, 1600, 320, 102},
	} {
		s := open(t)
		far := newPeer(t, s.LocalAddr())
		p := params(t, far.addr())
		p.Codec, p.EventRate, p.EventPT = codec(t, c.codec, c.rate), c.eventRate, c.eventTypes
		set(t, s, p)
		frame := make([]byte, max(1, p.Codec.ClockRate/50*bytesPerUnit(p.Codec)))
		s.WriteFrame(frame, p.Codec.ClockRate/50, true)
		var audio packet
		audio.parse(copy(audio.buf[:], far.receive()))
		stop := make(chan struct{})
		talking := make(chan struct{})
		go func() { // somebody talks meanwhile
			defer close(talking)
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					s.WriteFrame(frame, p.Codec.ClockRate/50, false)
				}
			}
		}()
		done := make(chan error)
		go func() { done <- s.SendDigit(t.Context(), '#', 100*time.Millisecond) }()
		var list []packet
		for len(list) == 0 { // what was said before the key went down
			var p packet
			p.parse(copy(p.buf[:], far.receive()))
			if p.pt == c.eventTypes {
				list = append(list, p)
			} else {
				audio.sequence = p.sequence
			}
		}
		list = append(list, digitPackets(t, far, c.eventTypes)...)
		close(stop)
		<-talking
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(list) != 5+digitEnds-1 {
			t.Errorf("%s: %d packets, want 7", c.codec, len(list))
		}
		var last event
		for i, p := range list {
			e, ok := parseEvent(p.payload)
			if !ok || e.code != 11 || e.volume != digitVolume || e.duration < last.duration || last.end && e.duration != last.duration {
				t.Errorf("%s, packet %d: %+v after %+v", c.codec, i, e, last)
			}
			if p.marker != (i == 0) || p.timestamp != list[0].timestamp || p.sequence != audio.sequence+1+uint16(i) || p.ssrc != audio.ssrc {
				t.Errorf("%s, packet %d: marker %v, timestamp %d, sequence %d", c.codec, i, p.marker, p.timestamp, p.sequence)
			}
			if i == 0 && e.duration != c.wantFirst {
				t.Errorf("%s: begins with duration %d, want %d", c.codec, e.duration, c.wantFirst)
			}
			last = e
		}
		if last.duration != c.want {
			t.Errorf("%s: ends with duration %d, want %d", c.codec, last.duration, c.want)
		}
		s.WriteFrame(frame, p.Codec.ClockRate/50, false)
		var after packet
		after.parse(copy(after.buf[:], far.receive()))
		if int32(after.timestamp-list[0].timestamp) <= 0 {
			t.Errorf("%s: audio goes on at %d before the key's %d", c.codec, after.timestamp, list[0].timestamp)
		}
	}
}

func TestDigitsBetweenStreams(t *testing.T) {
	a, b := pairUp(t, protections()["AES_CM_128_HMAC_SHA1_80"])
	e := listen(b)
	for _, d := range []byte("55*D") {
		if err := a.SendDigit(t.Context(), d, 40*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all are heard", func() bool { return e.keys() == "55*D" })
}

func TestSendDigitRefuses(t *testing.T) {
	s := open(t)
	if err := s.SendDigit(t.Context(), '1', time.Second); !errors.Is(err, ErrNoEvents) {
		t.Errorf("before Set: %v", err)
	}
	p := params(t, netip.MustParseAddrPort("127.0.0.1:9"))
	p.EventRate = 0
	set(t, s, p)
	if err := s.SendDigit(t.Context(), '1', time.Second); !errors.Is(err, ErrNoEvents) {
		t.Errorf("a far end without events: %v", err)
	}
	if err := s.SendDigit(t.Context(), 'x', time.Second); err == nil {
		t.Error("x is a key")
	}
}

// A key that is let go early still gets its end.
func TestSendDigitCancelled(t *testing.T) {
	s := open(t)
	far := newPeer(t, s.LocalAddr())
	set(t, s, params(t, far.addr()))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.SendDigit(ctx, '1', time.Second) }()
	far.receive()
	cancel()
	list := digitPackets(t, far, 101)
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(list) > 10 {
		t.Errorf("%d packets more", len(list))
	}
}

func TestDigitStormOnAStream(t *testing.T) {
	s := open(t)
	far := newPeer(t, s.LocalAddr())
	e := listen(s)
	set(t, s, params(t, far.addr()))
	began := time.Now()
	for i := range 100 {
		far.send(raw(101, true, uint16(i), uint32(i*400), 5, byte(i%10), 0x8a, 0, 160))
	}
	until(t, "all are judged", func() bool { st := s.Stats(); return st.PacketsReceived == 100 })
	most := 21 + int(time.Since(began).Seconds()*digitRate)
	if n := len(e.keys()); n < 20 || n > most || s.Stats().Flooded != uint64(100-n) {
		t.Errorf("%d digits reported, %d refused", n, s.Stats().Flooded)
	}
}
