package directory

import (
	"errors"
	"fmt"
	"regexp"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"passerelle/bridge"
	"passerelle/internal/yamldoc"
)

// Bounds of a file of rooms.
const (
	maxFile  = 8 << 20 // bytes
	maxRooms = 50_000
	maxName  = 256 // bytes of a room's name or title
)

// parseRooms reads a file of rooms: a YAML list whose entries have pin, room and, if wanted, title, language and classification. It is taken as a whole or not
// at all. Errors tell lines, never PINs.
func parseRooms(b []byte) (*index, error) {
	root, err := yamldoc.Parse(b)
	if err != nil {
		return nil, err
	}
	x := newIndex()
	if root == nil || root.Tag == "!!null" {
		return x, nil
	}
	if root.Kind != yaml.SequenceNode {
		return nil, &yamldoc.Error{Line: root.Line, Text: "expected a list of rooms: - pin: …, room: …"}
	}
	if len(root.Content) > maxRooms {
		return nil, fmt.Errorf("%d rooms: expected at most %d", len(root.Content), maxRooms)
	}
	lines := map[string]int{} // of each PIN, to name both where one comes twice
	for _, n := range root.Content {
		pin, room, err := parseRoom(n)
		if err != nil {
			return nil, err
		}
		if first := lines[pin]; first != 0 {
			return nil, &yamldoc.Error{Line: n.Line, Text: fmt.Sprintf("the PIN of line %d again: expected another for each room", first)}
		}
		lines[pin] = n.Line
		if err := x.add(pin, room); err != nil {
			return nil, &yamldoc.Error{Line: n.Line, Text: err.Error()}
		}
	}
	return x, nil
}

func parseRoom(n *yaml.Node) (pin string, room bridge.RoomRef, err error) {
	refuse := func(n *yaml.Node, text string) (string, bridge.RoomRef, error) {
		return "", bridge.RoomRef{}, &yamldoc.Error{Line: n.Line, Text: text}
	}
	if n.Kind != yaml.MappingNode {
		return refuse(n, "expected a room: pin, room and, if wanted, title, language and classification")
	}
	room.Source = "file"
	fields := map[string]*string{"pin": &pin, "room": &room.Name, "title": &room.Title, "language": &room.Language, "classification": &room.Class}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		to, known := fields[key.Value]
		switch {
		case !known: // the key is not repeated: it could be a PIN
			return refuse(key, "unknown or repeated key: expected pin, room, title, language or classification, each once")
		case value.Kind != yaml.ScalarNode || value.Tag == "!!null":
			return refuse(value, key.Value+": expected a text")
		}
		*to = value.Value // the text as it stands: a PIN keeps the zeros at its front
		delete(fields, key.Value)
	}
	switch {
	case !isPIN(pin):
		return refuse(n, fmt.Sprintf("pin: expected %d to %d digits", minDigits, maxDigits))
	case room.Name == "" || !isText(room.Name):
		return refuse(n, fmt.Sprintf("room: expected the room's name at the SFU, up to %d bytes", maxName))
	case !isText(room.Title):
		return refuse(n, fmt.Sprintf("title: expected up to %d bytes on one line", maxName))
	case !isText(room.Class):
		return refuse(n, fmt.Sprintf("classification: expected up to %d bytes on one line", maxName))
	case room.Language != "" && !regexp.MustCompile(`^[a-z]{2,3}(-[a-z0-9]{2,8})?$`).MatchString(room.Language):
		return refuse(n, "language: expected one such as fr or en")
	}
	return pin, room, nil
}

// isText tells whether s can be a name: short, UTF-8, without control characters.
func isText(s string) bool {
	if len(s) > maxName || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return true
}

// errRooms is wrapped where a file of rooms cannot be used.
var errRooms = errors.New("the file of rooms")
