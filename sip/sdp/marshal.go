package sdp

import (
	"fmt"
	"strconv"
	"strings"
)

// marshal writes the description and keeps account of its version in st: it rises by one when anything but o= differs from what was sent before
// (RFC 3264, section 8), and the bytes are the same when nothing does.
func marshal(a *Abilities, st *State) []byte {
	var b strings.Builder
	family := "IP4"
	if a.Address.Is6() && !a.Address.Is4In6() {
		family = "IP6"
	}
	address := family + " " + a.Address.Unmap().WithZone("").String()
	fmt.Fprintf(&b, "s=%s\r\nc=IN %s\r\nt=0 0\r\n", a.name(), address)
	if st.open() && st.stream.bundle {
		fmt.Fprintf(&b, "a=group:BUNDLE %s\r\n", st.stream.mid)
	}
	for i, l := range st.lines {
		if i == st.audio && !l.refused {
			st.stream.marshal(&b, l)
			continue
		}
		formats := l.formats
		if len(formats) == 0 {
			formats = []string{"0"} // the grammar wants one
		}
		fmt.Fprintf(&b, "m=%s 0 %s %s\r\n", l.kind, l.proto, strings.Join(formats, " "))
	}
	if body := b.String(); body != st.body {
		st.body = body
		st.version++
	}
	return fmt.Appendf(nil, "v=0\r\no=%s %d %d IN %s\r\n%s", a.name(), a.SessionID, st.version, address, st.body)
}

// marshal writes the audio line and its attributes.
func (s *stream) marshal(b *strings.Builder, l line) {
	fmt.Fprintf(b, "m=%s %d %s", l.kind, s.port, l.proto)
	for _, f := range s.formats {
		fmt.Fprintf(b, " %d", f.pt)
	}
	b.WriteString("\r\n")
	attribute := func(name, value string) { fmt.Fprintf(b, "a=%s:%s\r\n", name, value) }
	for _, f := range s.formats {
		pt := strconv.Itoa(int(f.pt))
		attribute("rtpmap", pt+" "+f.rtpmap())
		if f.fmtp != "" {
			attribute("fmtp", pt+" "+f.fmtp)
		}
	}
	attribute("ptime", strconv.Itoa(s.ptime))
	for _, c := range s.crypto {
		attribute("crypto", c.line())
	}
	if s.print != "" {
		attribute("fingerprint", s.print)
		attribute("setup", s.setup)
	}
	if s.mux {
		b.WriteString("a=rtcp-mux\r\n")
	}
	if s.mid != "" {
		attribute("mid", s.mid)
	}
	fmt.Fprintf(b, "a=%s\r\n", s.direction)
}
