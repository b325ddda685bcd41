package sdp

import (
	"fmt"
	"strings"

	"passerelle/bridge"
	"passerelle/transcode"
)

// choice is an offered audio line that we can take, and how.
type choice struct {
	index      int
	formats    []format          // all that it offers
	common     []transcode.Codec // those that we speak, with the offered payload types
	codec      transcode.Codec
	protection protection
	generation uint32
}

// choose finds the audio line to take. A running call stays on its line; else, of several, the first encrypted one, or the first. A nil choice
// without an error means that the far end took the sound out of a running call.
func choose(d *description, a *Abilities, old *State) (*choice, error) {
	if old.settled && old.audio < len(d.media) && isAudio(&d.media[old.audio]) && d.media[old.audio].port != 0 {
		return consider(d, old.audio, a, old)
	}
	var best *choice
	var refusal error
	for i := range d.media {
		if !isAudio(&d.media[i]) || d.media[i].port == 0 {
			continue
		}
		c, err := consider(d, i, a, old)
		switch {
		case err != nil:
			if refusal == nil {
				refusal = err
			}
		case best == nil, c.encrypted() && !best.encrypted():
			best = c
		}
	}
	switch {
	case best != nil:
		return best, nil
	case refusal != nil:
		return nil, refusal
	case old.settled:
		return nil, nil
	}
	return nil, fmt.Errorf("%w: no audio offered, only %s", bridge.ErrNoCodec, kinds(d))
}

func isAudio(s *section) bool { return strings.EqualFold(s.kind, "audio") }

func (c *choice) encrypted() bool {
	return c.protection.SDES != nil || c.protection.DTLS != nil
}

// consider says how one audio line can be taken, or why not.
func consider(d *description, index int, a *Abilities, old *State) (*choice, error) {
	s := &d.media[index]
	if _, ok := profileOf(s.proto); !ok {
		return nil, fmt.Errorf("%w: audio over %.40s", bridge.ErrNoCodec, s.proto)
	}
	c := &choice{index: index, formats: s.audioFormats()}
	c.common = common(c.formats, a.Codecs)
	var inUse *transcode.Codec
	if old.settled {
		inUse = &old.agreed.Codec
	}
	var ok bool
	if c.codec, ok = prefer(c.common, a.Codecs, inUse); !ok {
		return nil, fmt.Errorf("%w: offered %s; we speak %s", bridge.ErrNoCodec, named(c.formats), spoken(a.Codecs))
	}
	var err error
	c.protection, c.generation, err = d.protect(s, a, old)
	return c, err
}

// kinds is a list of the offered m-lines for error messages.
func kinds(d *description) string {
	var names []string
	for i, s := range d.media {
		if i == 8 {
			names = append(names, "…")
			break
		}
		names = append(names, fmt.Sprintf("%.20s %d %.40s", s.kind, s.port, s.proto))
	}
	return strings.Join(names, ", ")
}
