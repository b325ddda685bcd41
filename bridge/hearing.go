package bridge

import (
	"iter"
	"log/slog"
	"time"

	"passerelle/media"
	"passerelle/transcode"
	"passerelle/transcode/mix"
	"passerelle/transcode/playout"
)

// Hearing is the sound of a room of an SFU in a mixer: every audio track of its people, behind a playout buffer of its own. Who uses it sees that its
// methods are called one at a time.
type Hearing struct {
	session subscriber
	mixer   *mix.Mixer
	log     *slog.Logger
	heard   map[string]*heard // by track
}

// subscriber is what Hearing needs of a Session.
type subscriber interface {
	Subscribe(trackSID string, sink media.Sink) error
}

// heard is one track of the SFU in the mix.
type heard struct {
	buffer *playout.Buffer
	input  *mix.Input
}

// NewHearing hears nobody yet.
func NewHearing(s Session, m *mix.Mixer, log *slog.Logger) *Hearing {
	return &Hearing{session: s, mixer: m, log: log, heard: map[string]*heard{}}
}

// Follow subscribes to a participant's new audio tracks and forgets those that are gone. old is what was followed before, or the zero value; so is now
// when the participant has left.
func (h *Hearing) Follow(old, now Participant) {
	has := map[string]bool{}
	for _, t := range now.Tracks {
		has[t.SID] = true
		if _, ok := h.heard[t.SID]; ok || !t.Audio || t.Encrypted {
			continue
		}
		buffer, err := playout.New(opusCodec(), playout.Config{})
		if err != nil {
			h.log.Error("cannot hear a track", "error", err)
			continue
		}
		in := heard{buffer: buffer}
		if now.Attributes[BridgeAttribute] != "" {
			in.input = h.mixer.AddBridge(buffer)
		} else {
			in.input = h.mixer.AddSource(buffer)
		}
		h.heard[t.SID] = &in
		if err := h.session.Subscribe(t.SID, buffer); err != nil {
			h.log.Warn("cannot subscribe to a track", "error", err)
		}
	}
	for _, t := range old.Tracks {
		if !has[t.SID] {
			h.forget(t.SID)
		}
	}
}

// forget takes a track out of the mix.
func (h *Hearing) forget(sid string) {
	in, ok := h.heard[sid]
	if !ok {
		return
	}
	delete(h.heard, sid)
	_ = h.session.Subscribe(sid, nil)
	h.mixer.Remove(in.input)
	in.buffer.Close()
}

// Close forgets everybody.
func (h *Hearing) Close() {
	for sid := range h.heard {
		h.forget(sid)
	}
}

// delays are what the buffers add, where they are known. h may be nil.
func (h *Hearing) delays() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		if h == nil {
			return
		}
		for _, in := range h.heard {
			if d := in.buffer.Stats().Delay; d > 0 && !yield(d) {
				return
			}
		}
	}
}

// opusCodec is what every track of the SFU carries.
func opusCodec() transcode.Codec {
	c, _ := transcode.Lookup("opus", transcode.Rate)
	return c
}
