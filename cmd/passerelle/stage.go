package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"passerelle/admin/tokens"
	"passerelle/bridge/ivr"
	"passerelle/bridge/links"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/internal/sfuproc"
	"passerelle/internal/testpeer/participant"
	"passerelle/internal/testpeer/phone"
	"passerelle/transcode"
	"passerelle/webrtc/livekit"
)

// What the demo's room is called, and how it is reached.
const (
	demoRoom   = "demo"
	demoPIN    = "1234567890"
	demoKey    = "devkey"
	demoSecret = "secret-secret-secret-secret-secret" // of an SFU that only this machine can reach
)

// stage is what the demo plays on: an SFU, a gateway and a room with somebody in it.
type stage struct {
	cfg     configs.Config
	sfu     *sfuproc.Process
	prompts *ivr.Prompts
	camille *participant.Participant

	dir     string
	link    string          // by which a browser joins
	token   string          // for the admin API
	client  *livekit.Client // Camille's
	running chan error      // of the gateway
	end     [2]context.CancelFunc
	ended   atomic.Bool
}

// addresses are where the stage listens, host:port.
type addresses struct{ sip, livekit, http, guests string }

// newStage starts everything and returns when a call can be taken.
func newStage(ctx context.Context, at addresses, log *slog.Logger, out io.Writer) (s *stage, err error) {
	s = &stage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	start := time.Now()
	if s.sfu, err = sfuproc.Start(ctx, sfuproc.Options{Listen: at.livekit, Key: demoKey, Secret: demoSecret}); err != nil {
		return s, fmt.Errorf("the SFU does not start: %w", err)
	}
	fmt.Fprintf(out, "  SFU       LiveKit at %s, loopback only (after %v)\n", s.sfu.URL(), time.Since(start).Round(time.Millisecond))
	if err := s.configure(at); err != nil {
		return s, err
	}
	if err := s.startGateway(ctx, log); err != nil {
		return s, err
	}
	fmt.Fprintf(out, "  gateway   SIP %s (UDP and TCP), HTTP %s (after %v)\n", at.sip, at.http, time.Since(start).Round(time.Millisecond))
	if s.prompts, err = ivr.Load("", languages(s.cfg.IVR)); err != nil {
		return s, err
	}
	guard := egress.New()
	if s.client, err = livekit.New(s.cfg.LiveKit, guard, slog.New(slog.DiscardHandler)); err != nil {
		return s, err
	}
	if s.camille, err = participant.Join(ctx, s.client, demoRoom, "camille", "Camille"); err != nil {
		return s, err
	}
	s.camille.Loop(s.speech())
	fmt.Fprintf(out, "  room      %q behind PIN %s: Camille is in it and speaks\n", demoRoom, demoPIN)
	return s, nil
}

// speech is what Camille says: a sentence, and a breath.
func (s *stage) speech() []int16 {
	return append(append([]int16(nil), s.prompts.Clip("en", ivr.KeysHelp)...), make([]int16, transcode.Rate)...)
}

// configure makes the gateway's configuration: the defaults, one trunk that is this machine, one room.
func (s *stage) configure(at addresses) (err error) {
	if s.dir, err = os.MkdirTemp("", "passerelle-demo-"); err != nil {
		return err
	}
	rooms := filepath.Join(s.dir, "rooms.yaml")
	if err := os.WriteFile(rooms, fmt.Appendf(nil, "- {pin: %q, room: %s}\n", demoPIN, demoRoom), 0o600); err != nil {
		return err
	}
	c := configs.Defaults()
	c.LiveKit.URL, c.LiveKit.APIKey, c.LiveKit.APISecret = s.sfu.URL(), demoKey, demoSecret
	c.Directory.File, c.Directory.LiveKit, c.Calls.MaxLoad = rooms, false, 0
	c.Journal.Dir = filepath.Join(s.dir, "state")
	c.HTTP.Listen, c.SIP.UDP, c.SIP.TCP = at.http, []string{at.sip}, []string{at.sip}
	c.HTTP.Tokens, c.Guests.Listen = filepath.Join(s.dir, "tokens.yaml"), at.guests
	token, secret := tokens.New("demo", tokens.Admin, time.Now(), time.Time{})
	if err := tokens.Add(c.HTTP.Tokens, token); err != nil {
		return err
	}
	s.token = secret
	c.SIP.Trunks = []configs.Trunk{{Name: "this-machine", Addresses: []string{"127.0.0.0/8", "::1"}, Encryption: "prefer"}}
	for _, codec := range transcode.Codecs() {
		c.SIP.Trunks[0].Codecs = append(c.SIP.Trunks[0].Codecs, codec.Name)
	}
	s.cfg = c
	return c.Validate()
}

// startGateway runs the gateway in this process and returns when it is ready.
func (s *stage) startGateway(ctx context.Context, log *slog.Logger) error {
	g, err := newGateway(s.cfg, log)
	if err != nil {
		return err
	}
	drain, endDrain := context.WithCancel(context.Background())
	stop, endStop := context.WithCancel(context.Background())
	s.end = [2]context.CancelFunc{endDrain, endStop}
	s.running = make(chan error, 1)
	go func() {
		s.running <- g.run(drain, stop)
		s.ended.Store(true)
	}()
	if err := until(ctx, 10*time.Second, "the gateway is ready", func() bool { return s.ended.Load() || g.ready() == nil }); err != nil {
		return err
	}
	_, link, err := g.links.Create(ctx, links.Wish{Room: demoRoom, Title: "Demo", By: "demo", Until: time.Now().Add(24 * time.Hour)})
	s.link = links.URL("http://"+s.cfg.Guests.Listen, link)
	return err
}

// close ends everything, in the opposite order.
func (s *stage) close() error {
	var errs []error
	if s.camille != nil {
		s.camille.Leave()
	}
	if s.client != nil {
		errs = append(errs, s.client.Close())
	}
	if s.running != nil {
		s.end[0]()
		s.end[1]()
		errs = append(errs, <-s.running)
	}
	if s.sfu != nil {
		s.sfu.Stop()
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// until polls until a condition holds.
func until(ctx context.Context, within time.Duration, what string, holds func() bool) error {
	ctx, stop := context.WithTimeoutCause(ctx, within, fmt.Errorf("not within %v: %s", within, what))
	defer stop()
	for !holds() {
		if err := phone.Pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
