package media

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/srtp/v3"
)

// sdes makes keys out of two seeds; with the seeds swapped it is the far end's.
func sdes(profile string, local, remote byte) *SDES {
	return &SDES{
		Profile:   profile,
		LocalKey:  bytes.Repeat([]byte{local}, KeyLength(profile)),
		RemoteKey: bytes.Repeat([]byte{remote}, KeyLength(profile)),
	}
}

// pairUp connects two streams.
func pairUp(t testing.TB, change func(a, b *Stream, pa, pb *Params)) (a, b *Stream) {
	t.Helper()
	a, b = open(t), open(t)
	pa, pb := params(t, b.LocalAddr()), params(t, a.LocalAddr())
	change(a, b, &pa, &pb)
	set(t, a, pa)
	set(t, b, pb)
	return a, b
}

// protections are all the ways to connect two streams.
func protections() map[string]func(a, b *Stream, pa, pb *Params) {
	list := map[string]func(a, b *Stream, pa, pb *Params){
		"none": func(*Stream, *Stream, *Params, *Params) {},
		"DTLS": func(a, b *Stream, pa, pb *Params) {
			pa.Protection.DTLS = &DTLS{Client: true, Fingerprint: b.Fingerprint()}
			pb.Protection.DTLS = &DTLS{Fingerprint: a.Fingerprint()}
		},
	}
	for _, p := range Profiles() {
		list[p] = func(_, _ *Stream, pa, pb *Params) {
			pa.Protection.SDES, pb.Protection.SDES = sdes(p, 1, 2), sdes(p, 2, 1)
		}
	}
	return list
}

func TestTwoStreams(t *testing.T) {
	for name, protect := range protections() {
		for _, mux := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/mux=%v", name, mux), func(t *testing.T) {
				t.Parallel()
				a, b := pairUp(t, func(a, b *Stream, pa, pb *Params) {
					protect(a, b, pa, pb)
					pa.RTCPMux, pb.RTCPMux = mux, mux
				})
				ea, eb := listen(a), listen(b)
				if name == "DTLS" {
					until(t, "the handshake", func() bool { return a.Stats().Encryption != "none" && b.Stats().Encryption != "none" })
				}
				for i := range 20 {
					for _, s := range []*Stream{a, b} {
						if err := s.WriteFrame(bytes.Repeat([]byte{byte(i)}, 160), 160, i == 0); err != nil {
							t.Fatal(err)
						}
					}
				}
				until(t, "both hear all", func() bool { return len(ea.heard()) == 20 && len(eb.heard()) == 20 })
				for i, f := range eb.heard() {
					if !bytes.Equal(f.payload, bytes.Repeat([]byte{byte(i)}, 160)) || f.Marker != (i == 0) {
						t.Fatalf("frame %d is another", i)
					}
				}
				// Reports both ways: the first asks, the second answers with the round trip.
				for range 2 {
					last := b.LastReceived()
					a.report(time.Now(), false)
					until(t, "a's report", func() bool { return b.LastReceived() != last })
					last = a.LastReceived()
					b.report(time.Now(), false)
					until(t, "b's report", func() bool { return a.LastReceived() != last })
				}
				sa, sb := a.Stats(), b.Stats()
				if sa.RoundTrip <= 0 || sa.RoundTrip > 5*time.Second || sa.FarLost != 0 {
					t.Errorf("round trip %s, lost %d", sa.RoundTrip, sa.FarLost)
				}
				want := name
				if name == "DTLS" {
					want = "AEAD_AES_256_GCM"
				}
				if sa.Encryption != want || sb.Encryption != want {
					t.Errorf("encrypted by %s and %s", sa.Encryption, sb.Encryption)
				}
				// Foreign may be more than 0: another test may send to the port that it had a moment ago.
				if sa.Invalid+sb.Invalid+sa.Lost+sb.Lost != 0 {
					t.Errorf("a %+v, b %+v", sa, sb)
				}
			})
		}
	}
}

