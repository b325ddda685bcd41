//go:build e2e

package livekit_test

import (
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/internal/sfuproc"
	"passerelle/webrtc/livekit"
)

// A client for the LiveKit of others speaks and hears where its pass permits it, signalling and media, and reaches nothing where it does not.
func TestClientForOthers(t *testing.T) {
	sfu := startSFU(t, sfuproc.Options{})
	guard := egress.Only() // nothing is national, this machine neither
	open := func(networks ...netip.Prefix) *livekit.Client {
		pass := guard.Pass("call", networks...)
		t.Cleanup(pass.Close)
		c, err := livekit.NewFor(configs.LiveKit{
			URL: sfu.URL(), APIKey: key, APISecret: secret, UDPListen: "127.0.0.1:0", JoinTimeout: 10 * time.Second, ReconnectFor: time.Minute,
		}, guard, pass, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	j := bridge.Join{Room: "others", Identity: "a", Publish: true, Subscribe: true}
	if _, _, err := open(netip.MustParsePrefix("192.0.2.0/24")).Join(t.Context(), j); !errors.Is(err, egress.ErrDenied) {
		t.Errorf("without being granted: %v", err)
	}
	here, there := join(t, open(netip.MustParsePrefix("127.0.0.0/8")), j), join(t, newClient(t, sfu.URL()), bridge.Join{Room: "others", Identity: "b", Publish: true, Subscribe: true})
	for _, way := range [][2]*guest{{here, there}, {there, here}} {
		who := map[*guest]string{here: "a", there: "b"}[way[0]]
		s := speak(t, way[0], who)
		ear := newEar()
		if err := way[1].Subscribe(way[1].expectTrack(who), ear); err != nil {
			t.Fatal(err)
		}
		ear.expect(t, s, 20)
	}
}
