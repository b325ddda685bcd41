package guest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// messages are what pages say, and what decode makes of it: a message, or the code of the failure.
func messages() map[string]any {
	manyTiles := strings.TrimSuffix(strings.Repeat(`{"mid":"1"},`, maxTiles+1), ",")
	manyTracks := strings.TrimSuffix(strings.Repeat(`{"mid":"1","use":"tile"},`, maxTracks+1), ",")
	return map[string]any{
		`{"type":"hello","version":1,"session":"abc"}`: &hello{Version: 1, Session: "abc"},
		`{"type":"hello","future":[1,2]}`:              &hello{},
		`{"type":"join","name":" Ana\u0007 ","consent":true,"muted":true,"sdp":"v=0","tracks":[{"mid":"0","use":"voice"}]}`: &join{
			Name: "Ana", Consent: true, Muted: true, offer: offer{SDP: "v=0", Tracks: []track{{"0", UseVoice}}},
		},
		`{"type":"offer","sdp":"v=0","fresh":true}`: &offer{SDP: "v=0", Fresh: true},
		`{"type":"candidate"}`:                      &candidate{},
		`{"type":"layout","tiles":[{"mid":"3","seat":7,"source":"screen","height":720}]}`: &layout{Tiles: []tileWish{
			{Mid: "3", Seat: 7, Source: "screen", Height: 720},
		}},
		`{"type":"layout"}`:                        &layout{},
		`{"type":"microphone","on":true}`:          &microphone{On: true},
		`{"type":"camera","on":true,"height":720}`: &camera{picture{On: true, Height: 720}},
		`{"type":"screen","on":false}`:             &screen{},
		`{"type":"hand","up":true}`:                &hand{Up: true},
		`{"type":"leave"}`:                         &leave{},
		`{"type":"ping","id":5}`:                   &ping{ID: 5},
		``:                                         "malformed",
		`null`:                                     "unknown_type",
		`[]`:                                       "malformed",
		`{"type":1}`:                               "malformed",
		`{"type":"hello"`:                          "malformed",
		`{"type":"hello","version":"1"}`:           "malformed",
		"{\"type\":\"ping\xff\"}":                  "malformed",
		`{}`:                                       "unknown_type",
		`{"type":"shout"}`:                         "unknown_type",
		`{"type":"ping","id":-1}`:                  "malformed",
		`{"type":"ping","id":4294967296}`:          "malformed",
		`{"type":"offer"}`:                         "malformed",
		`{"type":"camera","on":true,"height":5000}`:                                                 "malformed",
		`{"type":"camera","on":true,"width":-1}`:                                                    "malformed",
		`{"type":"layout","tiles":[{"height":1}]}`:                                                  "malformed",
		`{"type":"layout","tiles":[{"mid":"1","height":-1}]}`:                                       "malformed",
		`{"type":"layout","tiles":[{"mid":"1","source":"x"}]}`:                                      "malformed",
		`{"type":"layout","tiles":[` + manyTiles + `]}`:                                             "too_large",
		`{"type":"offer","sdp":"v","tracks":[` + manyTracks + `]}`:                                  "too_large",
		`{"type":"offer","sdp":"v","tracks":[{"mid":"1","use":"spy"}]}`:                             "malformed",
		`{"type":"offer","sdp":"v","tracks":[{"mid":"","use":"voice"}]}`:                            "malformed",
		`{"type":"offer","sdp":"v","tracks":[{"mid":"1","use":"voice"},{"mid":"2","use":"voice"}]}`: "malformed",
		`{"type":"offer","sdp":"v","tracks":[{"mid":"1","use":"tile"},{"mid":"1","use":"tile"}]}`:   "malformed",
		`{"type":"offer","sdp":"` + strings.Repeat("v", maxSDP+1) + `"}`:                            "too_large",
		`{"type":"join","sdp":"v","name":"` + strings.Repeat("é", maxName+1) + `"}`:                 "too_large",
		`{"type":"hello","session":"` + strings.Repeat("a", 129) + `"}`:                             "too_large",
		`{"type":"candidate","candidate":"` + strings.Repeat("a", 1025) + `"}`:                      "too_large",
		`{"type":"ping","x":"` + strings.Repeat("a", maxMessage) + `"}`:                             "too_large",
		`{"type":"ping","x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`:       "malformed",
		`{"type":"` + strings.Repeat("a", 1000) + `"}`:                                              "unknown_type",
	}
}

func TestDecode(t *testing.T) {
	for in, want := range messages() {
		kind, got, err := decode([]byte(in))
		if len(kind) > 20 {
			t.Errorf("%.60s: kind %q", in, kind)
		}
		if failed, ok := want.(string); ok {
			if err == nil || code(err) != failed {
				t.Errorf("%.60s: %v, want %s", in, err, failed)
			}
		} else if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%.60s: %+v %v, want %+v", in, got, err, want)
		}
	}
}

// TestEncode: each message of ours is one JSON object that says its type first, and says nothing else twice.
func TestEncode(t *testing.T) {
	for _, m := range []message{
		&welcome{}, &stateMessage{State: StateEnded}, &answer{}, &tiles{}, &people{}, &speakers{}, &sending{}, &microphoneState{}, &handState{}, &notice{},
		&failure{}, &pong{},
	} {
		b := encode(m)
		var o map[string]any
		if err := json.Unmarshal(b, &o); err != nil || o["type"] != m.kind() || !bytes.HasPrefix(b, []byte(`{"type":"`+m.kind()+`"`)) {
			t.Errorf("%s: %s %v", m.kind(), b, err)
		}
		if n := bytes.Count(b, []byte(`"type"`)); n != 1 {
			t.Errorf("%s: %d types", b, n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for in := range messages() {
		if len(in) < 2000 {
			f.Add([]byte(in))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, r, err := decode(b)
		if (err == nil) == (r == nil) {
			t.Fatalf("%v and %v", r, err)
		}
		if err != nil {
			if c := code(err); !slices.Contains([]string{"malformed", "unknown_type", "too_large"}, c) {
				t.Errorf("code %q", c)
			}
			return
		}
		again, err := json.Marshal(r) // what was taken can be said again, and means the same
		if err != nil {
			t.Fatal(err)
		}
		again = fmt.Appendf(nil, `{"type":%q,%s`, kind, again[1:])
		if string(again[len(again)-2:]) == ",}" {
			again = append(again[:len(again)-2], '}')
		}
		if len(again) > maxMessage {
			return
		}
		_, second, err := decode(again)
		if err != nil || !reflect.DeepEqual(r, second) {
			t.Errorf("%s: %+v, then %s: %+v %v", b, r, again, second, err)
		}
	})
}
