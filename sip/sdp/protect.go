package sdp

import (
	"bytes"
	"fmt"
	"strings"

	"passerelle/bridge"
)

// profile is what a transport of an m-line promises.
type profile struct {
	secure bool // media must be SRTP
	dtls   bool // with keys from DTLS
}

// profileOf knows the RTP profiles (RFC 3551, 3711, 4585, 5124, 5764).
func profileOf(proto string) (profile, bool) {
	switch strings.ToUpper(proto) {
	case "RTP/AVP", "RTP/AVPF":
		return profile{}, true
	case "RTP/SAVP", "RTP/SAVPF":
		return profile{secure: true}, true
	case "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF":
		return profile{secure: true, dtls: true}, true
	}
	return profile{}, false
}

// protection is how an offered line will be protected, and what the answer says about it.
type protection struct {
	Protection
	crypto *crypto // SDES: our line
	setup  string  // DTLS: our role
	held   bool    // DTLS: a=setup:holdconn, no media for now
}

// protect chooses the protection of an offered line: DTLS, else SDES, else none, as far as the policy and the profile let it.
func (d *description) protect(s *section, a *Abilities, old *State) (protection, uint32, error) {
	generation := old.generation
	p, _ := profileOf(s.proto)
	if a.Encryption == Off {
		if p.secure {
			return protection{}, generation, fmt.Errorf("%w: offered %s only, and encryption is off on this side", bridge.ErrNotEncrypted, s.proto)
		}
		return protection{}, generation, nil
	}
	if dtls := d.dtls(s); dtls != nil && a.Fingerprint != "" {
		var same *DTLS
		if was := old.agreed.Protection.DTLS; dtls.Same(was) {
			same = was
		}
		offered := d.setup(s, active) // which is what an offer without a=setup means (RFC 4145, section 4)
		role := answerRole(offered, same, d.reachable(s))
		dtls.Active = role == active
		return protection{Protection: Protection{DTLS: dtls}, setup: role, held: role == holdconn}, generation, nil
	}
	if theirs, ok := strongest(s.cryptos(), a.suites()); ok && !p.dtls {
		if was := old.agreed.Protection.SDES; was != nil && (was.Suite != theirs.suite || !bytes.Equal(was.Remote, theirs.key)) {
			generation++ // a far end with a new key has new SRTP state, which must not meet our old rollover counter
		}
		ours := crypto{tag: theirs.tag, name: theirs.name, suite: theirs.suite, key: a.key(theirs.suite, generation)}
		sdes := &SDES{Suite: theirs.suite, Local: ours.key, Remote: theirs.key, MKI: theirs.mki}
		return protection{Protection: Protection{SDES: sdes}, crypto: &ours}, generation, nil
	}
	if p.secure {
		return protection{}, generation, fmt.Errorf("%w: %s with %s; we speak %s", bridge.ErrNotEncrypted, s.proto, d.keys(s), a.keys())
	}
	if a.Encryption == Require {
		return protection{}, generation, fmt.Errorf("%w: offered clear %s with %s; we speak %s", bridge.ErrNotEncrypted, s.proto, d.keys(s), a.keys())
	}
	return protection{}, generation, nil
}

// keys says in an error message which keying a line has, without the keys.
func (d *description) keys(s *section) string {
	var names []string
	for _, at := range s.attributes {
		if f := strings.Fields(at.value); at.name == "crypto" && len(f) > 1 && printable(f[1]) && len(f[1]) <= 40 && len(names) < 8 {
			names = append(names, f[1])
		}
	}
	if hash, _ := d.fingerprint(s); hash != "" {
		names = append(names, "DTLS "+hash)
	}
	if names == nil {
		return "no keys"
	}
	return strings.Join(names, ", ")
}

// keys says in an error message which keying we speak.
func (a *Abilities) keys() string {
	var names []string
	for _, s := range a.suites() {
		names = append(names, string(s))
	}
	if a.Fingerprint != "" {
		names = append(names, "DTLS")
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}