func TestReplayedAndForgedSRTP(t *testing.T) {
	for _, profile := range Profiles() {
		s := open(t)
		far := newPeer(t, s.LocalAddr())
		e := listen(s)
		p := params(t, far.addr())
		p.Protection.SDES = sdes(profile, 1, 2)
		set(t, s, p)
		k, err := newKeys(profile, p.Protection.SDES.RemoteKey, p.Protection.SDES.LocalKey, 0)
		if err != nil {
			t.Fatal(err)
		}
		encrypt := func(b []byte) []byte {
			b, err := k.encryptRTP(append(make([]byte, 0, maxPacket), b...))
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		good := encrypt(raw(8, false, 1, 0, 5, 1, 2, 3, 4))
		bent := encrypt(raw(8, false, 2, 160, 5, 1, 2, 3, 4))
		bent[13] ^= 1
		for _, b := range [][]byte{bent, good, good, good, raw(8, false, 3, 320, 5, 1, 2, 3, 4)} {
			far.send(b)
		}
		until(t, "all are judged", func() bool { return s.Stats().Invalid == 4 })
		if f := e.heard(); len(f) != 1 || !bytes.Equal(f[0].payload, []byte{1, 2, 3, 4}) {
			t.Errorf("%s: %d heard", profile, len(f))
		}
	}
}

// Only an authenticated packet moves where we send.
func TestForgedPacketDoesNotLatch(t *testing.T) {
	s := open(t)
	thief, real := newPeer(t, s.LocalAddr()), newPeer(t, s.LocalAddr())
	e := listen(s)
	p := params(t, netip.AddrPort{})
	p.Symmetric = true
	p.Protection.SDES = sdes("AES_CM_128_HMAC_SHA1_80", 1, 2)
	set(t, s, p)
	thief.send(append(raw(8, false, 1, 0, 5, 1, 2, 3, 4), make([]byte, 10)...))
	until(t, "the forged one is judged", func() bool { return s.Stats().Invalid == 1 })
	k, _ := newKeys("AES_CM_128_HMAC_SHA1_80", p.Protection.SDES.RemoteKey, p.Protection.SDES.LocalKey, 0)
	b, err := k.encryptRTP(append(make([]byte, 0, maxPacket), raw(8, false, 1, 0, 5, 1)...))
	if err != nil {
		t.Fatal(err)
	}
	real.send(b)
	until(t, "the real one is heard", func() bool { return len(e.heard()) == 1 })
	s.WriteFrame(make([]byte, 160), 160, true)
	if b := real.receive(); len(b) != headerSize+160+10 {
		t.Errorf("%d bytes", len(b))
	}
}

func TestReceivedMKI(t *testing.T) {
	for _, profile := range Profiles() {
		s := open(t)
		far := newPeer(t, s.LocalAddr())
		e := listen(s)
		p := params(t, far.addr())
		p.RTCPMux = true
		p.Protection.SDES = sdes(profile, 1, 2)
		p.Protection.SDES.RemoteMKI = 4
		set(t, s, p)
		k, _ := newKeys(profile, p.Protection.SDES.RemoteKey, p.Protection.SDES.LocalKey, 0)
		key, n := p.Protection.SDES.RemoteKey, len(p.Protection.SDES.RemoteKey)
		salt, _ := k.profile.id.SaltLen()
		with, err := srtp.CreateContext(key[:n-salt], key[n-salt:], k.profile.id, srtp.MasterKeyIndicator([]byte{0, 0, 0, 1}))
		if err != nil {
			t.Fatal(err)
		}
		b, err := with.EncryptRTP(nil, raw(8, false, 1, 0, 5, 9, 8, 7), nil)
		if err != nil {
			t.Fatal(err)
		}
		far.send(b)
		until(t, "it is heard", func() bool { return len(e.heard()) == 1 })
		last := s.LastReceived()
		b, err = with.EncryptRTCP(nil, []byte{0x80, 201, 0, 1, 0, 0, 0, 5}, nil)
		if err != nil {
			t.Fatal(err)
		}
		far.send(b)
		until(t, "the report is taken", func() bool { return s.LastReceived() != last })
	}
}

// The same keys in another Set go on: replay stays noticed. Other keys begin anew.
func TestRekeying(t *testing.T) {
	a, b := pairUp(t, protections()["AEAD_AES_128_GCM"])
	e := listen(b)
	frame := make([]byte, 160)
	write := func(want int) {
		t.Helper()
		a.WriteFrame(frame, 160, false)
		until(t, "it is heard", func() bool { return len(e.heard()) == want })
	}
	write(1)
	p := params(t, b.LocalAddr())
	p.Protection.SDES = sdes("AEAD_AES_128_GCM", 1, 2)
	before := a.terms.Load().keys()
	set(t, a, p)
	if a.terms.Load().keys() != before {
		t.Error("the same keys began anew")
	}
	write(2)
	p.Protection.SDES = sdes("AEAD_AES_256_GCM", 3, 4)
	set(t, a, p)
	q := params(t, a.LocalAddr())
	q.Protection.SDES = sdes("AEAD_AES_256_GCM", 4, 3)
	set(t, b, q)
	write(3)
	f := e.heard()
	if f[2].Sequence != f[0].Sequence+2 {
		t.Errorf("sequence %d after %d", f[2].Sequence, f[0].Sequence)
	}
}

// The far end changes its key, ours stays: what we send goes on, wraps included.
func TestRekeyingOneWay(t *testing.T) {
	const profile = "AES_CM_128_HMAC_SHA1_80"
	a, b := pairUp(t, protections()[profile])
	ea, eb := listen(a), listen(b)
	a.out.sequence = 65535
	write := func(s *Stream, e *ear, want int) {
		t.Helper()
		s.WriteFrame(make([]byte, 160), 160, false)
		until(t, "it is heard", func() bool { return len(e.heard()) == want })
	}
	write(a, eb, 1)
	write(a, eb, 2)
	write(b, ea, 1)
	p, q := params(t, b.LocalAddr()), params(t, a.LocalAddr())
	p.Protection.SDES, q.Protection.SDES = sdes(profile, 1, 3), sdes(profile, 3, 1)
	set(t, a, p)
	write(a, eb, 3) // b counts on
	set(t, b, q)
	write(a, eb, 4)
	write(b, ea, 2)
}

func TestSRTPOverTheSequenceWrap(t *testing.T) {
	a, b := pairUp(t, protections()["AES_CM_128_HMAC_SHA1_80"])
	e := listen(b)
	a.out.sequence = 65534
	for i := range 4 {
		a.WriteFrame(make([]byte, 160), 160, false)
		until(t, "it is heard", func() bool { return len(e.heard()) == i+1 })
	}
	if st := b.Stats(); st.Invalid != 0 || st.Lost != 0 {
		t.Errorf("%+v", st)
	}
}

func TestDTLSWrongFingerprintFailsClosed(t *testing.T) {
	for name, wrongAtServer := range map[string]bool{"client notices": false, "server notices": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other, err := newCertificate()
			if err != nil {
				t.Fatal(err)
			}
			a, b := pairUp(t, func(a, b *Stream, pa, pb *Params) {
				pa.Protection.DTLS = &DTLS{Client: true, Fingerprint: b.Fingerprint()}
				pb.Protection.DTLS = &DTLS{Fingerprint: a.Fingerprint()}
				if wrongAtServer {
					pb.Protection.DTLS.Fingerprint = other.fingerprint
				} else {
					pa.Protection.DTLS.Fingerprint = other.fingerprint
				}
			})
			e := listen(b)
			until(t, "the failure is known", func() bool { return a.Failure() != nil || b.Failure() != nil })
			a.WriteFrame(make([]byte, 160), 160, true)
			if st := a.Stats(); st.PacketsSent != 0 || st.Encryption != "none" {
				t.Errorf("a sent %d packets, encrypted by %s", st.PacketsSent, st.Encryption)
			}
			newPeer(t, b.LocalAddr()).send(raw(8, false, 1, 0, 5, 1))
			until(t, "a clear packet is dropped", func() bool { return b.Stats().Invalid+b.Stats().Foreign > 0 })
			if len(e.heard()) != 0 {
				t.Error("heard without keys")
			}
		})
	}
}

