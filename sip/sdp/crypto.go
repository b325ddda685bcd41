package sdp

import (
	"bytes"
	"encoding/base64"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// crypto is one a=crypto line (RFC 4568, section 9.1): tag, suite, keys, session parameters.
type crypto struct {
	tag   string // digits; echoed
	name  string // of the suite, as written; echoed
	suite Suite
	key   Key
	mki   []byte
}

// maxMKI is the longest master key identifier in bytes (RFC 4568, section 6.1).
const maxMKI = 128

// cryptos reads the a=crypto lines that we can use. Others are left out, as RFC 4568, section 5.1.2 has it.
func (s *section) cryptos() (list []crypto) {
	for _, a := range s.attributes {
		if a.name != "crypto" {
			continue
		}
		if c, ok := parseCrypto(a.value); ok {
			list = append(list, c)
		}
	}
	return list
}

// parseCrypto reads a crypto attribute's value. Of several keys the first is used. The lifetime is not looked at: the shortest that is ever
// seen is longer than a call.
func parseCrypto(value string) (crypto, bool) {
	f := strings.Fields(value)
	if len(f) < 3 || !isTag(f[0]) || !printable(f[1]) || slices.ContainsFunc(f[3:], refused) {
		return crypto{}, false
	}
	suite, ok := suiteNamed(f[1])
	if !ok {
		return crypto{}, false
	}
	first, _, _ := strings.Cut(f[2], ";")
	method, info, _ := strings.Cut(first, ":")
	if !strings.EqualFold(method, "inline") {
		return crypto{}, false
	}
	part := strings.Split(info, "|")
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(part[0], "="))
	if err != nil || len(key) != suite.KeyLen()+suite.SaltLen() {
		return crypto{}, false
	}
	c := crypto{tag: f[0], name: f[1], suite: suite, key: key}
	for _, p := range part[1:] {
		if value, length, found := strings.Cut(p, ":"); found { // a lifetime has no colon
			if c.mki, ok = parseMKI(value, length); !ok {
				return crypto{}, false
			}
		}
	}
	return c, true
}

func isTag(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil && len(s) <= 9
}

// refused tells whether a session parameter makes a line unusable (RFC 4568, section 6.3). Those that take encryption or authentication away
// do; so does what we do not know, unless it is marked as optional by a leading "-". WSH is only a hint.
func refused(param string) bool {
	return !strings.HasPrefix(param, "-") && !strings.HasPrefix(strings.ToUpper(param), "WSH=") && param != "KDR=0"
}

// parseMKI turns a decimal value and a length in bytes into what packets carry.
func parseMKI(value, length string) ([]byte, bool) {
	n, err := strconv.Atoi(length)
	if err != nil || n < 1 || n > maxMKI || len(value) > 3*maxMKI {
		return nil, false
	}
	v, ok := new(big.Int).SetString(value, 10)
	if !ok || v.Sign() < 0 || v.BitLen() > 8*n {
		return nil, false
	}
	return v.FillBytes(make([]byte, n)), true
}

// line is the attribute's value.
func (c crypto) line() string {
	return c.tag + " " + c.name + " inline:" + base64.StdEncoding.EncodeToString(c.key)
}

// strongest picks the line whose suite comes first in Suites among those allowed.
func strongest(offered []crypto, allowed []Suite) (crypto, bool) {
	for _, s := range Suites() {
		if !slices.Contains(allowed, s) {
			continue
		}
		if i := slices.IndexFunc(offered, func(c crypto) bool { return c.suite == s }); i >= 0 {
			return offered[i], true
		}
	}
	return crypto{}, false
}

// answered finds the line of ours that a line of the answer belongs to: same tag and suite, or only the suite from devices that number anew. A key
// that is ours, sent back, would make both ways use one key stream: it is no answer.
func answered(ours, theirs []crypto) (our, their crypto, ok bool) {
	for _, sameTag := range [...]bool{true, false} {
		for _, t := range theirs {
			for _, o := range ours {
				if o.suite == t.suite && (!sameTag || o.tag == t.tag) && !bytes.Equal(o.key, t.key) {
					return o, t, true
				}
			}
		}
	}
	return crypto{}, crypto{}, false
}

// offerCryptos makes one line for each suite, strongest first.
func (a *Abilities) offerCryptos(generation uint32) (list []crypto) {
	allowed := a.suites()
	for _, s := range Suites() {
		if slices.Contains(allowed, s) {
			list = append(list, crypto{tag: strconv.Itoa(len(list) + 1), name: string(s), suite: s, key: a.key(s, generation)})
		}
	}
	return list
}
