package sdp

import "strconv"

// Offer makes an offer (RFC 3264, sections 5 and 8): for a call of ours, for an INVITE that came without one, or, with prev, for a re-INVITE or UPDATE
// of ours. A re-offer keeps every line, payload type and key of what we last said, so that only what the caller changed in a (Direction,
// Address, Port) differs; when nothing changed it is the same bytes. The far end's answer goes to Accept with the returned state; where it refuses, prev stays valid.
//
// A first offer has one audio line. It is RTP/SAVP with a=crypto for Require, and RTP/AVP with a=crypto, which devices without SRTP ignore, for
// Prefer. Where no SDES suite may be used, Require offers DTLS-SRTP as UDP/TLS/RTP/SAVP and Prefer offers it on RTP/AVP.
func Offer(a Abilities, prev *State) ([]byte, State) {
	st := *before(prev)
	if len(st.lines) == 0 {
		st = State{lines: []line{{kind: "audio"}}}
		st.stream.formats, st.lines[0].formats = offerFormats(&a)
		st.stream.mux = a.RTCPMux
		st.lines[0].proto = st.protectOffer(&a)
	}
	st.stream.port, st.stream.ptime, st.stream.direction = a.Port, a.ptime(), a.Direction
	if st.stream.print != "" {
		st.stream.setup = actpass // of every offer (RFC 8842, section 5.2)
	}
	return marshal(&a, &st), st
}

// offerFormats lists our codecs and telephone-events.
func offerFormats(a *Abilities) (list []format, tokens []string) {
	for _, c := range a.Codecs {
		f := format{pt: c.PayloadType, name: c.Name, clock: c.ClockRate, fmtp: fmtp(c)}
		if c.Channels > 1 {
			f.channels = strconv.Itoa(c.Channels)
		}
		list = append(list, f)
	}
	list = append(list, offeredEvents(a.Codecs)...)
	for _, f := range list {
		tokens = append(tokens, strconv.Itoa(int(f.pt)))
	}
	return list, tokens
}

// protectOffer puts our keys into a first offer and names its profile.
func (s *State) protectOffer(a *Abilities) string {
	if a.Encryption == Off {
		return "RTP/AVP"
	}
	proto := "RTP/SAVP"
	if s.stream.crypto = a.offerCryptos(s.generation); len(s.stream.crypto) == 0 && a.Fingerprint != "" {
		s.stream.print, proto = a.Fingerprint, "UDP/TLS/RTP/SAVP"
	}
	if a.Encryption == Prefer {
		return "RTP/AVP"
	}
	return proto
}
