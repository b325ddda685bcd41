package sdp

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"strings"
)

// Suite is an SDES crypto-suite (RFC 4568, section 6.2; RFC 6188, section 4; RFC 7714, section 14.2) by its registered name.
type Suite string

// The suites that we speak.
const (
	AES128CM80 Suite = "AES_CM_128_HMAC_SHA1_80"
	AES128CM32 Suite = "AES_CM_128_HMAC_SHA1_32"
	AES256CM80 Suite = "AES_256_CM_HMAC_SHA1_80"
	AES256CM32 Suite = "AES_256_CM_HMAC_SHA1_32"
	AES128GCM  Suite = "AEAD_AES_128_GCM"
	AES256GCM  Suite = "AEAD_AES_256_GCM"
)

// Suites lists all suites, strongest first. The 32-bit authentication tags come last whatever their key length, for a forger needs fewer tries there.
func Suites() []Suite {
	return []Suite{AES256GCM, AES256CM80, AES128GCM, AES128CM80, AES256CM32, AES128CM32}
}

// KeyLen is the length of the master key in bytes, 0 for an unknown suite.
func (s Suite) KeyLen() int {
	switch s {
	case AES128CM80, AES128CM32, AES128GCM:
		return 16
	case AES256CM80, AES256CM32, AES256GCM:
		return 32
	}
	return 0
}

// SaltLen is the length of the master salt in bytes, 0 for an unknown suite.
func (s Suite) SaltLen() int {
	switch s {
	case AES128CM80, AES128CM32, AES256CM80, AES256CM32:
		return 14
	case AES128GCM, AES256GCM:
		return 12
	}
	return 0
}

// suiteNamed finds a suite by a name as the field spells it: AES_256_CM and AES_CM_256 are both seen, in any case.
func suiteNamed(name string) (Suite, bool) {
	name = strings.ToUpper(name)
	switch name {
	case "AES_CM_256_HMAC_SHA1_80":
		return AES256CM80, true
	case "AES_CM_256_HMAC_SHA1_32":
		return AES256CM32, true
	case "AES_128_CM_HMAC_SHA1_80":
		return AES128CM80, true
	case "AES_128_CM_HMAC_SHA1_32":
		return AES128CM32, true
	}
	s := Suite(name)
	return s, s.KeyLen() > 0
}

// minSeed is the entropy that the strongest suite asks for.
const minSeed = 32

// key derives our master key and salt for a suite (RFC 5869). No two suites and no two generations share key bits, so that a suite that
// comes back later in a dialog never sees the same key stream twice.
func (a *Abilities) key(s Suite, generation uint32) Key {
	k, err := hkdf.Key(sha256.New, a.KeySeed, nil, fmt.Sprintf("passerelle sdes %s %d", s, generation), s.KeyLen()+s.SaltLen())
	if err != nil { // only for lengths beyond 255 hashes
		panic(err)
	}
	return k
}

// suites are those that may be used at all.
func (a *Abilities) suites() []Suite {
	if a.Encryption == Off || len(a.KeySeed) < minSeed {
		return nil
	}
	return a.Suites
}
