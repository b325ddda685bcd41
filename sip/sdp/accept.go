package sdp

import (
	"fmt"
	"slices"
	"strings"

	"passerelle/bridge"
	"passerelle/transcode"
)

// Accept takes the answer to an offer of ours, offered being the state that Offer returned (RFC 3264, section 7). The errors wrap ErrMalformed,
// bridge.ErrNoCodec or bridge.ErrNotEncrypted.
//
// The answer's first codec that we offered is used; codecs that were never offered are ignored, and a payload type that is not the offered one is
// used for sending, as it asks, and taken for receiving beside ours. An answer that refuses the audio line is bridge.ErrNoCodec for a new call,
// and a call without sound for a running one.
func Accept(offered State, answer []byte, a Abilities) (Agreed, State, error) {
	d, err := parse(answer)
	if err != nil {
		return Agreed{}, offered, err
	}
	if len(d.media) < len(offered.lines) || len(offered.lines) == 0 {
		return Agreed{}, offered, fmt.Errorf("%w: %d m= lines answer %d", ErrMalformed, len(d.media), len(offered.lines))
	}
	st := offered
	s := &d.media[st.audio]
	if !strings.EqualFold(s.kind, st.lines[st.audio].kind) {
		return Agreed{}, offered, fmt.Errorf("%w: %.20s answers %s", ErrMalformed, s.kind, st.lines[st.audio].kind)
	}
	if s.port == 0 || !st.open() {
		if !st.settled {
			return Agreed{}, offered, fmt.Errorf("%w: audio is refused; we speak %s", bridge.ErrNoCodec, spoken(a.Codecs))
		}
		st.lines = slices.Clone(st.lines)
		st.lines[st.audio].refused = true
		st.agreed = removed(st.agreed)
		return st.agreed, st, nil
	}
	if st.agreed, err = d.accept(s, &offered, &a); err != nil {
		return Agreed{}, offered, err
	}
	st.settled = true
	// A suite that was not chosen is not offered again: its key would start over when it came back.
	if sdes := st.agreed.Protection.SDES; sdes != nil {
		i := slices.IndexFunc(st.stream.crypto, func(c crypto) bool { return c.suite == sdes.Suite })
		st.stream.crypto = st.stream.crypto[i : i+1]
	}
	return st.agreed, st, nil
}

// accept is what the answered audio line means for media.
func (d *description) accept(s *section, st *State, a *Abilities) (Agreed, error) {
	if _, ok := profileOf(s.proto); !ok {
		return Agreed{}, fmt.Errorf("%w: audio over %.40s", bridge.ErrNoCodec, s.proto)
	}
	ours := common(st.stream.formats, a.Codecs)
	formats := s.audioFormats()
	theirs := common(formats, ours)
	if len(theirs) == 0 {
		return Agreed{}, fmt.Errorf("%w: answered %s; we speak %s", bridge.ErrNoCodec, named(formats), spoken(ours))
	}
	g := Agreed{Codec: theirs[0], ComfortNoise: hasNoise(formats, theirs[0])}
	g.Receive = receivable(g.Codec, ours, theirs)
	g.SendEvents, g.ReceiveEvents = acceptEvents(st.stream.formats, formats, &g)
	g.PTime, g.MaxPTime = d.ptimes(s)
	_, mux := get(s.attributes, "rtcp-mux")
	g.RTCPMux = mux && st.stream.mux
	var err error
	if g.Remote, g.RemoteRTCP, err = d.remote(s, g.RTCPMux); err != nil {
		return Agreed{}, err
	}
	var held bool
	if g.Protection, held, err = d.acceptProtection(s, st, a); err != nil {
		return Agreed{}, err
	}
	dir := d.direction(s)
	g.TheyHear = dir.receives() && st.stream.direction.sends() && !held
	g.WeHear = dir.sends() && st.stream.direction.receives() && !held
	return g, nil
}

// receivable is what may come: what we offered, the chosen codec first, and the same codecs with the answer's payload types where these
// are free.
func receivable(chosen transcode.Codec, ours, theirs []transcode.Codec) []transcode.Codec {
	i := slices.IndexFunc(ours, chosen.Is)
	list := firstly(ours[i], ours)
	for _, c := range theirs {
		if !slices.ContainsFunc(list, func(o transcode.Codec) bool { return o.PayloadType == c.PayloadType }) {
			list = append(list, c)
		}
	}
	return list
}

// acceptEvents says how digits go and come: with the answer's payload types to it, with ours from it; its own, too, where they are free.
func acceptEvents(ours, theirs []format, g *Agreed) (send Events, receive []Events) {
	receive = eventsOf(telephoneEvents(ours, g.Codec))
	for _, e := range eventsOf(telephoneEvents(theirs, g.Codec)) {
		if send.ClockRate == 0 {
			send = e
		}
		taken := slices.ContainsFunc(receive, func(o Events) bool { return o.PayloadType == e.PayloadType }) ||
			slices.ContainsFunc(g.Receive, func(c transcode.Codec) bool { return c.PayloadType == e.PayloadType })
		if !taken {
			receive = append(receive, e)
		}
	}
	return send, receive
}

// acceptProtection finds the protection that the answer chose from our offer.
func (d *description) acceptProtection(s *section, st *State, a *Abilities) (Protection, bool, error) {
	if our, their, ok := answered(st.stream.crypto, s.cryptos()); ok {
		return Protection{SDES: &SDES{Suite: our.suite, Local: our.key, Remote: their.key, MKI: their.mki}}, false, nil
	}
	if dtls := d.dtls(s); dtls != nil && st.stream.print != "" {
		role := d.setup(s, passive) // what an answer without a=setup means (RFC 4145, section 4)
		dtls.Active = role == passive
		return Protection{DTLS: dtls}, role == holdconn, nil
	}
	p, _ := profileOf(s.proto)
	if offeredProfile, _ := profileOf(st.lines[st.audio].proto); p.secure || offeredProfile.secure || a.Encryption == Require {
		return Protection{}, false, fmt.Errorf("%w: answered %s with %s; we speak %s", bridge.ErrNotEncrypted, s.proto, d.keys(s), a.keys())
	}
	return Protection{}, false, nil
}
