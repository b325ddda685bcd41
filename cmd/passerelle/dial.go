package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/internal/testpeer/phone"
	"passerelle/sip"
	"passerelle/transcode"
	"passerelle/transcode/mix"
	"passerelle/transcode/resample"
	"passerelle/transcode/wav"
)

// dial is the command call: a test telephone in the terminal.
func dial(ctx context.Context, args []string, out io.Writer) (err error) {
	f := flags("call", "SIP_URI [flags]", out)
	o := sip.DialOptions{Progress: func(code int, phrase string) { fmt.Fprintf(out, "← %d %s\n", code, phrase) }}
	var (
		digits   = f.String("digits", "", "typed after the answer; a comma is a pause of a second, as in 1234567890#,,*6")
		way      = f.String("digits-by", "rtp", "how digits are sent: rtp (RFC 4733) or info (SIP INFO)")
		play     = f.String("play", "", "WAVE file to play after the digits")
		record   = f.String("record", "", "WAVE file to write what is heard into")
		duration = f.Duration("duration", 0, "hang up after this long; 0: when the far end does, or Ctrl-C")
		listen   = f.String("listen", "127.0.0.1:0", "own SIP address, host:port")
		networks = f.StringSlice("allow", nil, "networks that may be called besides the machine's own, CIDR")
		password = f.String("password-env", "", "name of the environment variable that holds the password for --user")
		user     = f.String("user", "", "user name for a challenge")
		verbose  = f.Bool("verbose", false, "log what happens in SIP and RTP")
	)
	f.StringVar(&o.Transport, "transport", "", "udp, tcp or tls; empty: as the address says, else udp")
	f.StringVar(&o.Encryption, "encryption", "prefer", "require, prefer or off")
	f.StringSliceVar(&o.Codecs, "codecs", nil, "in order of preference, of opus, G722, PCMA, PCMU, L16")
	f.StringVar(&o.From, "from", "", "number or user name to show")
	f.StringVar(&o.Name, "name", "", "display name to show")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return errors.New("call takes one SIP URI, such as sip:demo@127.0.0.1")
	}
	o.Credentials = sip.Credentials{User: *user, Password: os.Getenv(*password)}

	allowed, err := egress.ParseNetworks(*networks)
	if err != nil {
		return err
	}
	clip, err := readClip(*play)
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	if *verbose {
		cfg := configs.Defaults()
		cfg.Log.Level = "debug"
		log = newLogger(cfg)
	}
	p, err := phone.New(*listen, egress.New(allowed...), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()

	ctx, _, release := untilSignals(ctx)
	defer release()
	fmt.Fprintln(out, "→ calling", f.Arg(0))
	c, err := p.Dial(ctx, f.Arg(0), o)
	if err != nil {
		return err
	}
	answered := time.Now()
	fmt.Fprintf(out, "  answered: %s, encryption %s\n", c.Audio.Codec().Name, c.Audio.Stats().Encryption)
	if *duration > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, *duration)
		defer stop()
	}
	reason := talk(ctx, c, out, *digits, *way, clip)
	c.HangUp()
	printQuality(c, out, reason, time.Since(answered))
	if *record != "" {
		pcm, _ := p.Tape.Since(answered)
		if err := writeClip(*record, pcm); err != nil {
			return err
		}
		fmt.Fprintf(out, "  recorded %v into %s\n", (time.Duration(len(pcm)) * time.Second / transcode.Rate).Round(time.Millisecond), *record)
	}
	return nil
}

// talk types, plays, and shows the level of what is heard every second, until the call ends.
func talk(ctx context.Context, c *phone.Call, out io.Writer, digits, way string, clip []int16) error {
	ended := make(chan error, 1)
	ctx, stop := context.WithCancelCause(ctx)
	go func() {
		reason := c.Wait(ctx)
		stop(reason)
		ended <- reason
	}()
	typed := make(chan error, 1)
	go func() {
		err := c.Press(ctx, digits, way)
		if err == nil && len(clip) > 0 {
			c.Voice.Play(clip, mix.PlayOptions{})
		}
		typed <- err
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case reason := <-ended:
			<-typed
			return reason
		case <-tick.C:
			s := c.Audio.Stats()
			fmt.Fprintf(out, "  heard %s  received %d  lost %d  jitter %v  sent %d\n",
				meter(c.Phone.Tape.Level(time.Second)), s.PacketsReceived, s.Lost, s.Jitter.Round(100*time.Microsecond), s.PacketsSent)
		}
	}
}

// printQuality says how it was.
func printQuality(c *phone.Call, out io.Writer, reason error, took time.Duration) {
	s := c.Audio.Stats()
	fmt.Fprintf(out, "  ended after %v: %s\n", took.Round(time.Millisecond), bridge.Label(reason))
	fmt.Fprintf(out, "  received %d packets, lost %d, late %d, jitter %v; sent %d, lost there %d, jitter there %v, round trip %v\n",
		s.PacketsReceived, s.Lost, s.Late, s.Jitter.Round(100*time.Microsecond), s.PacketsSent, s.FarLost, s.FarJitter, s.RoundTrip)
}

// meter draws a level from -60 to 0 dBFS.
func meter(dBFS float64) string {
	const width = 20
	full := min(max(0, int((dBFS+60)/60*width)), width)
	bar := make([]rune, width)
	for i := range bar {
		bar[i] = '·'
		if i < full {
			bar[i] = '█'
		}
	}
	return fmt.Sprintf("%s %4.0f dBFS", string(bar), max(dBFS, -99))
}

// readClip reads a WAVE file as 48 kHz; no name: nothing.
func readClip(path string) ([]int16, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	pcm, rate, err := wav.Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return resample.Convert(pcm, rate, transcode.Rate)
}

// writeClip writes a WAVE file, 48 kHz.
func writeClip(path string, pcm []int16) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(wav.Write(file, pcm, transcode.Rate), file.Close())
}
