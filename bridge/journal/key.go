package journal

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"passerelle/configs"
)

const (
	keyName    = "journal.key"
	maxKeyFile = 64 << 10
)

// LoadKey reads the key that signs the heads of a journal: the configured one, or the one that the node made in the journal's directory.
func LoadKey(cfg configs.Journal) (ed25519.PrivateKey, error) {
	path := cfg.KeyFile
	if path == "" {
		dir, err := stateDir(cfg.Dir)
		if err != nil {
			return nil, err
		}
		path = filepath.Join(dir, keyName)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("the key of the journal: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("the key of the journal: every user can use %s (%v): expected mode 0600 or 0640", path, info.Mode().Perm())
	}
	key, err := readPEM(path, "PRIVATE KEY", x509.ParsePKCS8PrivateKey)
	if err != nil {
		return nil, err
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a key of another kind: expected Ed25519, as openssl genpkey -algorithm ed25519 makes one", path)
	}
	return private, nil
}

// makeKey makes a key and puts it into a file, which appears as a whole. One that is there stays: fs.ErrExist.
func makeKey(path string) error {
	if _, err := os.Stat(path); err == nil {
		return fs.ErrExist
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil { // unlike Rename, never replaces a key
		return err
	}
	return syncDir(filepath.Dir(path))
}

// ReadPublicKey reads a public key in PEM, as MarshalPublicKey writes it.
func ReadPublicKey(path string) (ed25519.PublicKey, error) {
	key, err := readPEM(path, "PUBLIC KEY", x509.ParsePKIXPublicKey)
	if err != nil {
		return nil, err
	}
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a key of another kind: expected Ed25519", path)
	}
	return public, nil
}

// MarshalPublicKey writes a public key in PEM.
func MarshalPublicKey(key ed25519.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// Fingerprint names a public key: the first 16 hexadecimal digits of the SHA-256 hash of its 32 bytes.
func Fingerprint(key ed25519.PublicKey) string { return Hash(sha256.Sum256(key)).String()[:16] }

func readPEM(path, kind string, parse func([]byte) (any, error)) (any, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s is not a PEM file with a %q block", path, kind)
	}
	key, err := parse(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
