package picture

import (
	"testing"

	"passerelle/bridge"
)

// TestRecognize: each clip is recognized after its way through packets, whatever the format, and taken for no other.
func TestRecognize(t *testing.T) {
	for _, codec := range []bridge.VideoCodec{{Kind: bridge.VP8}, {Kind: bridge.VP9}, {Kind: bridge.H264}, {Kind: bridge.AV1}} {
		a, err := Make(t.Context(), "a", codec, 320, 180, 8)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Make(t.Context(), "b", codec, 320, 180, 8)
		if err != nil {
			t.Fatal(err)
		}
		v := NewViewer(b, a)
		p := newPacketizer(codec.Kind)
		var seq uint16 = 65530
		for i, f := range a.frames {
			payloads := p.split(f)
			for n, payload := range payloads {
				v.WriteVideo(&bridge.VideoPacket{Codec: &codec, Sequence: seq, Timestamp: uint32(i), Marker: n == len(payloads)-1, Payload: payload})
				seq++
			}
		}
		if got := v.Count(); v.Seen()["a"] != 8 || v.Seen()["b"] != 0 || got.Strange != 0 || got.Gaps != 0 || got.Keyframes != 1 {
			t.Errorf("%s: %v %+v", codec.Kind, v.Seen(), got)
		}
	}
}
