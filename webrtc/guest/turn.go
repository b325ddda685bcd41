package guest

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pion/turn/v5"
	"golang.org/x/net/netutil"

	"passerelle/internal/egress"
	"passerelle/webrtc"
)

// relay is our own TURN server (RFC 8656), for guests whose network lets nothing through but TLS. It relays to our own media port and nowhere else: who has
// its credentials reaches nothing that they would not reach without it.
type relay struct {
	url    string
	secret []byte // of this process: credentials do not outlive it
	server *turn.Server
	now    func() time.Time
}

const (
	turnRealm   = "passerelle"
	turnLife    = 24 * time.Hour  // of credentials, where the link lives longer
	turnIdle    = time.Minute     // of a connection: ICE checks come every few seconds
	turnEach    = 4               // connections of one address for each guest that it may have
	allocations = 5 * time.Minute // lifetime, unless refreshed
	turnMTU     = 1600
)

var errRelay = errors.New("the relay leads to our own media port only")

// openRelay listens for TURN over TCP, or over TLS where the server has a certificate.
func (s *Server) openRelay(ctx context.Context) error {
	l, err := s.guard.ListenTCP(ctx, s.cfg.TURNListen)
	if err != nil {
		return fmt.Errorf("guests.turn_listen: %w", err)
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	each := max(turnEach*s.cfg.MaxPerAddress, turnEach)
	if s.cfg.MaxPerAddress == 0 {
		each = maxConnections
	}
	var in net.Listener = &patientDoor{&door{Listener: netutil.LimitListener(l, 4*s.cfg.Max), server: s, most: each, open: map[netip.Addr]int{}}}
	scheme := "turn"
	if s.tls != nil {
		in, scheme = tls.NewListener(in, &tls.Config{Certificates: s.tls.Certificates, MinVersion: tls.VersionTLS12}), "turns"
	}
	r := &relay{url: s.cfg.TURNURL, secret: make([]byte, 32), now: now}
	_, _ = rand.Read(r.secret) // never fails
	if r.url == "" {
		r.url = fmt.Sprintf("%s:%s?transport=tcp", scheme, at)
	}
	told := s.advertised
	if len(told) == 0 {
		told = []netip.Addr{s.port.Addr().Addr()}
	}
	r.server, err = turn.NewServer(turn.ServerConfig{
		Realm: turnRealm, AuthHandler: r.auth, LoggerFactory: webrtc.Logger(s.log), AllocationLifetime: allocations, InboundMTU: turnMTU,
		ListenerConfigs: []turn.ListenerConfig{{
			Listener: in, RelayAddressGenerator: &relays{s.guard, s.port.Addr(), told},
			PermissionHandler: func(_ net.Addr, ip net.IP) bool {
				a, ok := netip.AddrFromSlice(ip)
				return ok && slices.Contains(told, a.Unmap())
			},
		}},
	})
	if err != nil {
		return errors.Join(fmt.Errorf("guests.turn_listen: %w", err), l.Close())
	}
	s.relay = r
	s.log.Info("guests may come by TURN", "addr", at, "tls", s.tls != nil)
	return nil
}

// credentials lets somebody use the relay until a time (draft-uberti-behave-turn-rest). A nil relay has none to give.
func (r *relay) credentials(until time.Time) []iceServer {
	if r == nil {
		return []iceServer{}
	}
	if latest := r.now().Add(turnLife); until.After(latest) {
		until = latest
	}
	user := strconv.FormatInt(until.Add(time.Hour).Unix(), 10) + ":" + rand.Text()[:12]
	return []iceServer{{URLs: []string{r.url}, Username: user, Credential: r.password(user)}}
}

func (r *relay) password(user string) string {
	h := hmac.New(sha256.New, r.secret)
	h.Write([]byte(user))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// auth is turn.AuthHandler.
func (r *relay) auth(a *turn.RequestAttributes) (userID string, key []byte, ok bool) {
	expires, _, _ := strings.Cut(a.Username, ":")
	at, err := strconv.ParseInt(expires, 10, 64)
	if err != nil || r.now().Unix() > at {
		return "", nil, false
	}
	return a.Username, turn.GenerateAuthKey(a.Username, turnRealm, r.password(a.Username)), true
}

func (r *relay) close() error {
	if r == nil {
		return nil
	}
	return r.server.Close()
}

// relays makes the sockets of the relay: each on this machine, towards the media port. It implements turn.RelayAddressGenerator.
type relays struct {
	guard *egress.Guard
	media netip.AddrPort // as it is bound
	told  []netip.Addr   // how guests know it
}

// Validate implements turn.RelayAddressGenerator.
func (*relays) Validate() error { return nil }

// AllocatePacketConn implements turn.RelayAddressGenerator. The address that is told is one of those that guests know: nobody sends to it from outside.
func (r *relays) AllocatePacketConn(turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	media := r.media
	if media.Addr().IsUnspecified() {
		local := netip.MustParseAddr("127.0.0.1")
		if media.Addr().Is6() && !slices.ContainsFunc(r.told, netip.Addr.Is4) {
			local = netip.IPv6Loopback()
		}
		media = netip.AddrPortFrom(local, media.Port())
	}
	c, err := r.guard.ListenUDP(context.Background(), netip.AddrPortFrom(media.Addr(), 0).String())
	if err != nil {
		return nil, nil, err
	}
	port := c.LocalAddr().(*net.UDPAddr).Port
	return &relayed{UDPConn: c, media: media, told: r.told}, &net.UDPAddr{IP: r.told[0].AsSlice(), Port: port}, nil
}

// AllocateListener implements turn.RelayAddressGenerator: nothing is relayed over TCP (RFC 6062).
func (*relays) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errRelay
}

// AllocateConn implements turn.RelayAddressGenerator.
func (*relays) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) { return nil, errRelay }

// relayed is one guest's socket of the relay. Whatever address of the media port the guest means, it is the bound one that is sent to, and the meant one
// that answers seem to come from.
type relayed struct {
	*net.UDPConn
	media netip.AddrPort
	told  []netip.Addr
}

// WriteTo implements net.PacketConn.
func (r *relayed) WriteTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok || a.Port != int(r.media.Port()) || !slices.Contains(r.told, a.AddrPort().Addr().Unmap()) {
		return 0, errRelay
	}
	return r.WriteToUDPAddrPort(b, r.media)
}

// ReadFrom implements net.PacketConn. What comes from anywhere else is dropped.
func (r *relayed) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := r.ReadFromUDPAddrPort(b)
		if err != nil {
			return n, nil, err
		}
		if netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) == r.media {
			return n, &net.UDPAddr{IP: r.told[0].AsSlice(), Port: int(r.media.Port())}, nil
		}
	}
}

// patientDoor is a door whose connections end when nothing comes for a while.
type patientDoor struct{ *door }

// Accept implements net.Listener.
func (d *patientDoor) Accept() (net.Conn, error) {
	c, err := d.door.Accept()
	if err != nil {
		return nil, err
	}
	return &patientConn{c}, nil
}

type patientConn struct{ net.Conn }

// Read implements net.Conn.
func (c *patientConn) Read(b []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(turnIdle))
	return c.Conn.Read(b)
}
