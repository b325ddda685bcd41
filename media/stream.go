package media

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"passerelle/internal/egress"
	"passerelle/transcode"
)

// Stream is one leg's sound: a pair of sockets, and what was agreed for them. All its methods may be called from any goroutine; Close not
// from a sink or a digit's callback.
type Stream struct {
	ports     *Ports
	reader    *reader
	rtp, rtcp *socket
	local     netip.AddrPort
	opened    time.Time

	terms    atomic.Pointer[terms]
	sink     atomic.Pointer[Sink]
	onDigit  atomic.Pointer[func(byte)]
	received atomic.Int64 // time of the last valid packet, in nanoseconds after opened; 0: none

	in      receiver
	out     sender
	reports reports

	setting sync.Mutex // one Set at a time, and Close
	closed  bool
	dtls    *association
	failure atomic.Pointer[error]

	done chan struct{}
}

// newStream starts reading. It takes the sockets, and closes them if it cannot.
func newStream(ports *Ports, r *reader, rtp, rtcp *net.UDPConn) (_ *Stream, err error) {
	var seed [24]byte
	rand.Read(seed[:]) // never fails
	s := &Stream{ports: ports, reader: r, opened: time.Now(), done: make(chan struct{})}
	s.local = unmap(rtp.LocalAddr().(*net.UDPAddr).AddrPort())
	s.out.ssrc = binary.BigEndian.Uint32(seed[:])
	s.out.timestamp = binary.BigEndian.Uint32(seed[4:])
	s.out.sequence = binary.BigEndian.Uint16(seed[8:]) >> 1 // in the lower half, so that both ends count SRTP's wraps alike from the start
	s.out.typing = make(chan struct{}, 1)
	s.reports.cname = base64.RawStdEncoding.EncodeToString(seed[12:]) // RFC 7022, section 4.2: 96 random bits, nothing about the host
	s.reports.random = mrand.Float64
	s.in.waking = time.AfterFunc(time.Hour, s.expire)
	if s.rtp, err = newSocket(rtp, s.receive); err != nil {
		rtcp.Close()
		return nil, err
	}
	if s.rtcp, err = newSocket(rtcp, s.receiveReport); err != nil {
		s.rtp.close()
		return nil, err
	}
	if err = r.add(s.rtp, s.rtcp); err != nil {
		return nil, err
	}
	s.reports.mu.Lock()
	defer s.reports.mu.Unlock()
	s.reports.due = time.AfterFunc(s.interval()/2, s.reportAgain)
	return s, nil
}

// LocalAddr is the RTP socket's address. RTCP is on the next port.
func (s *Stream) LocalAddr() netip.AddrPort { return s.local }

// Fingerprint is the value of a=fingerprint: "sha-256 4A:AD:…".
func (s *Stream) Fingerprint() string { return s.ports.Fingerprint() }

// Codec is what is sent.
func (s *Stream) Codec() transcode.Codec {
	if t := s.terms.Load(); t != nil {
		return t.Codec
	}
	return transcode.Codec{}
}

// SendsEvents tells whether telephone-events were agreed for what the far end sends.
func (s *Stream) SendsEvents() bool {
	t := s.terms.Load()
	return t != nil && len(t.EventReceive) > 0
}

// SetSink says where received audio goes; nil: nowhere. The sink before may still get the packet that is on its way.
func (s *Stream) SetSink(sink Sink) {
	if sink == nil {
		s.sink.Store(nil)
		return
	}
	s.sink.Store(&sink)
}

// OnDigit says who is told of the far end's telephone-events: 0-9 * # A-D, once for each press, at its beginning. f must not block.
func (s *Stream) OnDigit(f func(digit byte)) {
	if f == nil {
		s.onDigit.Store(nil)
		return
	}
	s.onDigit.Store(&f)
}

// LastReceived is when the last valid packet came, RTP or RTCP; zero: none yet.
func (s *Stream) LastReceived() time.Time {
	if at := s.received.Load(); at != 0 {
		return s.opened.Add(time.Duration(at))
	}
	return time.Time{}
}

// heard notes a valid packet.
func (s *Stream) heard(now time.Time) { s.received.Store(int64(max(now.Sub(s.opened), 1))) }

