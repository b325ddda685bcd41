package sdp

import (
	"fmt"
	"strconv"
	"strings"
)

// description is what of an SDP body matters to us.
type description struct {
	connection string // value of the session's c= line; empty: none
	attributes []attribute
	media      []section
}

// section is one m-line with what follows it.
type section struct {
	kind, proto string // as written; printable ASCII without spaces
	port        uint16
	formats     []string
	connection  string
	attributes  []attribute
}

// attribute is one a= line, its name in lower case.
type attribute struct{ name, value string }

// parse reads a body (RFC 8866, section 5) and forgives what field devices get wrong: line ends of any kind, missing v=, o=, s= and t= lines,
// lines in any order within their level, unknown lines, junk. What it must understand is m=, because an answer has to match it.
func parse(body []byte) (*description, error) {
	if len(body) > maxBody {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(body))
	}
	d := &description{}
	for line := range strings.FieldsFuncSeq(string(body), func(r rune) bool { return r == '\r' || r == '\n' || r == 0 }) {
		line = strings.TrimSpace(line)
		if len(line) < 2 || line[1] != '=' {
			continue
		}
		if err := d.add(line[0], strings.TrimSpace(line[2:])); err != nil {
			return nil, err
		}
	}
	if len(d.media) == 0 {
		return nil, fmt.Errorf("%w: no m= line", ErrMalformed)
	}
	return d, nil
}

// add reads one line into the level where it stands.
func (d *description) add(kind byte, value string) error {
	connection, attributes := &d.connection, &d.attributes
	if n := len(d.media); n > 0 {
		connection, attributes = &d.media[n-1].connection, &d.media[n-1].attributes
	}
	switch kind {
	case 'm':
		s, err := parseMedia(value)
		if err != nil {
			return err
		}
		if len(d.media) == maxMedia {
			return fmt.Errorf("%w: more than %d m= lines", ErrMalformed, maxMedia)
		}
		d.media = append(d.media, s)
	case 'c':
		if *connection == "" {
			*connection = value
		}
	case 'a':
		name, rest, _ := strings.Cut(value, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if !matters(name) {
			return nil
		}
		if len(*attributes) == maxAttributes {
			return fmt.Errorf("%w: more than %d attributes", ErrMalformed, maxAttributes)
		}
		*attributes = append(*attributes, attribute{name, strings.TrimSpace(rest)})
	}
	return nil
}

// matters tells whether an attribute is one that we act on. All others are forgotten at once.
func matters(name string) bool {
	switch name {
	case "rtpmap", "fmtp", "ptime", "maxptime", "sendrecv", "sendonly", "recvonly", "inactive", "crypto", "fingerprint", "setup", "tls-id",
		"rtcp", "rtcp-mux", "mid", "group":
		return true
	}
	return false
}

// parseMedia reads an m-line: kind, port with an optional count, proto, formats (RFC 8866, section 5.14). A refused line without any format is
// let through, since a few devices send it.
func parseMedia(value string) (section, error) {
	f := strings.Fields(value)
	if len(f) < 3 || len(f) > 3+maxFormats {
		return section{}, fmt.Errorf("%w: m= line of %d fields", ErrMalformed, len(f))
	}
	for _, token := range f {
		if !printable(token) {
			return section{}, fmt.Errorf("%w: odd bytes in an m= line", ErrMalformed)
		}
	}
	port, _, _ := strings.Cut(f[1], "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return section{}, fmt.Errorf("%w: port %.10q in an m= line", ErrMalformed, port)
	}
	return section{kind: f[0], port: uint16(n), proto: f[2], formats: f[3:]}, nil
}

// printable tells whether a token can be echoed into a line of ours.
func printable(token string) bool {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return token != ""
}

// get returns the first attribute of that name.
func get(attributes []attribute, name string) (string, bool) {
	for _, a := range attributes {
		if a.name == name {
			return a.value, true
		}
	}
	return "", false
}

// inherited is an attribute of the section, or else of the session.
func (d *description) inherited(s *section, name string) (string, bool) {
	if v, ok := get(s.attributes, name); ok {
		return v, true
	}
	return get(d.attributes, name)
}
