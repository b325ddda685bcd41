package guest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"passerelle/bridge"
)

// written makes an SDP of sections, each with its attributes.
func written(group string, sections ...string) string {
	var b strings.Builder
	b.WriteString("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n")
	if group != "" {
		b.WriteString("a=group:" + group + "\r\n")
	}
	for _, s := range sections {
		kind, attributes, _ := strings.Cut(s, " ")
		kind, port, has := strings.Cut(kind, ":")
		if !has {
			port = "9"
		}
		fmt.Fprintf(&b, "m=%s %s UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n", kind, port)
		for a := range strings.FieldsSeq(attributes) {
			b.WriteString("a=" + strings.ReplaceAll(a, "_", " ") + "\r\n")
		}
	}
	return b.String()
}

func offers() map[string][]section {
	many := make([]string, maxTracks+1)
	for i := range many {
		many[i] = fmt.Sprintf("video mid:%d", i)
	}
	return map[string][]section{
		written("BUNDLE 0 1 2", "audio mid:0 sendrecv", "video mid:1 sendonly simulcast:send_q;h;~f", "video mid:2 recvonly"): {
			{mid: "0", audio: true, sends: true, takes: true, live: true},
			{mid: "1", sends: true, live: true, rids: []string{"q", "h", "f"}},
			{mid: "2", takes: true, live: true},
		},
		written("", "audio mid:a"): {{mid: "a", audio: true, sends: true, takes: true, live: true}},
		written("BUNDLE 0 1", "audio mid:0", "video:0 mid:1 sendonly bundle-only simulcast:recv_x_send_a,b;c"): {
			{mid: "0", audio: true, sends: true, takes: true, live: true},
			{mid: "1", sends: true, live: true, rids: []string{"a", "c"}},
		},
		written("BUNDLE 0", "audio mid:0", "video:0 mid:1", "video mid:2 inactive"): {
			{mid: "0", audio: true, sends: true, takes: true, live: true}, {mid: "1", sends: true, takes: true}, {mid: "2"},
		},
		written("BUNDLE 0 1", "audio mid:0", "application mid:1"): nil,
		written("BUNDLE 0", "audio mid:0", "video mid:1"):         nil,
		written("", "audio mid:0", "video mid:1"):                 nil,
		written("BUNDLE 0", "audio mid:0", "video:0 mid:0"):       nil,
		written("", "audio sendrecv"):                             nil,
		written("", "audio mid:"+strings.Repeat("0", 33)):         nil,
		written("", "video mid:0 simulcast:send_a;b;c;d"):         nil,
		written("BUNDLE 0", many...):                              nil,
		written(""):                                               nil,
		"":                                                        nil,
		"v=0":                                                     nil,

		written("", "audio mid:0") + strings.Repeat("a=x\r\n", 9e3): nil,
	}
}

func TestReadOffer(t *testing.T) {
	for text, want := range offers() {
		got, err := readOffer(text)
		if want == nil {
			if !errors.Is(err, errOffer) {
				t.Errorf("%.300s: %v %v", text, got, err)
			}
		} else if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%.300s: %+v %v", text, got, err)
		}
	}
}

func TestAssign(t *testing.T) {
	sections, err := readOffer(written("BUNDLE 0 1 2 3", "audio mid:0", "video mid:1 sendonly", "video mid:2 recvonly", "video mid:3 recvonly"))
	if err != nil {
		t.Fatal(err)
	}
	uses := func() (list []Use) {
		for _, s := range sections {
			list = append(list, s.use)
		}
		return list
	}
	if err := assign(sections, []track{{"0", UseVoice}, {"2", UseTile}, {"1", UseScreen}}); err != nil {
		t.Error(err)
	}
	if got := uses(); !slices.Equal(got, []Use{UseVoice, UseScreen, UseTile, ""}) {
		t.Errorf("assigned %q", got)
	}
	for _, wrong := range []track{{"9", UseTile}, {"0", UseTile}, {"1", UseVoice}} {
		if err := assign(sections, []track{wrong}); !errors.Is(err, errOffer) {
			t.Errorf("%v: %v", wrong, err)
		}
	}
	for i := range sections {
		sections[i].use = ""
	}
	if guess(sections); !slices.Equal(uses(), []Use{UseVoice, UseCamera, UseTile, UseTile}) {
		t.Errorf("guessed %q", uses())
	}
}

func TestLayers(t *testing.T) {
	whole := picture{Width: 1280, Height: 720, Kbps: 1600}
	for _, c := range []struct {
		rids []string
		want []bridge.Layer
	}{
		{nil, []bridge.Layer{{Width: 1280, Height: 720, Kbps: 1600}}},
		{[]string{"f"}, []bridge.Layer{{Width: 1280, Height: 720, Kbps: 1600}}},
		{[]string{"q", "h", "f"}, []bridge.Layer{
			{RID: "q", Width: 320, Height: 180, Kbps: 100}, {RID: "h", Width: 640, Height: 360, Kbps: 400}, {RID: "f", Width: 1280, Height: 720, Kbps: 1600},
		}},
	} {
		if got := (section{rids: c.rids}).layers(whole); !slices.Equal(got, c.want) {
			t.Errorf("%v: %+v", c.rids, got)
		}
	}
}

func FuzzReadOffer(f *testing.F) {
	for text := range offers() {
		if len(text) < 5000 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := readOffer(text)
		if err != nil && !errors.Is(err, errOffer) {
			t.Errorf("%v", err)
		}
		if len(list) > maxTracks {
			t.Errorf("%d sections", len(list))
		}
		guess(list)
		for _, s := range list {
			if n := len(s.layers(picture{Width: 1280})); n < 1 || n > bridge.MaxLayers {
				t.Errorf("%d layers", n)
			}
		}
	})
}
