package webrtc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/pion/ice/v4"
	pion "github.com/pion/webrtc/v4"
	"golang.org/x/net/netutil"

	"passerelle/internal/egress"
)

// Shared says how a port is open to far ends that nobody knows beforehand: browsers.
type Shared struct {
	UDP         string       // host:port
	TCP         string       // host:port of ICE-TCP (RFC 6544, passive); empty: none
	Advertise   []netip.Addr // to tell instead of the bound addresses; none: the bound ones
	Connections int          // over TCP at the same time, at most
}

// Bounds of ICE-TCP.
const (
	tcpReadQueue  = 32              // packets of one connection
	tcpWriteQueue = 512 << 10       // bytes of one connection; more is dropped
	tcpFirst      = 5 * time.Second // for a connection to say which peer connection it belongs to
)

// shared is what a port has besides its UDP socket when it is open to browsers.
type shared struct {
	tcp       ice.TCPMux // nil: none
	tcpAddr   netip.AddrPort
	advertise []string
}

// OpenShared opens a port for browsers. Each has an address of its own, so one socket serves them all. ICE is lite (RFC 8445, section 2.5): they check, we
// answer, and learn their addresses from their checks. What they tell of their addresses is not looked at, so nobody can have us send packets to others.
func OpenShared(ctx context.Context, guard *egress.Guard, o Shared, log *slog.Logger) (*Port, error) {
	s := new(shared)
	for _, a := range o.Advertise {
		s.advertise = append(s.advertise, a.String())
	}
	p, err := openFor(ctx, guard, o.UDP, s, log)
	if err != nil {
		return nil, err
	}
	if o.TCP == "" {
		return p, nil
	}
	l, err := guard.ListenTCP(ctx, o.TCP)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	s.tcpAddr = l.Addr().(*net.TCPAddr).AddrPort()
	s.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
		Listener: netutil.LimitListener(l, max(o.Connections, 1)), Logger: pionLog{log, "tcp"}, ReadBufferSize: tcpReadQueue, WriteBufferSize: tcpWriteQueue,
		FirstStunBindTimeout: tcpFirst, AliveDurationForConnFromStun: tcpFirst,
	})
	return p, nil
}

// TCPAddr is the address of ICE-TCP; the zero value where there is none.
func (p *Port) TCPAddr() netip.AddrPort {
	if p.shared == nil {
		return netip.AddrPort{}
	}
	return p.shared.tcpAddr
}

func (s *shared) close() error {
	if s.tcp == nil {
		return nil
	}
	if err := s.tcp.Close(); err != nil {
		return fmt.Errorf("ICE-TCP: %w", err)
	}
	return nil
}

// set does what a shared port needs of pion. A nil s needs nothing.
func (s *shared) set(e *pion.SettingEngine) {
	if s == nil {
		return
	}
	e.SetLite(true)
	if s.tcp != nil {
		e.SetICETCPMux(s.tcp)
		e.SetNetworkTypes([]pion.NetworkType{pion.NetworkTypeUDP4, pion.NetworkTypeUDP6, pion.NetworkTypeTCP4, pion.NetworkTypeTCP6})
	}
	if len(s.advertise) > 0 {
		_ = e.SetICEAddressRewriteRules(pion.ICEAddressRewriteRule{ // the error tells of a conflict with NAT 1:1, which nobody sets
			External: s.advertise, AsCandidateType: pion.ICECandidateTypeHost, Mode: pion.ICEAddressRewriteReplace,
		})
	}
}
