package media

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// replayWindow is how many packets back a packet may come (RFC 3711, section 3.3.2, wants 64 at least).
const replayWindow = 128

// errKeys hides which part of a key was wrong.
var errKeys = errors.New("its key cannot be used")

// profiles are the SRTP profiles by their names in a=crypto (RFC 4568, RFC 6188, RFC 7714), best first.
func profiles() []profile {
	return []profile{
		{"AEAD_AES_256_GCM", srtp.ProtectionProfileAeadAes256Gcm, 0},
		{"AEAD_AES_128_GCM", srtp.ProtectionProfileAeadAes128Gcm, 0},
		{"AES_256_CM_HMAC_SHA1_80", srtp.ProtectionProfileAes256CmHmacSha1_80, 10},
		{"AES_CM_128_HMAC_SHA1_80", srtp.ProtectionProfileAes128CmHmacSha1_80, 10},
		{"AES_256_CM_HMAC_SHA1_32", srtp.ProtectionProfileAes256CmHmacSha1_32, 4},
		{"AES_CM_128_HMAC_SHA1_32", srtp.ProtectionProfileAes128CmHmacSha1_32, 4},
	}
}

// profile is one way to encrypt.
type profile struct {
	name string
	id   srtp.ProtectionProfile
	tag  int // bytes of the tag that follows an MKI in RTP; in RTCP it is 10 wherever it is not 0
}

// Profiles names the SRTP profiles that a stream can use, best first.
func Profiles() []string {
	var names []string
	for _, p := range profiles() {
		names = append(names, p.name)
	}
	return names
}

// KeyLength is the length of a profile's master key and salt together, in bytes; 0: unknown profile.
func KeyLength(name string) int {
	for _, p := range profiles() {
		if p.name == name {
			key, _ := p.id.KeyLen()
			salt, _ := p.id.SaltLen()
			return key + salt
		}
	}
	return 0
}

// keys has the four directions of a keyed stream. Each context has one user: the RTP read goroutine, the sender's lock, and the reports' lock.
type keys struct {
	profile           profile
	mki               int
	rtpIn, rtpOut     *srtp.Context
	rtcpIn, rtcpOut   *srtp.Context
	headerIn, headOut rtp.Header // scratch of rtpIn and rtpOut
	rtcpHeader        rtcp.Header
}

// newKeys makes contexts out of master keys with their salts.
func newKeys(name string, local, remote []byte, mki int) (*keys, error) {
	k := &keys{mki: mki}
	for _, p := range profiles() {
		if p.name == name {
			k.profile = p
		}
	}
	n, err := k.profile.id.KeyLen()
	if err != nil {
		return nil, fmt.Errorf("%w: SRTP profile %q", ErrParams, name)
	}
	if len(local) != KeyLength(name) || len(remote) != KeyLength(name) || mki < 0 || mki > 128 {
		return nil, fmt.Errorf("%w: %s: %w", ErrParams, name, errKeys)
	}
	replay := []srtp.ContextOption{srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow)}
	for _, c := range []struct {
		to  **srtp.Context
		key []byte
	}{{&k.rtpIn, remote}, {&k.rtcpIn, remote}, {&k.rtpOut, local}, {&k.rtcpOut, local}} {
		if *c.to, err = srtp.CreateContext(c.key[:n], c.key[n:], k.profile.id, replay...); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrParams, name, errKeys)
		}
	}
	return k, nil
}

// inherit goes on in each direction whose key stays. A context that began anew under an old key would encrypt with what it used before, and the
// far end would no longer agree how often the sequence numbers have wrapped.
func (k *keys) inherit(old *keys, was, is *SDES) {
	if was.Profile != is.Profile {
		return
	}
	if bytes.Equal(was.LocalKey, is.LocalKey) {
		k.rtpOut, k.rtcpOut = old.rtpOut, old.rtcpOut
	}
	if bytes.Equal(was.RemoteKey, is.RemoteKey) {
		k.rtpIn, k.rtcpIn = old.rtpIn, old.rtcpIn
	}
}

// decryptRTP works in place and gives the packet's new length.
func (k *keys) decryptRTP(b []byte) (int, error) {
	b = cutMKI(b, k.mki, k.profile.tag)
	k.headerIn = rtp.Header{Extensions: k.headerIn.Extensions[:0], CSRC: k.headerIn.CSRC[:0]}
	out, err := k.rtpIn.DecryptRTP(b, b, &k.headerIn)
	return len(out), err
}

// encryptRTP works in place; b needs room for the tag behind it.
func (k *keys) encryptRTP(b []byte) ([]byte, error) {
	k.headOut = rtp.Header{}
	return k.rtpOut.EncryptRTP(b, b, &k.headOut)
}

// decryptRTCP works in place.
func (k *keys) decryptRTCP(b []byte) ([]byte, error) {
	tag := 0
	if k.profile.tag != 0 {
		tag = 10
	}
	b = cutMKI(b, k.mki, tag)
	return k.rtcpIn.DecryptRTCP(b, b, &k.rtcpHeader)
}

// encryptRTCP returns a new slice.
func (k *keys) encryptRTCP(b []byte) ([]byte, error) {
	return k.rtcpOut.EncryptRTCP(nil, b, &k.rtcpHeader)
}

// cutMKI takes a master key identifier out from before the tag (RFC 3711, section 3.1). It is not authenticated and, with one key, says nothing.
func cutMKI(b []byte, mki, tag int) []byte {
	if mki == 0 || len(b) < mki+tag {
		return b
	}
	copy(b[len(b)-mki-tag:], b[len(b)-tag:])
	return b[:len(b)-mki]
}
