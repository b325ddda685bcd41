//go:build e2e

package guest_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/bridge/links"
	"passerelle/e2e/stack"
	"passerelle/internal/egress"
	"passerelle/internal/testpeer/participant"
	"passerelle/internal/testpeer/picture"
	"passerelle/webrtc"
)

// TestWHEP has a client of WHEP watch a room: it gets the picture of who speaks, byte by byte as it was sent.
func TestWHEP(t *testing.T) {
	page := stack.FreePort(t)
	s := stack.Start(t, stack.Options{Extra: fmt.Sprintf("guests: {listen: %q}", page)})
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	client := s.Client(t)
	camille, err := participant.Join(ctx, client, "whep", "camille", "Camille")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(camille.Leave)
	clip, err := picture.Make(ctx, "camille", bridge.VideoCodec{Kind: bridge.VP8}, 320, 180, 3*picture.Rate)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := camille.Show(ctx, bridge.Camera, clip)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shown.Stop)
	_, token, err := keeper(t, s).Create(ctx, links.Wish{Room: "whep"})
	if err != nil {
		t.Fatal(err)
	}
	viewer := picture.NewViewer(clip)
	watchByWHEP(ctx, t, "http://"+page+"/whep", token, viewer)
	if err := viewer.Await(ctx, clip, 30); err != nil {
		t.Error(err)
	}
	if c := viewer.Count(); c.Keyframes == 0 || c.Strange > 0 {
		t.Errorf("%+v", c)
	}
}

// watchByWHEP comes in with a peer connection that takes sound and a picture, whose packets go to a viewer.
func watchByWHEP(ctx context.Context, t *testing.T, url, token string, v *picture.Viewer) {
	t.Helper()
	port, err := webrtc.OpenPort(ctx, egress.New(), "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = port.Close() })
	m, chain := new(pion.MediaEngine), new(interceptor.Registry)
	if err := m.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	if err := pion.RegisterDefaultInterceptors(m, chain); err != nil {
		t.Fatal(err)
	}
	p, err := port.NewPeer(m, chain)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	p.OnTrack(func(track *pion.TrackRemote, _ *pion.RTPReceiver) {
		if track.Kind() == pion.RTPCodecTypeVideo {
			_ = p.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(track.SSRC())}})
		}
		codec := bridge.VideoCodec{Kind: bridge.VP8}
		for {
			packet, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			if track.Kind() == pion.RTPCodecTypeVideo {
				v.WriteVideo(&bridge.VideoPacket{
					Codec: &codec, Sequence: packet.SequenceNumber, Timestamp: packet.Timestamp, Marker: packet.Marker, Payload: packet.Payload, Arrival: time.Now(),
				})
			}
		}
	})
	for _, k := range []pion.RTPCodecType{pion.RTPCodecTypeAudio, pion.RTPCodecTypeVideo} {
		if _, err := p.AddTransceiverFromKind(k, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	offer, err := p.Offer(ctx, false)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(offer))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/sdp")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s %v", response.Status, answer, err)
	}
	if err := p.Accept(string(answer)); err != nil {
		t.Fatal(err)
	}
}