func TestDTLSGoesOnOverSetAndFollowsNAT(t *testing.T) {
	a, b := pairUp(t, func(a, b *Stream, pa, pb *Params) {
		pa.Protection.DTLS = &DTLS{Client: true, Fingerprint: b.Fingerprint()}
		pb.Protection.DTLS = &DTLS{Fingerprint: a.Fingerprint()}
		pb.Remote, pb.Symmetric = netip.AddrPort{}, true
	})
	e := listen(a)
	until(t, "the handshake", func() bool { return a.Stats().Encryption != "none" && b.Stats().Encryption != "none" })
	until(t, "b's packets arrive where a's handshake came from", func() bool {
		b.WriteFrame(make([]byte, 160), 160, false)
		return len(e.heard()) > 0
	})
	before := a.terms.Load().keys()
	p := a.terms.Load().Params
	p.PTime = 40 * time.Millisecond
	set(t, a, p)
	if a.terms.Load().keys() != before {
		t.Error("the association began anew")
	}
}

// Terms that are refused leave those before in force, their association too; other terms end it.
func TestRefusedSetKeepsDTLS(t *testing.T) {
	a, b := pairUp(t, protections()["DTLS"])
	e := listen(b)
	until(t, "the handshake", func() bool { return a.Stats().Encryption != "none" && b.Stats().Encryption != "none" })
	p := params(t, b.LocalAddr())
	p.Protection.SDES = &SDES{Profile: Profiles()[0]}
	if err := a.Set(p); err == nil {
		t.Fatal("an empty key was taken")
	}
	a.WriteFrame(make([]byte, 160), 160, true)
	until(t, "it is heard", func() bool { return len(e.heard()) == 1 })
	old := a.dtls
	p.Protection.SDES = sdes(Profiles()[0], 1, 2)
	set(t, a, p)
	<-old.ended
	p = params(t, a.LocalAddr())
	p.Protection.SDES = sdes(Profiles()[0], 2, 1)
	set(t, b, p)
	a.WriteFrame(make([]byte, 160), 160, true)
	until(t, "it is heard under the other key", func() bool { return len(e.heard()) == 2 })
}

func TestDTLSGarbage(t *testing.T) {
	s := open(t)
	far := newPeer(t, s.LocalAddr())
	p := params(t, far.addr())
	p.Protection.DTLS = &DTLS{Fingerprint: s.Fingerprint()}
	set(t, s, p)
	for i := range 200 {
		far.send(append([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, byte(i), 0, 40}, bytes.Repeat([]byte{byte(i)}, i%60)...))
	}
	until(t, "a packet behind the garbage is judged", func() bool {
		far.send(raw(8, false, 1, 0, 5, 1))
		return s.Stats().Invalid > 0
	})
}
