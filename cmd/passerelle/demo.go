package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"passerelle/bridge"
	"passerelle/bridge/ivr"
	"passerelle/internal/egress"
	"passerelle/internal/testpeer/phone"
	"passerelle/internal/testpeer/speech"
	"passerelle/sip"
	"passerelle/transcode"
	"passerelle/transcode/level"
	"passerelle/transcode/mix"
	"passerelle/transcode/resample"
)

// demo is the command that shows a call: an SFU, a gateway, a room with somebody in it, and a telephone that dials in.
func demo(ctx context.Context, args []string, out io.Writer) (err error) {
	f := flags("demo", "[--once | --no-call] [flags]", out)
	var (
		once    = f.Bool("once", false, "end after the call, with status 0 if both sides heard each other")
		noCall  = f.Bool("no-call", false, "only start everything, and stay")
		verbose = f.Bool("verbose", false, "log everything that the gateway does")
		codec   = f.String("codec", "PCMA", "what the telephone speaks: opus, G722, PCMA, PCMU or L16")
		at      addresses
	)
	f.StringVar(&at.sip, "sip", "127.0.0.1:5060", "SIP address of the gateway, UDP and TCP")
	f.StringVar(&at.livekit, "livekit", "127.0.0.1:7880", "address of the SFU")
	f.StringVar(&at.http, "http", "127.0.0.1:8080", "address of health, readiness, metrics and the admin API")
	f.StringVar(&at.guests, "guests", "127.0.0.1:8090", "address of the guests' page")
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := noArguments(f); err != nil {
		return err
	}
	ctx, _, release := untilSignals(ctx)
	defer release()

	detail := slog.LevelInfo
	if *verbose {
		detail = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: detail, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.String("gateway", a.Value.Time().Format("15:04:05.000"))
		}
		return a
	}}))
	fmt.Fprintln(out, "Passerelle: a telephone calls into a video meeting, all on this machine")
	s, err := newStage(ctx, at, log, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()

	var verdict error
	if !*noCall {
		play := &play{stage: s, out: out, start: time.Now()}
		verdict = play.run(ctx, at.sip, *codec)
		play.sum(verdict)
	}
	if *once {
		return verdict
	}
	fmt.Fprintf(out, `
Try it yourself:
  browser     %s
  softphone   dial sip:demo@%s, type %s
  terminal    bin/passerelle call sip:demo@%s --digits %s
  admin API   curl -H 'Authorization: Bearer %s' http://%s/api/v1/calls
  metrics     http://%s/metrics, /readyz
Ctrl-C ends it.
`, s.link, at.sip, demoPIN, at.sip, demoPIN, s.token, at.http, at.http)
	<-ctx.Done()
	fmt.Fprintln(out)
	return nil
}

// play is the scripted call.
type play struct {
	stage *stage
	out   io.Writer
	start time.Time

	phone *phone.Phone
	call  *phone.Call
	heard []string // by whom, how well
	bad   []string // what did not work
}

// line prints one thing that happened.
func (p *play) line(who, format string, args ...any) {
	t := time.Since(p.start)
	fmt.Fprintf(p.out, "%02d:%04.1f  %-8s %s\n", int(t.Minutes()), (t % time.Minute).Seconds(), who, fmt.Sprintf(format, args...))
}

// run calls, types a wrong PIN and the right one, talks, mutes, raises a hand, and hangs up.
func (p *play) run(ctx context.Context, target, codec string) (err error) {
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	if p.phone, err = phone.New("127.0.0.1:0", egress.New(), slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.phone.Close()) }()

	fmt.Fprintln(p.out)
	target = "sip:demo@" + target
	p.line("phone", "→ INVITE %s, from +33 1 23 45 67 12", target)
	p.call, err = p.phone.Dial(ctx, target, sip.DialOptions{
		From: "+33123456712", Codecs: []string{codec}, Encryption: "prefer",
		Progress: func(code int, phrase string) { p.line("phone", "← %d %s", code, phrase) },
	})
	if err != nil {
		return err
	}
	defer p.call.HangUp()
	p.line("phone", "← 200 OK: %s, encryption %s", p.call.Audio.Codec().Name, p.call.Audio.Stats().Encryption)
	for _, act := range []func(context.Context) error{p.wrongPIN, p.rightPIN, p.talk, p.mute, p.raiseHand} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	p.line("phone", "→ BYE")
	p.call.HangUp()
	if err := until(ctx, 5*time.Second, "the phone has left the room", func() bool { _, there := p.guest(); return !there }); err != nil {
		return err
	}
	p.line("Camille", "sees the telephone leave")
	if len(p.bad) > 0 {
		return errors.New(strings.Join(p.bad, "; "))
	}
	return nil
}

