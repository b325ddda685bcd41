package livekit

import (
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokenLife is how long a token can be used to join or to call. It is made anew for every attempt.
const tokenLife = 2 * time.Minute

// claims are those of a LiveKit access token.
type claims struct {
	jwt.RegisteredClaims
	Name       string            `json:"name,omitempty"`
	Kind       string            `json:"kind,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Video      *videoGrant       `json:"video,omitempty"`
	SIP        *sipGrant         `json:"sip,omitempty"`
}

// videoGrant says what may be done in rooms. LiveKit takes an absent canX for a yes, so these are always written.
type videoGrant struct {
	Room                 string   `json:"room,omitempty"`
	RoomJoin             bool     `json:"roomJoin,omitempty"`
	RoomCreate           bool     `json:"roomCreate,omitempty"`
	RoomList             bool     `json:"roomList,omitempty"`
	RoomAdmin            bool     `json:"roomAdmin,omitempty"`
	CanPublish           bool     `json:"canPublish"`
	CanSubscribe         bool     `json:"canSubscribe"`
	CanPublishData       bool     `json:"canPublishData"`
	CanPublishSources    []string `json:"canPublishSources,omitempty"`
	CanUpdateOwnMetadata bool     `json:"canUpdateOwnMetadata,omitempty"`
	Hidden               bool     `json:"hidden,omitempty"`
}

type sipGrant struct {
	Admin bool `json:"admin"`
}

// sign makes the token for cl.
func (c *Client) sign(cl claims) (string, error) {
	now := time.Now()
	cl.Issuer = c.cfg.APIKey
	cl.NotBefore = jwt.NewNumericDate(now.Add(-10 * time.Second)) // clocks differ
	cl.ExpiresAt = jwt.NewNumericDate(now.Add(tokenLife))
	return jwt.NewWithClaims(jwt.SigningMethodHS256, cl).SignedString(c.secret)
}
