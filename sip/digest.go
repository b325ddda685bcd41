package sip

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/icholy/digest"

	sipgo "github.com/emiago/sipgo/sip"
)

const (
	nonceFor  = 5 * time.Minute
	maxNonces = 8192 // whose count is remembered
)

// digestResult says what credentials are worth.
type digestResult int

const (
	digestNone  digestResult = iota // none for this user and realm
	digestWrong                     // or replayed
	digestStale                     // right, but the nonce is too old
	digestRight
)

// digestServer asks callers for their password (RFC 3261, section 22; RFC 8760). A nonce is a time, random bytes and an HMAC over both and
// the source address, so that nothing is kept for those who never answer. For those who do, the highest count (nc) of each nonce is kept: a
// count that was seen is a replay. The algorithm is SHA-256 or MD5 with qop=auth; without qop there is no count, so it is not taken.
type digestServer struct {
	key [32]byte

	mu     sync.Mutex
	counts map[string]int // nonce → highest nc
	floor  time.Time      // nonces made before this and not in counts were forgotten: they are stale
}

func newDigestServer() *digestServer {
	d := &digestServer{counts: map[string]int{}}
	_, _ = rand.Read(d.key[:]) // never fails (crypto/rand)
	return d
}

func (d *digestServer) nonce(source netip.Addr) string {
	var b [16 + 32]byte
	binary.BigEndian.PutUint64(b[:], uint64(time.Now().UnixNano()))
	_, _ = rand.Read(b[8:16])
	copy(b[16:], d.mac(b[:16], source))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (d *digestServer) mac(b []byte, source netip.Addr) []byte {
	h := hmac.New(sha256.New, d.key[:])
	h.Write(b)
	a := source.As16()
	h.Write(a[:])
	return h.Sum(nil)
}

// made says when a nonce of ours was made.
func (d *digestServer) made(nonce string, source netip.Addr) (time.Time, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(b) != 48 || !hmac.Equal(b[16:], d.mac(b[:16], source)) {
		return time.Time{}, false
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(b))), true
}

// challenge is what a caller is asked for.
type challenge struct{ realm, algorithm string }

// challenges are those of a trunk, the strongest first.
func (t *trunk) challenges() (list []challenge) {
	for _, a := range []string{"SHA-256", "MD5"} {
		if len(t.Digest.Algorithms) == 0 || slices.Contains(t.Digest.Algorithms, a) {
			list = append(list, challenge{t.Digest.Realm, a})
		}
	}
	return list
}

// headers are the WWW-Authenticate headers, each once.
func (d *digestServer) headers(list []challenge, source netip.Addr, stale bool) []sipgo.Header {
	nonce := d.nonce(source)
	var out []sipgo.Header
	for i, c := range list {
		if slices.Contains(list[:i], c) {
			continue
		}
		h := digest.Challenge{Realm: c.realm, Nonce: nonce, Algorithm: c.algorithm, QOP: []string{"auth"}, Stale: stale}
		out = append(out, sipgo.NewHeader("WWW-Authenticate", h.String()))
	}
	return out
}

// verify looks for the trunk's user among the credentials of a request.
func (d *digestServer) verify(req *sipgo.Request, t *trunk, source netip.Addr) digestResult {
	for _, h := range req.GetHeaders("authorization") {
		c, err := digest.ParseCredentials(h.Value())
		if err != nil || c.Username != t.Digest.User || c.Realm != t.Digest.Realm {
			continue
		}
		return d.check(c, req.Method.String(), t, source)
	}
	return digestNone
}

func (d *digestServer) check(c *digest.Credentials, method string, t *trunk, source netip.Addr) digestResult {
	made, ours := d.made(c.Nonce, source)
	algorithm := strings.ToUpper(c.Algorithm)
	if algorithm == "" {
		algorithm = "MD5"
	}
	if !ours || c.QOP != "auth" || c.Cnonce == "" || c.Nc <= 0 || !slices.Contains(t.challenges(), challenge{c.Realm, algorithm}) {
		return digestWrong
	}
	chal := &digest.Challenge{Realm: c.Realm, Nonce: c.Nonce, Algorithm: c.Algorithm, QOP: []string{"auth"}}
	// The URI of the credentials is taken as it is: proxies rewrite the one of the request. What it could be used for is bounded by the nonce's
	// count and age.
	want, err := digest.Digest(chal, digest.Options{
		Method: method, URI: c.URI, Username: t.Digest.User, Password: t.password, Count: c.Nc, Cnonce: c.Cnonce,
	})
	if err != nil || subtle.ConstantTimeCompare([]byte(want.Response), []byte(strings.ToLower(c.Response))) != 1 {
		return digestWrong
	}
	return d.count(c.Nonce, c.Nc, made)
}

// count refuses a count that was used.
func (d *digestServer) count(nonce string, nc int, made time.Time) digestResult {
	now := time.Now()
	if now.Sub(made) > nonceFor {
		return digestStale
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	last, seen := d.counts[nonce]
	if !seen && !made.After(d.floor) {
		return digestStale
	}
	if nc <= last {
		return digestWrong
	}
	if !seen && len(d.counts) >= maxNonces { // all nonces up to now that are not in the map are stale from here on
		clear(d.counts)
		d.floor = now
		return digestStale
	}
	d.counts[nonce] = nc
	return digestRight
}
