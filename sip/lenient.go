package sip

import (
	"bytes"
	"strings"

	sipgo "github.com/emiago/sipgo/sip"
)

// tidy writes parameter names as the rest of the package looks for them: without the white space that may stand around them, in lower case
// (RFC 3261, section 7.3.1). sipgo keeps both as they came.
func tidy(m sipgo.Message) {
	if h := m.Via(); h != nil {
		tidyParams(h.Params)
	}
	if h := m.From(); h != nil {
		tidyParams(h.Params)
		tidyParams(h.Address.UriParams)
	}
	if h := m.To(); h != nil {
		tidyParams(h.Params)
		tidyParams(h.Address.UriParams)
	}
	for _, h := range m.GetHeaders("record-route") {
		if r, ok := h.(*sipgo.RecordRouteHeader); ok {
			tidyParams(r.Address.UriParams)
		}
	}
	for _, h := range m.GetHeaders("contact") {
		if c, ok := h.(*sipgo.ContactHeader); ok {
			tidyParams(c.Address.UriParams)
		}
	}
}

func tidyParams(p sipgo.HeaderParams) {
	for i := range p {
		p[i].K = strings.ToLower(strings.TrimSpace(p[i].K))
		p[i].V = strings.TrimSpace(p[i].V)
	}
}

// parseDatagram parses a datagram. Where white space in places in which the grammar allows and nobody writes it keeps sipgo from reading the
// top Via or a method, it is taken out and read again.
func parseDatagram(p *sipgo.Parser, b []byte) (sipgo.Message, error) {
	m, err := p.ParseSIP(b)
	if err == nil && (m.Via() == nil || m.Via().Host == "" || m.CSeq() == nil || strings.Contains(string(m.CSeq().MethodName), " ")) {
		return p.ParseSIP(respace(b))
	}
	return m, err
}

// respace takes the white space around ; = / and , out of Via and makes one space of many in Via and CSeq.
func respace(b []byte) []byte {
	head, body, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	text := string(head)
	for _, fold := range []string{"\r\n ", "\r\n\t"} {
		text = strings.ReplaceAll(text, fold, " ")
	}
	lines := strings.Split(text, "\r\n")
	for i, l := range lines {
		name, value, ok := strings.Cut(l, ":")
		if !ok || i == 0 {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "via", "v":
			value = strings.Join(strings.Fields(value), " ")
			for _, c := range []string{";", "=", "/", ","} {
				value = strings.ReplaceAll(strings.ReplaceAll(value, " "+c, c), c+" ", c)
			}
		case "cseq":
			value = strings.Join(strings.Fields(value), " ")
		default:
			continue
		}
		lines[i] = name + ": " + value
	}
	return append([]byte(strings.Join(lines, "\r\n")+"\r\n\r\n"), body...)
}
