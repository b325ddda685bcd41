package sdp

import (
	"net/netip"
	"slices"
	"strings"

	"passerelle/transcode"
)

// Answer answers an offer (RFC 3264, sections 6 and 8). prev is the state after the dialog's last round, nil before its first. The errors wrap
// ErrMalformed, bridge.ErrNoCodec or bridge.ErrNotEncrypted and say what was offered and what we speak; prev is still valid then.
//
// Where a re-offer takes the audio line away (port 0, or it is gone), the call goes on without sound: nobody hears anybody, Remote is zero,
// and a later offer may bring it back.
func Answer(offer []byte, a Abilities, prev *State) ([]byte, Agreed, State, error) {
	old := before(prev)
	d, err := parse(offer)
	if err != nil {
		return nil, Agreed{}, *old, err
	}
	c, err := choose(d, &a, old)
	if err != nil {
		return nil, Agreed{}, *old, err
	}
	st := *old
	st.lines = nil
	for i, s := range d.media {
		st.lines = append(st.lines, line{kind: s.kind, proto: s.proto, formats: s.formats, refused: c == nil || c.index != i})
	}
	if c == nil {
		st.agreed = removed(old.agreed)
		return marshal(&a, &st), st.agreed, st, nil
	}
	st.audio, st.generation, st.settled = c.index, c.generation, true
	if st.agreed, err = d.agree(c, &a); err != nil {
		return nil, Agreed{}, *old, err
	}
	st.stream = d.answerStream(c, &a, st.agreed)
	return marshal(&a, &st), st.agreed, st, nil
}

// agree is what a choice means for media.
func (d *description) agree(c *choice, a *Abilities) (Agreed, error) {
	s := &d.media[c.index]
	events := telephoneEvents(c.formats, c.codec)
	g := Agreed{
		Codec:         c.codec,
		Receive:       firstly(c.codec, c.common),
		ReceiveEvents: eventsOf(events),
		ComfortNoise:  hasNoise(c.formats, c.codec),
		Protection:    c.protection.Protection,
	}
	if len(events) > 0 {
		g.SendEvents = g.ReceiveEvents[0]
	}
	g.PTime, g.MaxPTime = d.ptimes(s)
	_, offered := get(s.attributes, "rtcp-mux")
	g.RTCPMux = offered && a.RTCPMux
	var err error
	g.Remote, g.RemoteRTCP, err = d.remote(s, g.RTCPMux)
	theirs := d.direction(s)
	g.TheyHear = theirs.receives() && a.Direction.sends() && !c.protection.held
	g.WeHear = theirs.sends() && a.Direction.receives() && !c.protection.held
	return g, err
}

// firstly is the codecs with the chosen one in front.
func firstly(chosen transcode.Codec, codecs []transcode.Codec) []transcode.Codec {
	list := []transcode.Codec{chosen}
	for _, c := range codecs {
		if !c.Is(chosen) {
			list = append(list, c)
		}
	}
	return list
}

// answerStream is what the answer says about the audio line: one codec, its comfort noise, telephone-events, and the mirror of the rest.
func (d *description) answerStream(c *choice, a *Abilities, g Agreed) stream {
	s := &d.media[c.index]
	st := stream{
		port:      a.Port,
		direction: directionOf(g.TheyHear, g.WeHear),
		ptime:     a.ptime(),
		mux:       g.RTCPMux,
		setup:     c.protection.setup,
	}
	for _, f := range c.formats {
		if f.pt == g.Codec.PayloadType {
			f.fmtp = fmtp(g.Codec)
			st.formats = append(st.formats, f)
		}
	}
	if g.ComfortNoise {
		st.formats = append(st.formats, format{pt: comfortNoise, name: "CN", clock: 8000})
	}
	for _, f := range telephoneEvents(c.formats, g.Codec) {
		st.formats = append(st.formats, answerEvents(f))
	}
	if c.protection.crypto != nil {
		st.crypto = []crypto{*c.protection.crypto}
	}
	if c.protection.DTLS != nil {
		st.print = a.Fingerprint
	}
	if mid, ok := get(s.attributes, "mid"); ok && printable(mid) && len(mid) <= 255 {
		st.mid, st.bundle = mid, d.bundles(mid)
	}
	return st
}

// bundles tells whether the session groups a media line with others on one transport (RFC 9143, section 7.3). The answer's group holds only
// what it accepts.
func (d *description) bundles(mid string) bool {
	for _, a := range d.attributes {
		if a.name != "group" {
			continue
		}
		if f := strings.Fields(a.value); len(f) > 1 && f[0] == "BUNDLE" && slices.Contains(f[1:], mid) {
			return true
		}
	}
	return false
}

// removed is a call without sound: all stays agreed, and nothing is sent either way.
func removed(was Agreed) Agreed {
	was.TheyHear, was.WeHear = false, false
	was.Remote, was.RemoteRTCP = netip.AddrPort{}, netip.AddrPort{}
	return was
}
