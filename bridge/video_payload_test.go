package bridge

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/pion/rtp/codecs"
)

// payloadCases are payloads of each format, and what is to be known of them. Tests and fuzzing share them.
var payloadCases = map[string]struct {
	kind       VideoKind
	payload    string // hex
	dependency string
	key        bool
	counters   counters
}{
	"VP8 key":                           {VP8, "1000", "", true, counters{}},
	"VP8 inter":                         {VP8, "1001", "", false, counters{}},
	"VP8 second partition":              {VP8, "1100", "", false, counters{}},
	"VP8 not the start":                 {VP8, "0000", "", false, counters{}},
	"VP8 short id":                      {VP8, "90807f00", "", true, counters{picture: 127}},
	"VP8 long id":                       {VP8, "9080ffff00", "", true, counters{picture: 0x7fff}},
	"VP8 all":                           {VP8, "90f080010aff01", "", false, counters{picture: 1, tl0: 10}},
	"VP8 cut in the id":                 {VP8, "9080ff", "", false, counters{}},
	"VP8 cut in the descriptor":         {VP8, "90", "", false, counters{}},
	"VP8 without a frame":               {VP8, "90e080010a", "", false, counters{}},
	"VP9 key":                           {VP9, "88810000", "", true, counters{picture: 0x100}},
	"VP9 inter":                         {VP9, "c8810000", "", false, counters{picture: 0x100}},
	"VP9 not the start":                 {VP9, "80810000", "", false, counters{picture: 0x100}},
	"VP9 lowest layer":                  {VP9, "a88100000700", "", true, counters{picture: 0x100, tl0: 7}},
	"VP9 upper layer":                   {VP9, "a88100020700", "", false, counters{picture: 0x100, tl0: 7}},
	"VP9 flexible":                      {VP9, "b8810000ff", "", true, counters{picture: 0x100}},
	"VP9 short id":                      {VP9, "880500", "", true, counters{picture: 5}},
	"VP9 cut":                           {VP9, "a881", "", false, counters{}},
	"H264 parameters":                   {H264, "6742", "", true, counters{}},
	"H264 keyframe alone":               {H264, "6588", "", false, counters{}},
	"H264 inter":                        {H264, "4188", "", false, counters{}},
	"H264 aggregate":                    {H264, "7800026742000268ce", "", true, counters{}},
	"H264 aggregate, parameters second": {H264, "7800020900000267420002", "", true, counters{}},
	"H264 aggregate without":            {H264, "7800024188", "", false, counters{}},
	"H264 aggregate cut":                {H264, "78ffff6742", "", false, counters{}},
	"H264 aggregate of nothing":         {H264, "7800000267", "", false, counters{}},
	"H264 fragment begins":              {H264, "7c8742", "", true, counters{}},
	"H264 fragment goes on":             {H264, "7c0742", "", false, counters{}},
	"AV1 new sequence":                  {AV1, "1801", "c01234ff", true, counters{frame: 0x1234}},
	"AV1 goes on":                       {AV1, "1001", "c01235", false, counters{frame: 0x1235}},
	"AV1 fragment of the first":         {AV1, "9801", "", false, counters{}},
	"AV1 descriptor cut":                {AV1, "1801", "c012", true, counters{}},
	"none":                              {VP8, "", "", false, counters{}},
	"another format":                    {"H265", "1000", "", false, counters{}},
}

func TestInspect(t *testing.T) {
	for name, c := range payloadCases {
		payload, dependency := unhex(t, c.payload), unhex(t, c.dependency)
		m := inspect(c.kind, payload, dependency)
		if got := m.read(payload, dependency); m.key != c.key || got != c.counters {
			t.Errorf("%s: key %t, %+v; want %t, %+v", name, m.key, got, c.key, c.counters)
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzInspect: nothing in a payload leads out of it; what is written is read again, and nothing else is changed; and pion agrees.
func FuzzInspect(f *testing.F) {
	for _, c := range payloadCases {
		f.Add(string(c.kind), unhex(f, c.payload), unhex(f, c.dependency), uint16(0xffff), uint8(1), uint16(3))
	}
	f.Fuzz(func(t *testing.T, kind string, payload, dependency []byte, picture uint16, tl0 uint8, frame uint16) {
		m := inspect(VideoKind(kind), payload, dependency)
		before := m.read(payload, dependency)
		p, d := bytes.Clone(payload), bytes.Clone(dependency)
		m.write(p, d, counters{picture, tl0, frame})
		if again := inspect(VideoKind(kind), p, d); again != m {
			t.Fatalf("%+v became %+v", m, again)
		}
		m.write(p, d, before)
		if !bytes.Equal(p, payload) || !bytes.Equal(d, dependency) {
			t.Errorf("%x %x became %x %x", payload, dependency, p, d)
		}
		if VideoKind(kind) == VP8 && len(payload) > 0 {
			var v codecs.VP8Packet
			if _, err := v.Unmarshal(payload); err == nil && len(v.Payload) > 0 && (v.PictureID != before.picture || v.TL0PICIDX != before.tl0) {
				t.Errorf("%x: picture %d, TL0 %d; pion says %d, %d", payload, before.picture, before.tl0, v.PictureID, v.TL0PICIDX)
			}
		}
	})
}
