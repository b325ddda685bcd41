//go:build e2e

package faults

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"passerelle/bridge/ivr"
	"passerelle/e2e/stack"
	"passerelle/sip"
	"passerelle/webrtc/livekit/lksig"
)

// TestEncryptedRoom has somebody publish a track that is encrypted end to end: the caller who is there is told and leaves, and no other gets in.
func TestEncryptedRoom(t *testing.T) {
	t.Parallel()
	h := open(t, stack.Options{})

	there := h.enter(sip.DialOptions{})
	since := time.Now()
	proxy := httptest.NewServer(encrypting(t, h.SFU.URL()))
	defer proxy.Close()
	h.join(stack.Client(t, "ws"+strings.TrimPrefix(proxy.URL, "http"), stack.Key, stack.Secret), "eve")
	h.hears(since, ivr.RefusedE2EE)
	h.ends(there, "e2ee")

	late := h.dial(sip.DialOptions{})
	since = time.Now()
	h.press(late, stack.PIN+"#")
	h.hears(since, ivr.RefusedE2EE)
	h.ends(late, "e2ee")
	stack.Eventually(t, patience, "two calls that ended for the encryption", func() bool { return h.Metric(t, `passerelle_calls_total{reason="e2ee"}`) == 2 })
}

// encrypting is a way to the SFU on which every track is announced as end-to-end encrypted, as a web client with a key does it: the SFU never looks
// into a track, so the announcement is all there is to see.
func encrypting(t *testing.T, sfu string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, stop := context.WithTimeout(r.Context(), patience)
		defer stop()
		up, _, err := websocket.DefaultDialer.DialContext(ctx, sfu+r.URL.RequestURI(), http.Header{"Authorization": r.Header["Authorization"]})
		if err != nil {
			t.Error(err)
			return
		}
		defer up.Close()
		down, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer down.Close()
		go func() {
			defer down.Close()
			pass(up, down, func(b []byte) []byte { return b })
		}()
		pass(down, up, encryptTracks)
	})
}

// pass hands messages on until one side is gone.
func pass(from, to *websocket.Conn, change func([]byte) []byte) {
	for {
		kind, b, err := from.ReadMessage()
		if err != nil || to.WriteMessage(kind, change(b)) != nil {
			return
		}
	}
}

// encryptTracks sets AddTrackRequest.encryption, field 14 in livekit_rtc.proto, to GCM.
func encryptTracks(b []byte) []byte {
	var request lksig.SignalRequest
	if proto.Unmarshal(b, &request) != nil || request.GetAddTrack() == nil {
		return b
	}
	request.GetAddTrack().ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 14, protowire.VarintType), 1))
	out, err := proto.Marshal(&request)
	if err != nil {
		return b
	}
	return out
}
