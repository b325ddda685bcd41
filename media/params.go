package media

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"passerelle/internal/egress"
	"passerelle/transcode"
)

// ErrParams is wrapped by every refusal of Stream.Set that is not about a destination.
var ErrParams = errors.New("media: these parameters cannot be used")

// comfortNoise is the static payload type of comfort noise (RFC 3389, section 4).
const comfortNoise = 13

// maxPayload bounds what is sent in one packet, so that it fits an Ethernet frame with IPv6, SRTP's tag and a tunnel's header.
const maxPayload = 1380

// Params is what two ends have agreed upon for one stream.
type Params struct {
	Codec  transcode.Codec // that is sent
	SendPT uint8           // its payload type
	PTime  time.Duration   // of sent packets, 10 to 60 ms; 0: 20 ms. Opus packets are sent as they are written.

	Receive map[uint8]transcode.Codec // by payload type
	// EventReceive has the payload types of telephone-events and their clock rates.
	EventReceive map[uint8]int
	EventPT      uint8 // of sent telephone-events
	EventRate    int   // their clock rate; 0: the far end takes none

	Remote     netip.AddrPort // where RTP goes; the zero value or an unspecified address: nowhere, until Symmetric learns it
	RemoteRTCP netip.AddrPort // the zero value: the port after Remote's
	RTCPMux    bool           // RFC 5761
	// Symmetric sends to where packets really come from (RFC 4961), for far ends behind a NAT.
	Symmetric bool
	// Pass permits destinations, and sources to be learnt; nil: the national networks only.
	Pass *egress.Pass

	SendEnabled    bool // false: the far end has put us on hold
	ReceiveEnabled bool // false: what comes is counted and dropped

	Protection Protection
}

// Protection is how packets are encrypted. At most one of SDES and DTLS is set; neither: they are not.
type Protection struct {
	SDES *SDES
	DTLS *DTLS
}

// SDES has the keys of a=crypto lines (RFC 4568).
type SDES struct {
	Profile   string // of both ways, one of Profiles
	LocalKey  []byte // master key and salt, one after the other as in inline:, of what we send
	RemoteKey []byte // the same of what we receive
	// RemoteMKI is the length of the master key identifier in received packets, in bytes. Its value is not looked at: there is one key.
	RemoteMKI int
}

// DTLS has what a DTLS handshake needs (RFC 5763).
type DTLS struct {
	Client      bool   // a=setup:active is ours
	Fingerprint string // the far end's, as in a=fingerprint: "sha-256 4A:AD:…"
}

// terms is a checked Params in the form that packets need. It never changes; Set makes a new one.
type terms struct {
	Params
	kinds     [128]kind
	codecs    [128]*transcode.Codec
	eventRate [128]uint32
	unit      int // bytes in one unit of the codec's clock; 0: packets are sent as they are written
	chunk     int // payload bytes in one packet, when unit is not 0
	keys      func() *keys
	dtls      *association // nil: none
	protected bool
	floodRate float64 // packets a second that are more than any far end sends
}

// kind is what a payload type stands for.
type kind uint8

const (
	kindUnknown kind = iota
	kindAudio
	kindEvent
	kindNoise
)

// newTerms checks what can be checked without knowing the stream.
func newTerms(p Params) (*terms, error) {
	t := &terms{Params: p, floodRate: 200}
	t.Remote, t.RemoteRTCP = unmap(p.Remote), unmap(p.RemoteRTCP)
	if !t.RemoteRTCP.IsValid() && t.Remote.IsValid() && t.Remote.Port() < 65535 {
		t.RemoteRTCP = netip.AddrPortFrom(t.Remote.Addr(), t.Remote.Port()+1)
	}
	if t.PTime == 0 {
		t.PTime = 20 * time.Millisecond
	}
	switch {
	case p.Codec.ClockRate <= 0 || p.Codec.ClockRate > 192000:
		return nil, fmt.Errorf("%w: codec %q with clock rate %d", ErrParams, p.Codec.Name, p.Codec.ClockRate)
	case t.PTime < 10*time.Millisecond || t.PTime > 60*time.Millisecond:
		return nil, fmt.Errorf("%w: packet time %s is not between 10 and 60 ms", ErrParams, t.PTime)
	case p.SendPT > 127 || p.EventPT > 127 || p.EventRate < 0 || p.EventRate > 192000:
		return nil, fmt.Errorf("%w: payload type %d, or %d at %d Hz for events", ErrParams, p.SendPT, p.EventPT, p.EventRate)
	case p.Protection.SDES != nil && p.Protection.DTLS != nil:
		return nil, fmt.Errorf("%w: SDES and DTLS at once", ErrParams)
	}
	t.protected = p.Protection.SDES != nil || p.Protection.DTLS != nil
	if t.PTime < 20*time.Millisecond {
		t.floodRate = 400
	}
	if t.unit = bytesPerUnit(p.Codec); t.unit != 0 {
		perMs := p.Codec.ClockRate / 1000 * t.unit
		ms := min(int(t.PTime/time.Millisecond), maxPayload/perMs/10*10)
		t.chunk = ms * perMs
	}
	return t, t.mapTypes()
}

// mapTypes fills the tables by payload type.
func (t *terms) mapTypes() error {
	t.kinds[comfortNoise] = kindNoise
	for pt, c := range t.Receive {
		if pt > 127 || c.ClockRate <= 0 {
			return fmt.Errorf("%w: %s at %d Hz as payload type %d", ErrParams, c.Name, c.ClockRate, pt)
		}
		t.kinds[pt], t.codecs[pt] = kindAudio, &c
	}
	for pt, rate := range t.EventReceive {
		if pt > 127 || rate <= 0 {
			return fmt.Errorf("%w: telephone-event at %d Hz as payload type %d", ErrParams, rate, pt)
		}
		t.kinds[pt], t.eventRate[pt] = kindEvent, uint32(rate)
	}
	return nil
}

// bytesPerUnit says how long one unit of the RTP clock is in the payload of codecs that can be cut anywhere; 0: those that cannot.
func bytesPerUnit(c transcode.Codec) int {
	switch strings.ToUpper(c.Name) {
	case "PCMU", "PCMA", "G722":
		return 1
	case "L16":
		return 2
	}
	return 0
}

// unmap makes an IPv4 address out of one that was mapped into IPv6, so that addresses compare.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// usable tells whether something can be sent to the address.
func usable(a netip.AddrPort) bool {
	return a.IsValid() && a.Port() != 0 && !a.Addr().IsUnspecified()
}
