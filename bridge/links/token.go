package links

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxToken is the longest token that is looked at, in bytes.
const maxToken = 4096

// issuer and audience keep tokens of other systems that share a secret from being links.
const (
	issuer   = "passerelle"
	audience = "guest"
)

// claims is what a token says: RFC 7519's registered claims (iss, aud, jti, nbf, exp, iat; aud must be "guest"), and ours.
type claims struct {
	jwt.RegisteredClaims
	Room     string `json:"room"`
	Title    string `json:"title,omitempty"`
	Name     string `json:"name,omitempty"`
	AskName  bool   `json:"ask,omitempty"`
	Lobby    bool   `json:"lobby,omitempty"`
	Language string `json:"lang,omitempty"`
	Uses     int    `json:"uses,omitempty"`
}

// sign makes the token of a link.
func (k *Keys) sign(l Link) (string, error) {
	key, err := k.signer()
	if err != nil {
		return "", err
	}
	t := jwt.NewWithClaims(key.method, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Audience: jwt.ClaimStrings{audience}, ID: l.ID,
			NotBefore: jwt.NewNumericDate(l.From), ExpiresAt: jwt.NewNumericDate(l.Until),
		},
		Room: l.Room, Title: l.Title, Name: l.Name, AskName: l.AskName, Lobby: l.Lobby, Language: l.Language, Uses: l.Uses,
	})
	t.Header["kid"] = key.id
	return t.SignedString(key.private)
}

// read checks a token's signature and form, not its times. Every error is ErrWrong.
func (k *Keys) read(token string, now time.Time) (Link, error) {
	if len(token) > maxToken || strings.ContainsAny(token, "\r\n") { // which base64 skips: one link, one token
		return Link{}, ErrWrong
	}
	var c claims
	_, err := jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding(), jwt.WithValidMethods([]string{"EdDSA", "HS256"})).
		ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
			id, _ := t.Header["kid"].(string)
			key, ok := k.find(id, t.Method.Alg())
			if !ok {
				return nil, ErrWrong
			}
			return key.public, nil
		})
	if err != nil {
		return Link{}, ErrWrong // what the library says may quote the token
	}
	l := Link{
		ID: c.ID, Room: c.Room, Title: c.Title, Name: c.Name, AskName: c.AskName || c.Name == "", Lobby: c.Lobby, Language: c.Language, Uses: c.Uses,
	}
	if c.NotBefore != nil {
		l.From = c.NotBefore.Time
	}
	if c.ExpiresAt == nil || len(c.Audience) != 1 || c.Audience[0] != audience {
		return Link{}, ErrWrong
	}
	l.Until = c.ExpiresAt.Time
	if l.ID == "" || len(l.ID) > 80 || !text(l.ID) || l.Room == "" || !text(l.Room) || !text(l.Title) || !text(l.Name) || len(l.Language) > 12 ||
		l.Uses < 0 || l.Uses > maxUses || l.Until.Sub(now) > maxLife {
		return Link{}, ErrWrong
	}
	return l, nil
}

// newID makes an id: unique, and nothing that could be guessed.
func newID(kind string) string {
	id := strings.ToLower(rand.Text()[:16])
	if kind != "" {
		return kind + "-" + id
	}
	return id
}

// Short is what of a token may be written into a log: enough to tell two apart, too little to use.
func Short(token string) string {
	if len(token) < 40 {
		return fmt.Sprintf("(%d characters)", len(token))
	}
	return "…" + token[len(token)-6:]
}

// URL is a link as people get it. The token is in the fragment, which browsers send to nobody.
func URL(base, token string) string { return strings.TrimRight(base, "/") + "/#" + token }
