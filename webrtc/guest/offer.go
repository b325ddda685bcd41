package guest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"

	"passerelle/bridge"
)

// errOffer wraps what is wrong with an offer.
var errOffer = errors.New("offer")

// maxLines is how many lines an offer may have. A browser's with 25 tiles has about 4,000.
const maxLines = 8000

// section is one media section of an offer.
type section struct {
	mid   string
	audio bool
	sends bool // the far end sends in it
	takes bool // the far end takes in it
	live  bool // it has a port, and a direction
	rids  []string
	use   Use // empty: none
}

// readOffer reads what is in an offer (RFC 8829). Everything else in it is pion's to judge.
func readOffer(text string) ([]section, error) {
	if strings.Count(text, "\n") > maxLines {
		return nil, fmt.Errorf("%w: more than %d lines", errOffer, maxLines)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("%w: this is no SDP", errOffer)
	}
	if n := len(d.MediaDescriptions); n == 0 || n > maxTracks {
		return nil, fmt.Errorf("%w: %d media sections; 1 to %d are taken", errOffer, n, maxTracks)
	}
	group, _ := d.Attribute("group")
	bundled := strings.Fields(group)
	var list []section
	for _, m := range d.MediaDescriptions {
		s, err := readSection(m)
		if err != nil {
			return nil, err
		}
		if s.live && len(d.MediaDescriptions) > 1 && (len(bundled) == 0 || bundled[0] != "BUNDLE" || !slices.Contains(bundled[1:], s.mid)) {
			return nil, fmt.Errorf("%w: section %s is not bundled; one transport is taken for all (RFC 9143)", errOffer, s.mid)
		}
		if slices.ContainsFunc(list, func(o section) bool { return o.mid == s.mid }) {
			return nil, fmt.Errorf("%w: two sections are called %s", errOffer, s.mid)
		}
		list = append(list, s)
	}
	return list, nil
}

func readSection(m *sdp.MediaDescription) (section, error) {
	kind := m.MediaName.Media
	if kind != "audio" && kind != "video" {
		return section{}, fmt.Errorf("%w: a section of another kind than audio and video", errOffer)
	}
	name, _ := m.Attribute("mid")
	if err := mid(name); err != nil {
		return section{}, fmt.Errorf("%w: a section without a mid of up to 32 characters", errOffer)
	}
	s := section{mid: name, audio: kind == "audio", sends: true, takes: true}
	for _, a := range m.Attributes {
		switch a.Key {
		case "sendonly":
			s.takes = false
		case "recvonly":
			s.sends = false
		case "inactive":
			s.sends, s.takes = false, false
		case "simulcast":
			s.rids = simulcast(a.Value)
		}
	}
	s.live = s.sends || s.takes
	if m.MediaName.Port.Value == 0 {
		_, only := m.Attribute("bundle-only") // RFC 9143, section 6
		s.live = s.live && only
	}
	if len(s.rids) > bridge.MaxLayers {
		return section{}, fmt.Errorf("%w: %d simulcast layers; %d are taken", errOffer, len(s.rids), bridge.MaxLayers)
	}
	return s, nil
}

// simulcast is the list of streams that are sent (RFC 8853, section 5.1): "send q;h;~f recv …". Of alternatives the first is taken.
func simulcast(value string) []string {
	f := strings.Fields(value)
	i := slices.Index(f, "send")
	if i < 0 || i+1 >= len(f) {
		return nil
	}
	var rids []string
	for s := range strings.SplitSeq(f[i+1], ";") {
		rid, _, _ := strings.Cut(strings.TrimPrefix(s, "~"), ",")
		if rid == "" || len(rid) > 32 {
			return nil
		}
		rids = append(rids, strings.TrimPrefix(rid, "~"))
	}
	return rids
}

// assign gives sections the uses that the page names. A section without a use is of none.
func assign(sections []section, tracks []track) error {
	for _, t := range tracks {
		i := slices.IndexFunc(sections, func(s section) bool { return s.mid == t.Mid })
		if i < 0 {
			return fmt.Errorf("%w: track %s is not in the SDP", errOffer, t.Mid)
		}
		s := &sections[i]
		if s.audio != (t.Use == UseVoice) {
			return fmt.Errorf("%w: section %s cannot be for %s", errOffer, t.Mid, t.Use)
		}
		s.use = t.Use
	}
	return nil
}

// guess gives sections the uses that a client of WHIP or WHEP means, which names none.
func guess(sections []section) {
	var voice, camera bool
	for i := range sections {
		s := &sections[i]
		switch {
		case !s.live:
		case s.audio && !voice:
			s.use, voice = UseVoice, true
		case !s.audio && s.sends && !camera:
			s.use, camera = UseCamera, true
		case !s.audio && s.takes && !s.sends:
			s.use = UseTile
		}
	}
}

// single refuses an offer to publish more than one voice and one picture: half of it would be lost without a word (RFC 9725, sections 4.4.2 and 4.4.3).
func single(sections []section) error {
	var audio, video int
	for _, s := range sections {
		switch {
		case !s.sends:
		case s.audio:
			audio++
		default:
			video++
		}
	}
	if audio > 1 || video > 1 {
		return fmt.Errorf("%w: %d sections of sound and %d of pictures are sent; one of each is taken", errOffer, audio, video)
	}
	return nil
}

// layers are the simulcast layers of a section whose whole picture is p, from small to large; one where there is no simulcast.
func (s section) layers(p picture) []bridge.Layer {
	if len(s.rids) < 2 {
		return []bridge.Layer{{Width: p.Width, Height: p.Height, Kbps: p.Kbps}}
	}
	list := make([]bridge.Layer, len(s.rids))
	for i, rid := range s.rids {
		down := len(s.rids) - 1 - i // each is half as wide as the next, and takes a quarter of its bits
		list[i] = bridge.Layer{RID: rid, Width: p.Width >> down, Height: p.Height >> down, Kbps: p.Kbps >> (2 * down)}
	}
	return list
}
