package links

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// minSecret is the shortest shared secret, in bytes: HS256 is as strong as its secret (RFC 7518, section 3.2).
const minSecret = 32

// Keys are what links are signed and checked with: the Ed25519 keys in a directory, one PEM file (PKCS #8) each, of which the last by name signs; or
// shared secrets (HS256), of which the first signs. A token names its key (kid), so that old links live on after a new key was made, until the old key
// is deleted. The directory is read again when it changes. Methods may be called from any goroutine.
type Keys struct {
	dir string

	mu      sync.Mutex
	secrets []key
	files   []key     // in the order of their names
	changed time.Time // of the directory, when it was read
	looked  time.Time
}

// key is one of them.
type key struct {
	id      string
	method  jwt.SigningMethod
	private any // ed25519.PrivateKey, or []byte
	public  any // ed25519.PublicKey, or []byte
}

// OpenKeys reads the keys of a directory, which is made, with a first key, where there are neither keys nor secrets. secrets has one on each line.
func OpenKeys(dir, secrets string) (*Keys, error) {
	k := &Keys{dir: dir}
	for s := range strings.FieldsSeq(secrets) {
		if len(s) < minSecret {
			return nil, fmt.Errorf("a secret for links has %d characters at least; %q makes one", minSecret, "openssl rand -hex 32")
		}
		sum := sha256.Sum256([]byte("passerelle link kid\x00" + s))
		k.secrets = append(k.secrets, key{id: "s" + hex.EncodeToString(sum[:4]), method: jwt.SigningMethodHS256, private: []byte(s), public: []byte(s)})
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keys for links: %w", err)
	}
	if err := k.load(); err != nil {
		return nil, err
	}
	if len(k.secrets) == 0 && len(k.files) == 0 {
		if _, err := k.Rotate(); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Rotate makes a new key, which signs from now on, and tells its id. Where there are secrets, they go on signing.
func (k *Keys) Rotate() (id string, err error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", err
	}
	id = keyID(public)
	name := filepath.Join(k.dir, time.Now().UTC().Format("20060102T150405.000000000Z-")+id+".pem")
	if err := os.WriteFile(name+".new", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return "", err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return id, k.load()
}

// signer is the key for new links.
func (k *Keys) signer() (key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.secrets) > 0 {
		return k.secrets[0], nil
	}
	k.refresh()
	if n := len(k.files); n > 0 {
		return k.files[n-1], nil
	}
	return key{}, fmt.Errorf("no key for links is left in %s; `passerelle link rotate` makes one", k.dir)
}

// find is the key that a token names. A token of HS256 may name none: systems that share the secret need not know our ids.
func (k *Keys) find(id, method string) (key, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refresh()
	if id == "" && method == jwt.SigningMethodHS256.Alg() && len(k.secrets) > 0 {
		return k.secrets[0], true
	}
	for _, list := range [...][]key{k.secrets, k.files} {
		i := slices.IndexFunc(list, func(c key) bool { return c.id == id && c.method.Alg() == method })
		if i >= 0 {
			return list[i], true
		}
	}
	return key{}, false
}

// refresh reads the directory again where it changed, once a second at most. What cannot be read leaves the keys as they were. k.mu is held.
func (k *Keys) refresh() {
	if time.Since(k.looked) < time.Second {
		return
	}
	k.looked = time.Now()
	if i, err := os.Stat(k.dir); err == nil && !i.ModTime().Equal(k.changed) {
		_ = k.load()
	}
}

// load reads the directory.
func (k *Keys) load() error {
	i, err := os.Stat(k.dir)
	if err != nil {
		return fmt.Errorf("keys for links: %w", err)
	}
	names, err := filepath.Glob(filepath.Join(k.dir, "*.pem"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	var files []key
	for _, name := range names {
		c, err := readKey(name)
		if err != nil {
			return fmt.Errorf("key for links %s: %w", name, err)
		}
		files = append(files, c)
	}
	k.files, k.changed = files, i.ModTime()
	return nil
}

func readKey(name string) (key, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return key{}, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return key{}, errors.New("no PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return key{}, err
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return key{}, fmt.Errorf("%T is not an Ed25519 key", parsed)
	}
	public := private.Public().(ed25519.PublicKey)
	return key{id: keyID(public), method: jwt.SigningMethodEdDSA, private: private, public: public}, nil
}

// keyID is what a token names its key by.
func keyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:6])
}
