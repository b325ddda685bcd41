//go:build e2e

package participant_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/internal/sfuproc"
	"passerelle/internal/testpeer/participant"
	"passerelle/internal/testpeer/speech"
	"passerelle/transcode"
	"passerelle/webrtc/livekit"
)

// TestTwoTalk has two participants hear each other, so that tests which use them can trust their ears.
func TestTwoTalk(t *testing.T) {
	const secret = "secret-secret-secret-secret-secret"
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sfu, err := sfuproc.Start(ctx, sfuproc.Options{Key: "devkey", Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	defer sfu.Stop()
	cfg := configs.Defaults().LiveKit
	cfg.URL, cfg.APISecret = sfu.URL(), secret
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client, err := livekit.New(cfg, egress.New(), log)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	join := func(name string) *participant.Participant {
		p, err := participant.Join(ctx, client, "room", name, name)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b := join("a"), join("b")
	defer a.Leave()
	defer b.Leave()
	said := speech.Say(t, "en", speech.English, transcode.Rate)
	said = said[:3*transcode.Rate]
	for _, c := range []struct{ mouth, ear *participant.Participant }{{a, b}, {b, a}} {
		deadline, best := time.Now().Add(20*time.Second), 0.0
		for best < 0.5 && time.Now().Before(deadline) {
			at := c.mouth.Say(said)
			time.Sleep(4 * time.Second)
			heard, _ := c.ear.Tape.Since(at)
			_, best = speech.Find(heard, said[transcode.Rate:2*transcode.Rate], transcode.Rate)
		}
		t.Logf("correlation %.2f", best)
		if best < 0.5 {
			t.Error("not heard")
		}
	}
}
