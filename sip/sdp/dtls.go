package sdp

import (
	"encoding/hex"
	"strings"
)

// fingerprint finds the far end's certificate fingerprint (RFC 8122, section 5), at the media level or else at the session level, and of
// several the one with the longest hash. MD2 and MD5 prove nothing and are not read.
func (d *description) fingerprint(s *section) (hash string, digest []byte) {
	for _, level := range [...][]attribute{s.attributes, d.attributes} {
		for _, a := range level {
			if a.name != "fingerprint" {
				continue
			}
			name, value, _ := strings.Cut(a.value, " ")
			name = strings.ToLower(name)
			raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(value), ":", ""))
			if err == nil && len(raw) == hashLen(name) && len(raw) > len(digest) {
				hash, digest = name, raw
			}
		}
		if digest != nil {
			break
		}
	}
	return hash, digest
}

func hashLen(name string) int {
	switch name {
	case "sha-1":
		return 20
	case "sha-224":
		return 28
	case "sha-256":
		return 32
	case "sha-384":
		return 48
	case "sha-512":
		return 64
	}
	return -1
}

// The a=setup roles (RFC 4145, section 4).
const (
	active   = "active"
	passive  = "passive"
	actpass  = "actpass"
	holdconn = "holdconn"
)

// setup is the far end's role, in lower case; otherwise stands for an absent or unknown one.
func (d *description) setup(s *section, otherwise string) string {
	v, _ := d.inherited(s, "setup")
	switch v = strings.ToLower(v); v {
	case active, passive, actpass, holdconn:
		return v
	}
	return otherwise
}

// dtls is what a section says about DTLS; nil where it has no usable fingerprint.
func (d *description) dtls(s *section) *DTLS {
	hash, digest := d.fingerprint(s)
	if digest == nil {
		return nil
	}
	id, _ := d.inherited(s, "tls-id")
	return &DTLS{Hash: hash, Fingerprint: digest, ID: id}
}

// answerRole is our a=setup against an offered one. An association that lives keeps its roles (RFC 8842, section 5.5). Where the choice is ours we
// are active, unless it is not known yet where a first message of ours would have to go.
func answerRole(offered string, same *DTLS, known bool) string {
	switch offered {
	case active:
		return passive
	case passive:
		return active
	case holdconn:
		return holdconn
	}
	if same != nil && same.Active || same == nil && known {
		return active
	}
	return passive
}
