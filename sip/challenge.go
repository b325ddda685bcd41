package sip

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/icholy/digest"

	sipgo "github.com/emiago/sipgo/sip"
)

// Credentials answer the challenges of a far end that we call.
type Credentials struct {
	User, Password string
}

// authorize answers the strongest challenge of a 401 or 407 (RFC 3261, section 22.2 and 22.3; RFC 8760, section 2.4).
func authorize(req *sipgo.Request, res *sipgo.Response, c Credentials) error {
	from, to := "www-authenticate", "Authorization"
	if res.StatusCode == 407 {
		from, to = "proxy-authenticate", "Proxy-Authorization"
	}
	var best *digest.Challenge
	for _, h := range res.GetHeaders(from) {
		chal, err := digest.ParseChallenge(h.Value())
		if err != nil || !digest.CanDigest(chal) {
			continue
		}
		for i := range chal.QOP {
			chal.QOP[i] = strings.TrimSpace(chal.QOP[i])
		}
		if best == nil || strength(chal) > strength(best) {
			best = chal
		}
	}
	if best == nil {
		return errors.New("no digest challenge that can be answered")
	}
	if c.User == "" {
		return fmt.Errorf("realm %q asks for a password and there is none", best.Realm)
	}
	cred, err := digest.Digest(best, digest.Options{
		Method: req.Method.String(), URI: req.Recipient.String(), Username: c.User, Password: c.Password, Count: 1,
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(req.Body())), nil },
	})
	if err != nil {
		return err
	}
	req.RemoveHeader(to)
	req.AppendHeader(sipgo.NewHeader(to, cred.String()))
	return nil
}

func strength(c *digest.Challenge) int {
	switch strings.ToUpper(c.Algorithm) {
	case "SHA-512-256":
		return 3
	case "SHA-512", "SHA-256":
		return 2
	}
	return 1
}
