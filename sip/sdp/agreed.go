package sdp

import (
	"net/netip"
	"slices"

	"passerelle/transcode"
)

// Agreed is the outcome of one round: how sound goes both ways from now on.
type Agreed struct {
	// Codec is what we send, and its PayloadType the one to send it with.
	Codec transcode.Codec
	// Receive lists what may come, each with the PayloadType that it comes with; the expected one is first. It holds everything that both sides
	// know, because some devices send what was offered rather than what was answered.
	Receive []transcode.Codec
	// SendEvents is how digits are sent; a ClockRate of 0 means that the far end takes none. ReceiveEvents is how they may come.
	SendEvents    Events
	ReceiveEvents []Events
	ComfortNoise  bool // PT 13 goes both ways (RFC 3389)

	PTime    int // ms of sound in a packet that the far end wants, 10–60
	MaxPTime int // ms that it takes at most, 10–60

	// Remote is where RTP goes, RemoteRTCP where RTCP goes (the same with RTCPMux). They are the zero value where the far end gave a host name or
	// does not know yet: then its packets tell. Ports are never 0 in a valid one.
	Remote, RemoteRTCP netip.AddrPort
	RTCPMux            bool

	TheyHear bool // we may send
	WeHear   bool // they may send

	Protection Protection
}

// Events is one telephone-event payload type (RFC 4733).
type Events struct {
	PayloadType uint8
	ClockRate   int
}

// Encrypted tells whether media is SRTP.
func (a *Agreed) Encrypted() bool { return a.Protection.SDES != nil || a.Protection.DTLS != nil }

// Held tells whether the far end put us on hold: it does not want to hear us.
func (a *Agreed) Held() bool { return !a.TheyHear }

// Protection says how media is encrypted: at most one of the two is set, none means clear.
type Protection struct {
	SDES *SDES
	DTLS *DTLS
}

// SDES is SRTP with keys from the signalling (RFC 4568). A key is used with new SRTP state when it differs from the round before, and with the
// old state when it does not.
type SDES struct {
	Suite  Suite
	Local  Key // of what we send: master key, then salt
	Remote Key // of what they send
	// MKI is the far end's master key identifier in the bytes that its packets carry before the authentication tag; nil: none. We send none.
	MKI []byte
}

// DTLS is SRTP with keys from a handshake on the media path (RFC 5763, 5764).
type DTLS struct {
	Hash        string // of Fingerprint: "sha-256"
	Fingerprint []byte // of the far end's certificate
	Active      bool   // we are the DTLS client
	ID          string // the far end's a=tls-id (RFC 8842); a change of it or of Fingerprint asks for a new handshake. Often empty
}

// Same tells whether two rounds agreed on one and the same DTLS association.
func (d *DTLS) Same(o *DTLS) bool {
	return d != nil && o != nil && d.Hash == o.Hash && slices.Equal(d.Fingerprint, o.Fingerprint) && d.ID == o.ID
}

// Key is a secret that does not print, log or marshal itself.
type Key []byte

// String hides the key.
func (k Key) String() string { return "•••" }

// GoString hides the key from %#v.
func (k Key) GoString() string { return k.String() }

// MarshalText hides the key from JSON and slog.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
