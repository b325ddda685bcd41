// Package tokens keeps the file of who may use the admin API: names, roles and hashes of tokens. A token itself is shown once, when it is made,
// and kept nowhere.
package tokens

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Role is what a token may do.
type Role string

// The roles. Each may do what those before it may.
const (
	Viewer   Role = "viewer"   // reads; numbers and addresses are masked
	Operator Role = "operator" // acts on calls and on those who wait
	Admin    Role = "admin"    // reads numbers in full and the journal, and has rules read again
)

// Roles lists them all, the least first.
func Roles() []Role { return []Role{Viewer, Operator, Admin} }

// Covers tells whether a role may do what needs another.
func (r Role) Covers(need Role) bool {
	want := slices.Index(Roles(), need)
	return want >= 0 && slices.Index(Roles(), r) >= want
}

// Token is what is known of a token: all but the token.
type Token struct {
	Name    string
	Role    Role
	Hash    string // SHA-256 of the token, 64 hexadecimal digits
	Created time.Time
	Expires time.Time // zero: never
}

// Expired tells whether a token is over.
func (t Token) Expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// prefix lets people, and programs that look for leaked secrets, know what they see.
const prefix = "pass_"

// random is how many bytes of a token nobody can guess.
const random = 32

// New makes a token. The secret is what its bearer shows: "pass_" and 32 random bytes in base64url.
func New(name string, role Role, now, expires time.Time) (t Token, secret string) {
	b := make([]byte, random)
	_, _ = rand.Read(b) // never fails
	secret = prefix + base64.RawURLEncoding.EncodeToString(b)
	return Token{Name: name, Role: role, Hash: hash(secret), Created: now.UTC().Truncate(time.Second), Expires: expires.UTC().Truncate(time.Second)}, secret
}

func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// isSecret tells whether a text has the form of a token.
func isSecret(s string) bool {
	rest, ok := strings.CutPrefix(s, prefix)
	return ok && len(rest) == base64.RawURLEncoding.EncodedLen(random)
}

// IsName tells whether a text can name a token: it stands in records and logs.
func IsName(s string) bool { return regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`).MatchString(s) }
