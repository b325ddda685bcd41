package stack

import (
	"log/slog"
	"testing"

	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/webrtc/livekit"
)

// Client is a client of the stack's SFU, until the test ends.
func (s *Stack) Client(t *testing.T) *livekit.Client {
	t.Helper()
	return Client(t, s.SFU.URL(), Key, Secret)
}

// Client is a client of any SFU, until the test ends.
func Client(t *testing.T, url, key string, secret configs.Secret) *livekit.Client {
	t.Helper()
	cfg := configs.Defaults().LiveKit
	cfg.URL, cfg.APIKey, cfg.APISecret = url, key, secret
	c, err := livekit.New(cfg, egress.New(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}