// guest is the telephone, as Camille sees it.
func (p *play) guest() (bridge.Participant, bool) {
	return p.stage.camille.Find(func(o bridge.Participant) bool { return strings.HasPrefix(o.Identity, "phone-") })
}

// hears waits until the telephone has heard a prompt, said since then: most of it, as far as speech.Heard finds it. Looking takes so much of a
// processor that it would disturb the call, so it is not done all the time.
func (p *play) hears(ctx context.Context, since time.Time, name ivr.Name, words string) error {
	clip := p.stage.prompts.Clip(p.stage.cfg.IVR.Language, name)
	ctx, stop := context.WithTimeoutCause(ctx, 15*time.Second, fmt.Errorf("not within 15s: the telephone hears “%s”", words))
	defer stop()
	for {
		if err := phone.Pause(ctx, 400*time.Millisecond); err != nil {
			return err
		}
		pcm, _ := p.phone.Tape.Since(since)
		if _, share := speech.Heard(pcm, clip, transcode.Rate); share >= 0.5 {
			p.line("phone", "hears “%s”", words)
			return nil
		}
	}
}

func (p *play) wrongPIN(ctx context.Context) error {
	if err := p.hears(ctx, p.start, ivr.EnterPIN, "Tapez le code de votre réunion, puis la touche dièse."); err != nil {
		return err
	}
	since := time.Now()
	p.line("phone", "types 0000000000#, which is wrong")
	if err := p.call.Press(ctx, "0000000000#", "rtp"); err != nil {
		return err
	}
	return p.hears(ctx, since, ivr.WrongPIN, "Ce code n'est pas correct.")
}

func (p *play) rightPIN(ctx context.Context) error {
	since := time.Now()
	p.line("phone", "types %s#", demoPIN)
	if err := p.call.Press(ctx, demoPIN+"#", "rtp"); err != nil {
		return err
	}
	if err := until(ctx, 10*time.Second, "Camille sees the telephone", func() bool { g, ok := p.guest(); return ok && len(g.Tracks) > 0 }); err != nil {
		return err
	}
	g, _ := p.guest()
	p.line("Camille", "sees “%s” (%s) come in", g.Name, g.Identity)
	return p.hears(ctx, since, ivr.Joined, "Vous êtes dans la réunion.")
}

// talk has both speak, one after the other, and measures what arrives.
func (p *play) talk(ctx context.Context) error {
	camille, tape := p.stage.camille, p.phone.Tape
	words := p.stage.prompts.Clip("en", ivr.KeysHelp)[:4*transcode.Rate]
	said := camille.Say(words)
	p.line("Camille", "speaks for 4 s")
	if err := p.meters(ctx, 4*time.Second+500*time.Millisecond, "phone", tape.Level); err != nil {
		return err
	}
	pcm, start := tape.Since(said)
	p.measure("the telephone hears Camille", pcm, start, words, said)

	camille.Loop(nil)
	words = p.stage.prompts.Clip("fr", ivr.KeysHelp)[:4*transcode.Rate]
	said = time.Now()
	p.call.Voice.Play(words, mix.PlayOptions{})
	p.line("phone", "speaks for 4 s")
	if err := p.meters(ctx, 4*time.Second+500*time.Millisecond, "Camille", camille.Tape.Level); err != nil {
		return err
	}
	pcm, start = camille.Tape.Since(said)
	p.measure("Camille hears the telephone", pcm, start, words, said)
	return nil
}

// meters shows a level every second.
func (p *play) meters(ctx context.Context, d time.Duration, who string, loudness func(time.Duration) float64) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if err := phone.Pause(ctx, min(time.Second, time.Until(end))); err != nil {
			return err
		}
		p.line(who, "hears %s", meter(loudness(time.Second)))
	}
	return nil
}

