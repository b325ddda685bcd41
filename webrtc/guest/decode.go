package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// What is wrong with a message. Each is a code of failure.
var (
	errMalformed   = errors.New("malformed")
	errUnknownType = errors.New("unknown_type")
	errTooLarge    = errors.New("too_large")
)

// request is a message of the page that has been checked.
type request interface{ check() error }

// requests makes an empty message of each type.
func requests(kind string) request {
	switch kind {
	case "hello":
		return new(hello)
	case "join":
		return new(join)
	case "offer":
		return new(offer)
	case "candidate":
		return new(candidate)
	case "layout":
		return new(layout)
	case "microphone":
		return new(microphone)
	case "camera":
		return new(camera)
	case "screen":
		return new(screen)
	case "hand":
		return new(hand)
	case "leave":
		return new(leave)
	case "ping":
		return new(ping)
	}
	return nil
}

// decode reads one message. The type is told, cut where it is long, also where the error is not nil.
func decode(b []byte) (kind string, r request, err error) {
	if len(b) > maxMessage {
		return "", nil, fmt.Errorf("%w: %d bytes, %d at most", errTooLarge, len(b), maxMessage)
	}
	var head struct {
		Type string `json:"type"`
	}
	if !utf8.Valid(b) || json.Unmarshal(b, &head) != nil {
		return "", nil, fmt.Errorf("%w: not a JSON object with a type", errMalformed)
	}
	kind = head.Type[:min(len(head.Type), 20)]
	if r = requests(head.Type); r == nil {
		return kind, nil, errUnknownType
	}
	if err := json.Unmarshal(b, r); err != nil {
		return kind, nil, fmt.Errorf("%w: a member has the wrong type", errMalformed)
	}
	if err := r.check(); err != nil {
		return kind, nil, err
	}
	return kind, r, nil
}

func (h *hello) check() error { return short("session", h.Session, 128) }

func (j *join) check() error {
	if utf8.RuneCountInString(j.Name) > maxName {
		return fmt.Errorf("%w: a name has up to %d characters", errTooLarge, maxName)
	}
	j.Name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, j.Name))
	return j.offer.check()
}

func (o *offer) check() error {
	switch {
	case len(o.SDP) > maxSDP:
		return fmt.Errorf("%w: an offer has up to %d bytes", errTooLarge, maxSDP)
	case o.SDP == "":
		return fmt.Errorf("%w: no sdp", errMalformed)
	case len(o.Tracks) > maxTracks:
		return fmt.Errorf("%w: an offer has up to %d tracks", errTooLarge, maxTracks)
	}
	for i, t := range o.Tracks {
		if !slices.Contains([]Use{UseVoice, UseCamera, UseScreen, UseTile}, t.Use) {
			return fmt.Errorf("%w: a track is for voice, camera, screen or tile", errMalformed)
		}
		if err := mid(t.Mid); err != nil {
			return err
		}
		if slices.ContainsFunc(o.Tracks[:i], func(other track) bool { return other.Mid == t.Mid || other.Use == t.Use && t.Use != UseTile }) {
			return fmt.Errorf("%w: each mid once, and one voice, camera and screen at most", errMalformed)
		}
	}
	return nil
}

func (c *candidate) check() error { return short("candidate", c.Candidate, 1024) }

func (l *layout) check() error {
	if len(l.Tiles) > maxTiles {
		return fmt.Errorf("%w: a layout has up to %d tiles", errTooLarge, maxTiles)
	}
	for _, t := range l.Tiles {
		if err := mid(t.Mid); err != nil {
			return err
		}
		if t.Source != "" && t.Source != sourceCamera && t.Source != sourceScreen {
			return fmt.Errorf("%w: a source is camera or screen", errMalformed)
		}
		if t.Height < 0 || t.Height > maxHeight {
			return fmt.Errorf("%w: a tile is 0 to %d pixels high", errMalformed, maxHeight)
		}
	}
	return nil
}

func (p *picture) check() error {
	if p.Width < 0 || p.Width > 2*maxHeight || p.Height < 0 || p.Height > maxHeight || p.Kbps < 0 || p.Kbps > 1_000_000 {
		return fmt.Errorf("%w: no picture is so large", errMalformed)
	}
	return nil
}

func (*microphone) check() error { return nil }
func (*hand) check() error       { return nil }
func (*leave) check() error      { return nil }
func (*ping) check() error       { return nil }

// mid checks an identification-tag (RFC 5888, section 4; pages number their sections).
func mid(s string) error {
	if s == "" {
		return fmt.Errorf("%w: no mid", errMalformed)
	}
	return short("mid", s, 32)
}

func short(what, s string, most int) error {
	if len(s) > most {
		return fmt.Errorf("%w: %s has up to %d bytes", errTooLarge, what, most)
	}
	return nil
}

// code is the code of failure for what decode found.
func code(err error) string {
	for _, e := range [...]error{errMalformed, errUnknownType, errTooLarge} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	return errMalformed.Error()
}
