package media

import (
	"testing"
	"time"

	"passerelle/transcode"
)

// quiet takes frames and keeps nothing.
type quiet struct{ n int }

func (q *quiet) WriteFrame(*Frame) { q.n++ }

func allocCases(t testing.TB) map[string]func(*Params) {
	list := map[string]func(*Params){
		"clear PCMA": func(*Params) {},
		"clear opus": func(p *Params) {
			p.Codec = codec(t, "opus", 48000)
			p.SendPT, p.Receive = 111, map[uint8]transcode.Codec{111: p.Codec}
		},
	}
	for _, profile := range Profiles() {
		list[profile] = func(p *Params) { p.Protection.SDES = sdes(profile, 1, 1) }
	}
	return list
}

func TestSendingAllocatesNothing(t *testing.T) {
	for name, change := range allocCases(t) {
		s := open(t)
		p := params(t, newPeer(t, s.LocalAddr()).addr())
		change(&p)
		set(t, s, p)
		frame, samples := make([]byte, 160), p.Codec.ClockRate/50
		if n := testing.AllocsPerRun(500, func() {
			if err := s.WriteFrame(frame, samples, false); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a packet", name, n)
		}
	}
}

func TestReceivingAllocatesNothing(t *testing.T) {
	for name, change := range allocCases(t) {
		s := open(t)
		from := newPeer(t, s.LocalAddr()).addr()
		p := params(t, from)
		change(&p)
		set(t, s, p)
		q := new(quiet)
		s.SetSink(q)
		now := time.Now()
		sealed := make([][]byte, 2000)
		for i := range sealed {
			b := append(make([]byte, 0, maxPacket), raw(p.SendPT, false, uint16(65000+i), uint32(i*160), 5, make([]byte, 160)...)...)
			if k := s.terms.Load().keys(); k != nil {
				var err error
				if b, err = k.encryptRTP(b); err != nil {
					t.Fatal(err)
				}
			}
			sealed[i] = b
		}
		for i := 10; i+1 < len(sealed); i += 10 { // a reordered pair in ten
			sealed[i], sealed[i+1] = sealed[i+1], sealed[i]
		}
		pk, i := packets.Get().(*packet), 0
		if n := testing.AllocsPerRun(len(sealed)-1, func() {
			now = now.Add(20 * time.Millisecond)
			s.rtp.reading.Lock() // as its reader does
			pk = s.receive(pk, copy(pk.buf[:], sealed[i]), from, now)
			s.rtp.reading.Unlock()
			i++
		}); n != 0 {
			t.Errorf("%s: %v allocations a packet", name, n)
		}
		if q.n != len(sealed) {
			t.Errorf("%s: %d of %d heard", name, q.n, len(sealed))
		}
	}
}

// The socket's own read and write, and the reader, too.
func TestSocketsAllocateNothing(t *testing.T) {
	s := open(t)
	set(t, s, params(t, s.LocalAddr())) // it talks to itself
	heard := make(told, 1)
	s.SetSink(heard)
	frame := make([]byte, 160)
	if n := testing.AllocsPerRun(150, func() {
		if err := s.WriteFrame(frame, 160, false); err != nil {
			t.Fatal(err)
		}
		<-heard
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// told says that a frame came.
type told chan struct{}

func (c told) WriteFrame(*Frame) { c <- struct{}{} }

func BenchmarkReceive(b *testing.B) {
	for _, name := range []string{"clear PCMA", "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"} {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			p := params(b, s.LocalAddr())
			allocCases(b)[name](&p)
			set(b, s, p)
			s.SetSink(new(quiet))
			k := s.terms.Load().keys()
			from, now, pk := s.LocalAddr(), time.Now(), packets.Get().(*packet)
			buf := make([]byte, maxPacket)
			b.ReportAllocs()
			for i := range b.N {
				putHeader(buf, 8, false, uint16(i), uint32(i*160), 5)
				in := buf[:headerSize+160]
				if k != nil {
					b.StopTimer()
					in, _ = k.encryptRTP(in)
					b.StartTimer()
				}
				now = now.Add(20 * time.Millisecond)
				s.rtp.reading.Lock()
				pk = s.receive(pk, copy(pk.buf[:], in), from, now)
				s.rtp.reading.Unlock()
			}
		})
	}
}

func BenchmarkSend(b *testing.B) {
	for name, change := range allocCases(b) {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			p := params(b, newPeer(b, s.LocalAddr()).addr())
			change(&p)
			set(b, s, p)
			frame := make([]byte, 160)
			b.ReportAllocs()
			for range b.N {
				s.WriteFrame(frame, p.Codec.ClockRate/50, false)
			}
		})
	}
}
