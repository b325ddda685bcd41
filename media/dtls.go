package media

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v4/packetio"

	"passerelle/internal/egress"
)

// How long a handshake is tried: one attempt, which repeats lost flights by itself, and all of them.
const (
	handshakeTry   = 10 * time.Second
	handshakeFor   = 30 * time.Second
	handshakeEvery = 250 * time.Millisecond // before a lost flight is repeated, doubling
	handshakeQueue = 16                     // datagrams; a flight has fewer
)

// errProfile says that DTLS agreed on no SRTP profile.
var errProfile = errors.New("media: DTLS agreed on no SRTP profile")

// association is one DTLS association on the RTP socket (RFC 5764). Its keys appear when the handshake is done, and stay.
type association struct {
	spec   DTLS
	stream *Stream
	want   fingerprint
	keys   atomic.Pointer[keys]

	mu   sync.Mutex
	peer netip.AddrPort   // where its datagrams go
	in   *packetio.Buffer // what the current attempt reads

	cancel context.CancelFunc
	ended  chan struct{}
}

// newAssociation checks what was agreed.
func newAssociation(s *Stream, spec DTLS) (*association, error) {
	want, err := parseFingerprint(spec.Fingerprint)
	if err != nil {
		return nil, err
	}
	return &association{spec: spec, stream: s, want: want, ended: make(chan struct{})}, nil
}

// start begins a handshake that goes on in the background until stop.
func (a *association) start() {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	go a.run(ctx)
}

// aim says where the far end is expected.
func (a *association) aim(remote netip.AddrPort) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if usable(remote) && (a.keys.Load() == nil || !a.peer.IsValid()) {
		a.peer = remote
	}
}

// stop ends the association and waits for it.
func (a *association) stop() {
	a.cancel()
	<-a.ended
}

// run tries until there are keys, then keeps the association alive: it answers repeated flights, and says goodbye at the end.
func (a *association) run(ctx context.Context) {
	defer close(a.ended)
	trying, cancel := context.WithTimeout(ctx, handshakeFor)
	defer cancel()
	for {
		conn, err := a.handshake(trying)
		if err == nil {
			<-ctx.Done()
			conn.Close()
			return
		}
		if ctx.Err() != nil {
			return
		}
		err = fmt.Errorf("media: DTLS: %w", err)
		a.stream.failure.Store(&err)
		select {
		case <-trying.Done():
			return
		case <-time.After(handshakeEvery):
		}
	}
}

// handshake is one attempt.
func (a *association) handshake(ctx context.Context) (*dtls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTry)
	defer cancel()
	conn, err := a.dial()
	if err != nil {
		return nil, err
	}
	if err = conn.HandshakeContext(ctx); err == nil {
		err = a.extract(conn)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// dial makes the DTLS connection over a fresh queue. Whoever the far end is, its certificate must have the agreed fingerprint.
func (a *association) dial() (*dtls.Conn, error) {
	in := packetio.NewBuffer()
	in.SetLimitCount(handshakeQueue)
	a.mu.Lock()
	a.in = in
	a.mu.Unlock()
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	options := []dtls.Option{
		dtls.WithCertificates(a.stream.ports.cert.tls),
		dtls.WithInsecureSkipVerify(true), // of the chain: the certificate is self-signed, and verified here
		dtls.WithVerifyPeerCertificate(a.want.verify),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithFlightInterval(handshakeEvery),
		dtls.WithLoggerFactory(quiet),
	}
	socket := &dtlsSocket{a, in}
	if a.spec.Client {
		var list []dtls.ClientOption
		for _, o := range options {
			list = append(list, o)
		}
		return dtls.ClientWithOptions(socket, socket.LocalAddr(), list...)
	}
	list := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
	for _, o := range options {
		list = append(list, o)
	}
	return dtls.ServerWithOptions(socket, socket.LocalAddr(), list...)
}

// extract makes SRTP keys out of the finished handshake (RFC 5764, section 4.2).
func (a *association) extract(conn *dtls.Conn) error {
	chosen, ok := conn.SelectedSRTPProtectionProfile()
	state, known := conn.ConnectionState()
	if !ok || !known {
		return errProfile
	}
	c := srtp.Config{Profile: srtp.ProtectionProfile(chosen)}
	if err := c.ExtractSessionKeysFromDTLS(&state, a.spec.Client); err != nil {
		return err
	}
	for _, p := range profiles() {
		if p.id == c.Profile {
			k, err := newKeys(p.name, append(c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt...), append(c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt...), 0)
			if err != nil {
				return err
			}
			a.stream.failure.Store(nil)
			a.keys.Store(k)
			a.found()
			return nil
		}
	}
	return errProfile
}

// found sends media to where the far end has proven to be, until its media comes from elsewhere.
func (a *association) found() {
	a.mu.Lock()
	peer := a.peer
	a.mu.Unlock()
	if t := a.stream.terms.Load(); t != nil && t.Symmetric {
		a.stream.learnt(t, peer)
	}
}

// receiveDTLS queues one datagram for the handshake. Its source is believed until the handshake is done, when Symmetric: behind a NAT nothing
// else tells where the far end is, and it has yet to prove itself.
func (s *Stream) receiveDTLS(t *terms, b []byte, from netip.AddrPort) {
	a := t.dtls
	a.mu.Lock()
	defer a.mu.Unlock()
	if from != a.peer {
		if !t.Symmetric || a.keys.Load() != nil || !t.Pass.Permits(from.Addr(), egress.RTP) {
			s.in.count(&s.in.stats.Foreign)
			return
		}
		a.peer = from
	}
	if a.in != nil {
		_, _ = a.in.Write(b) // a full queue: the far end repeats
	}
}

// dtlsSocket is the RTP socket as a DTLS connection sees it: one far end, and only DTLS.
type dtlsSocket struct {
	a  *association
	in *packetio.Buffer
}

func (d *dtlsSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := d.in.Read(b)
	return n, d.LocalAddr(), err
}

func (d *dtlsSocket) WriteTo(b []byte, _ net.Addr) (int, error) {
	d.a.mu.Lock()
	to := d.a.peer
	d.a.mu.Unlock()
	if !usable(to) {
		return len(b), nil
	}
	return len(b), d.a.stream.rtp.send(b, to)
}

func (d *dtlsSocket) Close() error                      { return d.in.Close() }
func (d *dtlsSocket) LocalAddr() net.Addr               { return net.UDPAddrFromAddrPort(d.a.stream.local) }
func (d *dtlsSocket) SetDeadline(t time.Time) error     { return d.in.SetReadDeadline(t) }
func (d *dtlsSocket) SetReadDeadline(t time.Time) error { return d.in.SetReadDeadline(t) }
func (d *dtlsSocket) SetWriteDeadline(time.Time) error  { return nil }
