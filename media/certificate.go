package media

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // peers may still name themselves by it
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// errFingerprint says that the far end is not who its signalling said.
var errFingerprint = errors.New("media: the far end's DTLS certificate does not match its fingerprint")

// certificate is what we show in DTLS. It lasts as long as the process: nobody checks more of it than its fingerprint.
type certificate struct {
	tls         tls.Certificate
	fingerprint string
}

// newCertificate makes one with a P-256 key (RFC 8827, section 6.5).
func newCertificate() (*certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: serial, NotBefore: now.AddDate(0, 0, -1), NotAfter: now.AddDate(5, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return &certificate{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, "sha-256 " + colons(sum[:])}, nil
}

// colons writes bytes as a=fingerprint does.
func colons(b []byte) string {
	var s strings.Builder
	for i, c := range b {
		if i > 0 {
			s.WriteByte(':')
		}
		fmt.Fprintf(&s, "%02X", c)
	}
	return s.String()
}

// fingerprint is a parsed a=fingerprint (RFC 8122, section 5).
type fingerprint struct {
	hash string
	sum  []byte
}

// parseFingerprint reads "sha-256 4A:AD:…", in any case.
func parseFingerprint(s string) (fingerprint, error) {
	name, digits, _ := strings.Cut(strings.TrimSpace(s), " ")
	sum, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), ":", ""))
	f := fingerprint{strings.ToLower(name), sum}
	if want := len(f.digest(nil)); err != nil || want == 0 || len(sum) != want {
		return fingerprint{}, fmt.Errorf("%w: fingerprint with hash %q and %d bytes", ErrParams, name, len(sum))
	}
	return f, nil
}

// digest hashes a certificate; nil: the hash is none that we take.
func (f fingerprint) digest(der []byte) []byte {
	switch f.hash {
	case "sha-1":
		b := sha1.Sum(der) //nolint:gosec // see above
		return b[:]
	case "sha-256":
		b := sha256.Sum256(der)
		return b[:]
	case "sha-384":
		b := sha512.Sum384(der)
		return b[:]
	case "sha-512":
		b := sha512.Sum512(der)
		return b[:]
	}
	return nil
}

// verify is dtls's VerifyPeerCertificate.
func (f fingerprint) verify(certs [][]byte, _ [][]*x509.Certificate) error {
	if len(certs) == 0 || !bytes.Equal(f.digest(certs[0]), f.sum) {
		return errFingerprint
	}
	return nil
}
