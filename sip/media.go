package sip

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"passerelle/bridge"
	"passerelle/internal/egress"
	"passerelle/media"
	"passerelle/sip/sdp"
	"passerelle/transcode"
)

// session is the sound of one leg: its ports and what was agreed for them. It belongs to the leg's goroutine.
type session struct {
	stream    *media.Stream
	abilities sdp.Abilities
	state     *sdp.State // after the last round; nil: before the first
	offered   *sdp.State // our offer that waits for its answer
	agreed    sdp.Agreed
	pass      *egress.Pass // where it may go
}

// openSession binds ports and says what we can do.
func (s *Server) openSession(ctx context.Context, p path, pass *egress.Pass, list []transcode.Codec, enc sdp.Encryption) (*session, error) {
	bind, err := s.mediaAddress(p)
	if err != nil {
		return nil, err
	}
	stream, err := s.ports.Open(ctx, bind)
	if err != nil {
		return nil, err
	}
	advertise := bind
	if s.media.Advertise != "" {
		if advertise, err = netip.ParseAddr(s.media.Advertise); err != nil {
			_ = stream.Close()
			return nil, err
		}
	}
	var random [40]byte
	_, _ = rand.Read(random[:])
	return &session{
		stream: stream,
		abilities: sdp.Abilities{
			Codecs: list, Encryption: enc, Suites: sdp.Suites(), KeySeed: random[8:], Fingerprint: stream.Fingerprint(),
			Address: advertise, Port: stream.LocalAddr().Port(), RTCPMux: true,
			SessionID: binary.BigEndian.Uint64(random[:8]) >> 2,
		},
		pass: pass,
	}, nil
}

// mediaAddress is the address to bind RTP to: the configured one, or that through which the signalling came.
func (s *Server) mediaAddress(p path) (netip.Addr, error) {
	if s.media.Address != "" {
		return netip.ParseAddr(s.media.Address)
	}
	return s.localFor(p)
}

// answer takes an offer of the far end and returns our answer. After an error everything is as it was.
func (m *session) answer(offer []byte) ([]byte, error) {
	body, agreed, state, err := sdp.Answer(offer, m.abilities, m.state)
	if err != nil {
		return nil, err
	}
	if err := m.set(agreed); err != nil {
		return nil, err
	}
	m.state, m.agreed = &state, agreed
	return body, nil
}

// offer makes an offer of ours; accept takes its answer, or withdraw forgets it.
func (m *session) offer() []byte {
	body, state := sdp.Offer(m.abilities, m.state)
	m.offered = &state
	return body
}

func (m *session) withdraw() { m.offered = nil }

func (m *session) accept(answer []byte) error {
	if m.offered == nil {
		return errors.New("an answer without an offer")
	}
	agreed, state, err := sdp.Accept(*m.offered, answer, m.abilities)
	m.offered = nil
	if err != nil {
		return err
	}
	if err := m.set(agreed); err != nil {
		return err
	}
	m.state, m.agreed = &state, agreed
	return nil
}

// set hands what was agreed to the stream.
func (m *session) set(g sdp.Agreed) error {
	p := media.Params{
		Codec: g.Codec, SendPT: g.Codec.PayloadType, PTime: time.Duration(g.PTime) * time.Millisecond,
		Receive: map[uint8]transcode.Codec{}, EventReceive: map[uint8]int{},
		EventPT: g.SendEvents.PayloadType, EventRate: g.SendEvents.ClockRate,
		Remote: g.Remote, RemoteRTCP: g.RemoteRTCP, RTCPMux: g.RTCPMux, Symmetric: true, Pass: m.pass,
		SendEnabled: g.TheyHear, ReceiveEnabled: g.WeHear,
	}
	for _, c := range g.Receive {
		p.Receive[c.PayloadType] = c
	}
	for _, e := range g.ReceiveEvents {
		p.EventReceive[e.PayloadType] = e.ClockRate
	}
	if s := g.Protection.SDES; s != nil {
		p.Protection.SDES = &media.SDES{Profile: string(s.Suite), LocalKey: s.Local, RemoteKey: s.Remote, RemoteMKI: len(s.MKI)}
	}
	if d := g.Protection.DTLS; d != nil {
		p.Protection.DTLS = &media.DTLS{Client: d.Active, Fingerprint: d.Hash + " " + colons(d.Fingerprint)}
	}
	return m.stream.Set(p)
}

// colons writes a fingerprint as SDP does (RFC 8122, section 5).
func colons(b []byte) string {
	pairs := make([]string, len(b))
	for i := range b {
		pairs[i] = strings.ToUpper(hex.EncodeToString(b[i : i+1]))
	}
	return strings.Join(pairs, ":")
}

// mediaReason is the reason to tell where an offer or answer cannot be used.
func mediaReason(err error) error {
	for class, reason := range map[error]error{
		sdp.ErrMalformed: bridge.ErrSignalling, egress.ErrDenied: bridge.ErrForbidden, media.ErrNoPorts: bridge.ErrBusy, media.ErrParams: bridge.ErrNoCodec,
	} {
		if errors.Is(err, class) {
			return fmt.Errorf("%w: %w", reason, err)
		}
	}
	return err
}
