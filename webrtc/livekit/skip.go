package livekit

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of SignalResponse, each of them one kind of message.
const (
	fieldUpdate             = 5
	fieldSpeakers           = 10
	fieldConnectionQuality  = 12
	fieldStreamState        = 13
	fieldSubscriptionGrants = 15
	fieldToken              = 16
)

// skips tells, before anything of it is decoded, whether a message changes nothing for this session. LiveKit tells everybody who comes, speaks and
// goes: a leg's session, which hears nobody, would spend more on that than on its own signalling.
func (s *Session) skips(b []byte) bool {
	field, _, n := protowire.ConsumeTag(b)
	if n < 0 {
		return false // it will be an error
	}
	switch field {
	case fieldConnectionQuality, fieldStreamState, fieldSubscriptionGrants, fieldToken:
		return true
	case fieldSpeakers:
		return !s.hears
	case fieldUpdate:
		if s.hears {
			return false
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.sid != "" && !bytes.Contains(b, []byte(s.sid)) // not even about us
	}
	return false
}
