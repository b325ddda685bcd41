package sip

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	sipgo "github.com/emiago/sipgo/sip"
	"golang.org/x/time/rate"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/sip/sdp"
	"passerelle/transcode"
)

// trunk is one peer of the configuration, ready to be matched.
type trunk struct {
	configs.Trunk
	addresses  []netip.Prefix
	named      []netip.Prefix // addresses without 0.0.0.0/0 and ::/0, which say that callers come from anywhere and tell nobody from others
	networks   []netip.Prefix // of media
	password   string
	codecs     []transcode.Codec
	encryption sdp.Encryption
	rate       *rate.Limiter

	mu    sync.Mutex
	calls int
}

const realmDefault = "sip" // says nothing about who we are

func newTrunks(list []configs.Trunk) ([]*trunk, error) {
	var trunks []*trunk
	for i, c := range list {
		t := &trunk{Trunk: c, rate: rate.NewLimiter(rate.Inf, 1), password: c.Digest.Password.Reveal()}
		fail := func(key string, err error) error { return fmt.Errorf("sip.trunks[%d].%s: %w", i, key, err) }
		var err error
		if t.addresses, err = egress.ParseNetworks(c.Addresses); err != nil {
			return nil, fail("addresses", err)
		}
		t.named = slices.DeleteFunc(slices.Clone(t.addresses), func(p netip.Prefix) bool { return p.Bits() == 0 })
		if t.networks, err = egress.ParseNetworks(c.MediaNetworks); err != nil {
			return nil, fail("media_networks", err)
		}
		if t.codecs, err = codecs(c.Codecs); err != nil {
			return nil, fail("codecs", err)
		}
		if t.encryption, err = encryption(c.Encryption); err != nil {
			return nil, fail("encryption", err)
		}
		if t.password == "" && c.Digest.PasswordFile != "" {
			b, err := os.ReadFile(c.Digest.PasswordFile)
			if err != nil {
				return nil, fail("digest.password_file", err)
			}
			t.password = strings.TrimSpace(string(b))
		}
		if t.Digest.User != "" && t.password == "" {
			return nil, fail("digest", fmt.Errorf("user %q has no password", c.Digest.User))
		}
		if len(t.addresses)+len(t.TLSNames) == 0 && t.Digest.User == "" {
			return nil, fail("addresses", fmt.Errorf("trunk %q would match every caller: name addresses, tls_names or digest", c.Name))
		}
		if t.Digest.Realm == "" {
			t.Digest.Realm = realmDefault
		}
		if c.CallRate > 0 {
			t.rate = rate.NewLimiter(rate.Limit(c.CallRate), burst(c.CallRate))
		}
		trunks = append(trunks, t)
	}
	return trunks, nil
}

// codecs turns names in order of preference into codecs; none: all.
func codecs(names []string) ([]transcode.Codec, error) {
	if len(names) == 0 {
		return transcode.Codecs(), nil
	}
	var out []transcode.Codec
	for _, n := range names {
		found := false
		for _, c := range transcode.Codecs() {
			if strings.EqualFold(c.Name, n) {
				out, found = append(out, c), true
			}
		}
		if !found {
			return nil, fmt.Errorf("%q is no codec, expected opus, G722, PCMA, PCMU or L16", n)
		}
	}
	return out, nil
}

func encryption(s string) (sdp.Encryption, error) {
	switch s {
	case "require":
		return sdp.Require, nil
	case "", "prefer":
		return sdp.Prefer, nil
	case "off":
		return sdp.Off, nil
	}
	return sdp.Off, fmt.Errorf("%q, expected require, prefer or off", s)
}

func contains(a netip.Addr, list []netip.Prefix) bool {
	a = a.WithZone("")
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// here tells whether what the path shows fits the trunk: the source address and the certificate.
func (t *trunk) here(p path) bool {
	if len(t.addresses) > 0 && !contains(p.remote.Addr(), t.addresses) {
		return false
	}
	return len(t.TLSNames) == 0 || t.certified(p) != ""
}

// certified is the one of the trunk's names that stands in the far end's certificate; empty: none does.
func (t *trunk) certified(p path) string {
	if p.stream == nil {
		return ""
	}
	for _, have := range p.stream.names {
		for _, want := range t.TLSNames {
			if strings.EqualFold(have, want) {
				return want
			}
		}
	}
	return ""
}

// identity is what is proven about a caller that the trunk let in: the number that the trunk vouches for, else who knew its password, else whose
// certificate was shown. Empty: only the address was looked at.
func (t *trunk) identity(p path, number string, proven bool) string {
	switch {
	case proven:
		return number
	case t.Digest.User != "":
		return t.Digest.User
	}
	return t.certified(p)
}

// match finds the first trunk whose address list, TLS names and digest all fit. Where only credentials are missing, it says what to challenge
// for; stale tells that the password was right and the nonce too old.
func (s *Server) match(req *sipgo.Request, p path) (t *trunk, challenge []challenge, stale bool) {
	for _, t := range s.trunks {
		if !t.here(p) {
			continue
		}
		if t.Digest.User == "" {
			return t, nil, false
		}
		switch s.digest.verify(req, t, p.remote.Addr()) {
		case digestRight:
			return t, nil, false
		case digestStale:
			stale = true
		case digestWrong:
			s.metrics.auth.Inc()
		}
		challenge = append(challenge, t.challenges()...)
	}
	return nil, challenge, stale
}

// peers tells whether the path alone shows a trunk, whatever its digest: enough to be told about errors, not enough to call.
func (s *Server) peers(p path) bool {
	for _, t := range s.trunks {
		if t.here(p) && (t.Digest.User == "" || len(t.TLSNames) > 0 || contains(p.remote.Addr(), t.named)) {
			return true
		}
	}
	return s.transport.gate.proved(p.remote.Addr())
}

// reach is where a call of the trunk may be sent to besides the national networks: to the trunk's, and back to where it comes from.
func (t *trunk) reach(source netip.Addr) []netip.Prefix {
	return append(slices.Concat(t.named, t.networks), netip.PrefixFrom(source, source.BitLen()))
}

// take counts a call in, or says why it may not.
func (t *trunk) take() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.MaxCalls > 0 && t.calls >= t.MaxCalls {
		return fmt.Errorf("trunk %s: %w", t.Name, bridge.ErrBusy)
	}
	if !t.rate.Allow() {
		return fmt.Errorf("trunk %s, too many new calls a second: %w", t.Name, bridge.ErrBusy)
	}
	t.calls++
	return nil
}

func (t *trunk) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls--
}
