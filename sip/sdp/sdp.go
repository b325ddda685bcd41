// Package sdp is the offer/answer model (RFC 3264) on SDP (RFC 8866) for one audio stream, as pure functions: there is no clock, no
// randomness, no socket and no log in here. Answer answers an offer, Offer makes one, Accept takes the answer to one. What the next round must
// remember is in State, which the caller keeps for as long as the dialog lives; a round that failed leaves it as it was.
//
// Every m-line of an offer is answered in its place. One audio line is taken; all else (video, BFCP, H.224, text, T.38, the clear twin of an
// encrypted line) is refused with port 0. The choices where the RFCs leave one:
//
//   - Codec: ours is the preference, among what is offered (RFC 3264, section 6.1 lets an answerer reorder), except that a running call
//     keeps its codec for as long as the far end still offers it. An answer names one codec, so that nothing changes in mid-call.
//   - Encryption is chosen whenever it is offered, also in a=crypto or a=fingerprint lines of RTP/AVP ("best effort", as Cisco, snom and linphone do).
//     DTLS-SRTP comes before SDES where both are offered: its keys are not shown to every proxy on the way.
//   - Among SDES suites the strongest counts, not the first offered.
//   - An offered a=setup:actpass is answered active (RFC 8842, section 5.3): the handshake begins half a round trip earlier.
//     It is answered passive where the offer does not say yet where packets go.
//   - ICE is not spoken on SIP; its attributes are ignored and the far end falls back to the address in c= and m=.
//
// The syntax is read by a parser of our own: pion/sdp is strict where phones are not (it refuses a description without t= or s=, an o= with a
// word for a session id, m=image and any transport that it does not know), and all of these must be answered.
package sdp

import (
	"errors"
	"net/netip"

	"passerelle/transcode"
)

// ErrMalformed is wrapped by errors about descriptions that cannot be understood. The other classes are bridge.ErrNoCodec and
// bridge.ErrNotEncrypted.
var ErrMalformed = errors.New("malformed SDP")

// Abilities is what our side can do and wants in one round.
type Abilities struct {
	Codecs      []transcode.Codec // in order of preference; the payload types are those of our offers
	Encryption  Encryption
	Suites      []Suite // SDES suites that may be used; empty: no SDES. Suites() lists all
	KeySeed     []byte  // at least 32 random bytes that no other dialog has: our SDES keys are derived from it; shorter: no SDES
	Fingerprint string  // of our DTLS certificate, as in a=fingerprint: "sha-256 AA:BB:…"; empty: no DTLS
	Address     netip.Addr
	Port        uint16 // of RTP; RTCP is on the next one unless it is multiplexed
	RTCPMux     bool   // RTP and RTCP may share the port
	PTime       int    // ms of sound that we want in a packet; 0: DefaultPTime
	SessionID   uint64 // of o=; random, constant in a dialog; below 2^63, which is all that some devices read
	Name        string // of o= and s=, without spaces; empty: "passerelle"
	Direction   Direction
}

// DefaultPTime is the packet time in ms where nobody says otherwise (RFC 3551, section 4.2).
const DefaultPTime = 20

// Encryption says whether media must, should or must not be encrypted.
type Encryption uint8

// The encryption policies.
const (
	Off     Encryption = iota // clear only
	Prefer                    // encrypted whenever the far end offers it, else clear
	Require                   // encrypted, or no call
)

// Limits on what is read. A description that exceeds them is malformed.
const (
	maxBody       = 64 << 10
	maxMedia      = 32  // m-lines
	maxFormats    = 128 // of one m-line
	maxAttributes = 128 // of those that matter to us, at one level
)

func (a *Abilities) name() string {
	if a.Name == "" {
		return "passerelle"
	}
	return a.Name
}

func (a *Abilities) ptime() int {
	if a.PTime == 0 {
		return DefaultPTime
	}
	return a.PTime
}
