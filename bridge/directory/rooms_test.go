package directory

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"passerelle/bridge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secretPIN = "7305551234"

func TestParseRooms(t *testing.T) {
	x, err := parseRooms([]byte(`
# comment
- pin: 0123456789
  room: a
  title: "Équipe"
  language: fr
  classification: diffusion restreinte
- {pin: "7305551234", room: b}
`))
	if err != nil {
		t.Fatal(err)
	}
	for pin, want := range map[string]bridge.RoomRef{
		"0123456789": {Name: "a", Title: "Équipe", Language: "fr", Source: "file", Class: "diffusion restreinte"},
		secretPIN:    {Name: "b", Source: "file"},
	} {
		if got, ok := x.find(pin); !ok || got != want {
			t.Errorf("got %+v, %v, want %+v", got, ok, want)
		}
	}
	for _, pin := range []string{"", "123456789", "01234567890", "0000000000"} {
		if _, ok := x.find(pin); ok {
			t.Errorf("%q opens a room", pin)
		}
	}
}

func TestParseRoomsRefuses(t *testing.T) {
	long := strings.Repeat("x", maxName+1)
	for name, c := range map[string]struct{ in, want string }{
		"mapping":        {"rooms: 7305551234\n", "line 1: expected a list"},
		"text":           {"- 7305551234\n", "line 1: expected a room"},
		"no pin":         {"- room: a\n", "line 1: pin: expected 4 to 32 digits"},
		"short pin":      {"- {pin: 123, room: a}\n", "pin: expected"},
		"long pin":       {"- {pin: " + strings.Repeat("1", 33) + ", room: a}\n", "pin: expected"},
		"letters":        {"- {pin: x7305551234, room: a}\n", "pin: expected"},
		"arabic digits":  {"- {pin: ٠١٢٣٤, room: a}\n", "pin: expected"},
		"list as pin":    {"- {pin: [7305551234], room: a}\n", "pin: expected a text"},
		"null pin":       {"- {pin: , room: a}\n", "pin: expected a text"},
		"no room":        {"- pin: 7305551234\n", "room: expected"},
		"long room":      {"- {pin: 7305551234, room: " + long + "}\n", "room: expected"},
		"control":        {"- {pin: 7305551234, room: \"a\\nb\"}\n", "room: expected"},
		"title":          {"- {pin: 7305551234, room: a, title: \"\\x01\"}\n", "title: expected"},
		"language":       {"- {pin: 7305551234, room: a, language: French}\n", "language: expected"},
		"classification": {"- {pin: 7305551234, room: a, classification: \"a\\nb\"}\n", "classification: expected"},
		"key":            {"- {pin: 7305551234, room: a, 7305551234: b}\n", "unknown or repeated key"},
		"key twice":      {"- {pin: 7305551234, pin: 7305551234, room: a}\n", "unknown or repeated key"},
		"pin twice":      {"- {pin: 7305551234, room: a}\n\n- {pin: 7305551234, room: b}\n", "line 3: the PIN of line 1 again"},
		"pin twice same": {"- {pin: 7305551234, room: a}\n- {pin: \"7305551234\", room: a}\n", "line 2: the PIN of line 1 again"},
		"syntax":         {"- pin: 7305551234: x\n", "not valid YAML"},
		"alias":          {"- pin: *7305551234\n", "not valid YAML"},
	} {
		_, err := parseRooms([]byte(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		} else if strings.Contains(err.Error(), secretPIN) {
			t.Errorf("%s: the error tells the PIN: %v", name, err)
		}
	}
}

func TestNoRooms(t *testing.T) {
	for _, in := range []string{"", "# none yet\n", "[]\n", "---\n"} {
		if x, err := parseRooms([]byte(in)); err != nil || len(x.rooms) != 0 {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func FuzzRooms(f *testing.F) {
	for _, s := range []string{"- {pin: 1234, room: a}", "- pin: 1234\n  room: a\n  title: b\n  language: fr\n- {}", "[[]]", "- ? a\n", "a", "- {pin: 1234, room: a}\n- {pin: 01234, room: \"\\u0000\"}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := parseRooms(b)
		if (x == nil) == (err == nil) {
			t.Fatal("rooms and an error, or neither")
		}
		if x == nil {
			return
		}
		for _, room := range x.rooms {
			if room.Name == "" || !isText(room.Name) || !isText(room.Title) {
				t.Fatalf("%+v was let through", room)
			}
		}
	})
}
