package guest

import (
	"encoding/json"
	"fmt"
)

// message is a message of the server.
type message interface{ kind() string }

func (*welcome) kind() string         { return "welcome" }
func (*stateMessage) kind() string    { return "state" }
func (*answer) kind() string          { return "answer" }
func (*tiles) kind() string           { return "tiles" }
func (*people) kind() string          { return "people" }
func (*speakers) kind() string        { return "speakers" }
func (*sending) kind() string         { return "sending" }
func (*microphoneState) kind() string { return "microphone" }
func (*handState) kind() string       { return "hand" }
func (*banner) kind() string          { return "banner" }
func (*notice) kind() string          { return "notice" }
func (*failure) kind() string         { return "error" }
func (*pong) kind() string            { return "pong" }

// encode writes a message with its type. Messages hold nothing that JSON cannot.
func encode(m message) []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("guest: message %s: %v", m.kind(), err)) // a mistake of ours, which every test would meet
	}
	head := fmt.Appendf(make([]byte, 0, len(b)+len(m.kind())+12), `{"type":%q`, m.kind())
	if len(b) > 2 {
		head = append(head, ',')
	}
	return append(head, b[1:]...)
}
