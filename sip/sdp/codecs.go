package sdp

import (
	"slices"
	"strconv"
	"strings"

	"passerelle/transcode"
)

// format is one payload type of an audio line.
type format struct {
	pt       uint8
	name     string // as written
	clock    int
	channels string // as written; empty: not given
	fmtp     string
}

// rtpmap is the value of the a=rtpmap line without its payload type, written the way the far end wrote it.
func (f format) rtpmap() string {
	s := f.name + "/" + strconv.Itoa(f.clock)
	if f.channels != "" {
		s += "/" + f.channels
	}
	return s
}

// formats reads an audio line's payload types with their rtpmap and fmtp. Those that cannot be understood are left out.
func (s *section) audioFormats() []format {
	var list []format
	for _, token := range s.formats {
		pt, err := strconv.ParseUint(token, 10, 7)
		if err != nil || len(token) > 1 && token[0] == '0' || slices.ContainsFunc(list, func(f format) bool { return f.pt == uint8(pt) }) {
			continue
		}
		f, ok := static(uint8(pt))
		for _, a := range s.attributes {
			number, value, _ := strings.Cut(a.value, " ")
			if n, err := strconv.ParseUint(number, 10, 7); err != nil || n != pt {
				continue
			}
			switch a.name {
			case "rtpmap":
				if m, valid := parseRTPMap(value); valid {
					f.name, f.clock, f.channels, ok = m.name, m.clock, m.channels, true
				}
			case "fmtp":
				f.fmtp = strings.TrimSpace(value)
			}
		}
		if f.pt = uint8(pt); ok {
			list = append(list, f)
		}
	}
	return list
}

// parseRTPMap reads name/clock or name/clock/channels (RFC 8866, section 6.6).
func parseRTPMap(value string) (format, bool) {
	f := strings.Fields(value)
	if len(f) == 0 || len(f[0]) > 64 || !printable(f[0]) {
		return format{}, false
	}
	part := strings.Split(f[0], "/")
	if len(part) < 2 || len(part) > 3 || part[0] == "" {
		return format{}, false
	}
	clock, err := strconv.ParseUint(part[1], 10, 31)
	if err != nil || clock == 0 {
		return format{}, false
	}
	m := format{name: part[0], clock: int(clock)}
	if len(part) == 3 {
		m.channels = part[2]
	}
	return m, true
}

// static is what a payload type means without an rtpmap (RFC 3551, section 6). Those that we do not speak are there for error messages.
func static(pt uint8) (format, bool) {
	names := map[uint8]string{0: "PCMU", 3: "GSM", 4: "G723", 8: "PCMA", 9: "G722", 13: "CN", 15: "G728", 18: "G729"}
	return format{name: names[pt], clock: 8000}, names[pt] != ""
}

// is tells whether a format is that codec. Opus without its two channels and G.722 with its true sample rate instead of the historical 8000 are seen
// in the field and meant well.
func (f format) is(c transcode.Codec) bool {
	if !strings.EqualFold(f.name, c.Name) {
		return false
	}
	switch c.Name {
	case "opus":
		return f.clock == c.ClockRate && (f.channels == "" || f.channels == "1" || f.channels == "2")
	case "G722":
		return (f.clock == 8000 || f.clock == 16000) && (f.channels == "" || f.channels == "1")
	}
	return f.clock == c.ClockRate && (f.channels == "" || f.channels == "1")
}

// common lists the formats that are one of the codecs, in the order of the formats, each codec once.
func common(formats []format, codecs []transcode.Codec) (list []transcode.Codec) {
	for _, f := range formats {
		for _, c := range codecs {
			if !f.is(c) {
				continue
			}
			if !slices.ContainsFunc(list, c.Is) {
				c.PayloadType = f.pt
				list = append(list, c)
			}
			break
		}
	}
	return list
}

// prefer picks from common codecs: the one in use where it is still there, else the first of ours.
func prefer(offered, ours []transcode.Codec, inUse *transcode.Codec) (transcode.Codec, bool) {
	if inUse != nil {
		if i := slices.IndexFunc(offered, inUse.Is); i >= 0 && slices.ContainsFunc(ours, inUse.Is) {
			return offered[i], true
		}
	}
	for _, c := range ours {
		if i := slices.IndexFunc(offered, c.Is); i >= 0 {
			return offered[i], true
		}
	}
	return transcode.Codec{}, false
}

// fmtp is what we say about a codec: that Opus may carry its redundancy and be silent in silence, and that
// one channel is all we play (RFC 7587, section 6.1).
func fmtp(c transcode.Codec) string {
	if c.Name == "opus" {
		return "useinbandfec=1;stereo=0;usedtx=1"
	}
	return ""
}

// spoken is a list of codecs for error messages.
func spoken(codecs []transcode.Codec) string {
	var names []string
	for _, c := range codecs {
		names = append(names, c.Name+"/"+strconv.Itoa(c.ClockRate))
	}
	return strings.Join(names, ", ")
}

// named is a list of formats for error messages, bounded because it ends up in a log line and a Warning header.
func named(formats []format) string {
	var names []string
	for i, f := range formats {
		if i == 12 {
			names = append(names, "…")
			break
		}
		names = append(names, f.name+"/"+strconv.Itoa(f.clock))
	}
	if names == nil {
		return "nothing known"
	}
	return strings.Join(names, ", ")
}
