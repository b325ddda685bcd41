package sip

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	sipgo "github.com/emiago/sipgo/sip"
)

const maxParts = 8

var errNotSDP = errors.New("the body is not SDP")

// contentType is the media type of a body, in lower case, without parameters.
func contentType(m sipgo.Message) string {
	h := headers(m, "content-type", "c")
	if len(h) == 0 {
		return ""
	}
	t, _, _ := strings.Cut(h[0].Value(), ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// sdpBody is the SDP of a message: the whole body, or a part of it where a carrier sends ISUP beside it (RFC 5621). nil: there is no body.
func sdpBody(m sipgo.Message) ([]byte, error) {
	body := m.Body()
	if len(body) == 0 {
		return nil, nil
	}
	switch t := contentType(m); {
	case t == "application/sdp":
		return body, nil
	case !strings.HasPrefix(t, "multipart/"):
		return nil, errNotSDP
	}
	_, params, err := mime.ParseMediaType(headers(m, "content-type", "c")[0].Value())
	if err != nil || params["boundary"] == "" {
		return nil, errNotSDP
	}
	r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for range maxParts {
		p, err := r.NextRawPart()
		if err != nil {
			return nil, errNotSDP
		}
		t, _, _ := strings.Cut(p.Header.Get("Content-Type"), ";")
		if strings.EqualFold(strings.TrimSpace(t), "application/sdp") {
			return io.ReadAll(io.LimitReader(p, maxMessage))
		}
	}
	return nil, errNotSDP
}

// setSDP gives a message a body; nil leaves it without.
func setSDP(m sipgo.Message, body []byte) {
	if body == nil {
		return
	}
	t := sipgo.ContentTypeHeader("application/sdp")
	m.AppendHeader(&t)
	m.SetBody(body)
}