// Failure says why the last DTLS handshake came to nothing; nil: none failed. It is tried again for half a minute. Without keys nothing is
// sent, and what comes is dropped.
func (s *Stream) Failure() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// Set starts the stream, or goes on with it under other terms: another address, codec, key, hold. SSRC, sequence numbers and timestamps go on.
// SRTP goes on where the keys are the same, a DTLS association where role and fingerprint are. The error wraps ErrParams, or says why a
// destination is refused; the terms before stay in force then.
func (s *Stream) Set(p Params) error {
	t, err := newTerms(p)
	if err != nil {
		return err
	}
	if t.Pass == nil {
		t.Pass = s.ports.guard.Pass("")
	}
	for _, a := range []netip.AddrPort{t.Remote, t.RemoteRTCP} {
		if usable(a) {
			if err = t.Pass.Check(a.Addr(), egress.RTP); err != nil {
				return fmt.Errorf("media to %s: %w", a, err)
			}
		}
	}
	s.setting.Lock()
	defer s.setting.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	old := s.terms.Load()
	if err = s.protect(t, old); err != nil {
		return err
	}
	s.terms.Store(t)
	s.redirect(t, old)
	s.shake(t)
	return nil
}

// protect gives the terms their keys, those of the old terms where nothing about them changed.
func (s *Stream) protect(t, old *terms) error {
	t.keys = func() *keys { return nil }
	switch p := t.Protection; {
	case p.SDES != nil && old != nil && p.SDES.equal(old.Protection.SDES):
		t.keys = old.keys
	case p.SDES != nil:
		k, err := newKeys(p.SDES.Profile, p.SDES.LocalKey, p.SDES.RemoteKey, p.SDES.RemoteMKI)
		if err != nil {
			return err
		}
		if old != nil && old.Protection.SDES != nil {
			k.inherit(old.keys(), old.Protection.SDES, p.SDES)
		}
		t.keys = func() *keys { return k }
	case p.DTLS != nil && s.dtls != nil && s.dtls.spec == *p.DTLS:
		t.keys, t.dtls = s.dtls.keys.Load, s.dtls
	case p.DTLS != nil:
		a, err := newAssociation(s, *p.DTLS)
		if err != nil {
			return err
		}
		t.keys, t.dtls = a.keys.Load, a
	}
	return nil
}

// shake begins the handshake of a new association, and ends the one before.
func (s *Stream) shake(t *terms) {
	if t.dtls != nil {
		t.dtls.aim(t.Remote)
	}
	if s.dtls == t.dtls {
		return
	}
	if s.dtls != nil {
		s.dtls.stop()
	}
	s.failure.Store(nil)
	if s.dtls = t.dtls; s.dtls != nil {
		s.dtls.start()
	}
}

// equal tells whether two have the same keys.
func (k *SDES) equal(o *SDES) bool {
	return o != nil && k.Profile == o.Profile && string(k.LocalKey) == string(o.LocalKey) && string(k.RemoteKey) == string(o.RemoteKey) &&
		k.RemoteMKI == o.RemoteMKI
}

// redirect sends to where the terms say, unless the far end named no other address than before and was learnt to be elsewhere.
func (s *Stream) redirect(t, old *terms) {
	moved := old == nil || old.Remote != t.Remote || old.RemoteRTCP != t.RemoteRTCP || old.Symmetric != t.Symmetric ||
		old.RTCPMux != t.RTCPMux
	if moved {
		s.in.mu.Lock()
		s.in.latch = latch{}
		s.in.source.forget()
		s.in.mu.Unlock()
	}
	s.out.mu.Lock()
	if moved {
		s.out.to = t.Remote
	}
	s.out.filled = 0
	s.out.pause = true
	s.out.mu.Unlock()
	s.reports.mu.Lock()
	if moved {
		s.reports.to = t.RemoteRTCP
		if t.RTCPMux {
			s.reports.to = t.Remote
		}
	}
	s.reports.mu.Unlock()
}

// Stats is the quality so far.
func (s *Stream) Stats() Stats {
	s.in.mu.Lock()
	st := s.in.stats
	st.Lost, st.Jitter = s.in.source.totalLost(), s.in.source.jitter
	s.in.mu.Unlock()
	s.out.mu.Lock()
	st.PacketsSent, st.BytesSent, st.Remote = s.out.packets, s.out.bytes, s.out.to
	s.out.mu.Unlock()
	s.reports.mu.Lock()
	st.FarLost, st.FarJitter, st.RoundTrip = s.reports.farLost, s.reports.farJitter, s.reports.roundTrip
	s.reports.mu.Unlock()
	st.Encryption = "none"
	if t := s.terms.Load(); t != nil {
		if k := t.keys(); k != nil {
			st.Encryption = k.profile.name
		}
	}
	return st
}

// Close says goodbye by RTCP, waits for the stream's goroutines and gives the ports back. Later calls do nothing.
func (s *Stream) Close() error {
	s.setting.Lock()
	defer s.setting.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	close(s.done)
	s.report(time.Now(), true)
	if s.dtls != nil {
		s.dtls.stop()
	}
	s.in.waking.Stop()
	s.reports.stop()
	s.reader.remove(s.rtp, s.rtcp)
	s.ports.closed(int(s.local.Port()))
	return nil
}