// measure looks for what was said in what was heard.
func (p *play) measure(what string, heard []int16, start time.Time, said []int16, at time.Time) {
	var middle finding
	if found := find(heard, said); len(found) > 0 {
		middle = found[len(found)/2]
	}
	delay, correlation := start.Add(middle.delay).Sub(at).Round(time.Millisecond), middle.correlation
	p.heard = append(p.heard, fmt.Sprintf("%s: correlation %.2f, %v from mouth to ear", what, correlation, delay))
	if correlation < alike {
		p.bad = append(p.bad, fmt.Sprintf("not so that %s: correlation %.2f", what, correlation))
	}
}

// alike is the correlation from which on a sound is the other one. Unlike speech stays below 0.3.
const alike = 0.6

// finding is where a second of a clip was found in a recording, and how alike they are.
type finding struct {
	delay       time.Duration
	correlation float64
}

// find looks for a clip in a recording, both 48 kHz, as far as a telephone hears. It looks for each second of the clip by itself, because a playout
// buffer may stretch the sound, and answers what it finds, the most alike last.
func find(recording, clip []int16) []finding {
	const rate = 8000
	heard, errHeard := resample.Convert(recording, transcode.Rate, rate)
	said, errSaid := resample.Convert(clip, transcode.Rate, rate)
	if errHeard != nil || errSaid != nil {
		return nil
	}
	var all []finding
	for at := 0; at+rate <= len(said) || at == 0; at += rate {
		piece := said[at:min(at+rate, len(said))]
		if len(heard) < len(piece) || level.RMS(piece) < -40 { // a pause is found everywhere
			continue
		}
		offset, correlation := speech.Find(heard, piece, rate)
		all = append(all, finding{offset - time.Duration(at)*time.Second/rate, correlation})
	}
	slices.SortFunc(all, func(a, b finding) int { return cmp.Compare(a.correlation, b.correlation) })
	return all
}

func (p *play) mute(ctx context.Context) error {
	if err := p.key(ctx, "*6", "Camille sees the microphone muted", func(g bridge.Participant) bool { return len(g.Tracks) > 0 && g.Tracks[0].Muted }); err != nil {
		return err
	}
	return p.key(ctx, "*6", "Camille sees the microphone open", func(g bridge.Participant) bool { return len(g.Tracks) > 0 && !g.Tracks[0].Muted })
}

func (p *play) raiseHand(ctx context.Context) error {
	if err := p.key(ctx, "*9", "Camille sees a hand up", func(g bridge.Participant) bool { return g.Attributes["handRaisedAt"] != "" }); err != nil {
		return err
	}
	return p.key(ctx, "*9", "Camille sees the hand down", func(g bridge.Participant) bool { return g.Attributes["handRaisedAt"] == "" })
}

// key presses keys and waits until Camille sees what they do.
func (p *play) key(ctx context.Context, keys, what string, is func(bridge.Participant) bool) error {
	p.line("phone", "types %s", keys)
	if err := p.call.Press(ctx, keys, "rtp"); err != nil {
		return err
	}
	if err := until(ctx, 5*time.Second, what, func() bool { g, ok := p.guest(); return ok && is(g) }); err != nil {
		return err
	}
	p.line("Camille", "%s", strings.TrimPrefix(what, "Camille "))
	return phone.Pause(ctx, time.Second)
}

// sum says how it went.
func (p *play) sum(verdict error) {
	fmt.Fprintln(p.out)
	for _, h := range p.heard {
		fmt.Fprintln(p.out, " ", h)
	}
	if p.call != nil {
		s := p.call.Audio.Stats()
		fmt.Fprintf(p.out, "  the telephone received %d packets, lost %d, jitter %v; sent %d\n",
			s.PacketsReceived, s.Lost, s.Jitter.Round(100*time.Microsecond), s.PacketsSent)
	}
	if verdict == nil {
		fmt.Fprintln(p.out, "  Both sides heard each other.")
		return
	}
	fmt.Fprintln(p.out, "  It did not work:", verdict)
}
