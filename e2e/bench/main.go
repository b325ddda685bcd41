// Command bench measures a gateway as its users run it: how many calls a core carries, how much later a voice arrives, how fast calls are set up,
// what a call takes in memory, and what each stage costs; beside it Debian's rtpengine and a bare relay under the same packets. It is what
// "make bench" runs. The measured program has one core, and all else the other one.
//
//	phones (this program) ⇄ RTP, SIP ⇄ passerelle serve ⇄ WebRTC ⇄ embedded SFU ⇄ participants (this program)
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// bench is one run.
type bench struct {
	root     string // of the source tree
	gateway  string // program
	quick    bool
	profiles bool
	maxCalls int
	measure  time.Duration // how long each measurement lasts
	clip     []int16       // what phones say
	began    time.Time
	report   report
}

func main() {
	if err := run(); err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	f := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	var (
		relays  = f.Int("relay", 0, "be the bare relay of so many calls")
		parts   = f.StringSlice("parts", []string{"peers", "calls", "guests", "delay", "setup", "stages"}, "what to measure")
		quick   = f.Bool("quick", false, "only what has a goal, for a shorter time: about three minutes")
		pprof   = f.Bool("pprof", false, "write CPU profiles of the gateway, of the measured time only, into .build/bench")
		most    = f.Int("max-calls", 2400, "calls at most")
		name    = f.String("only", "", "of the calls, only what has this in its name")
		window  = f.Duration("window", 0, "how long each measurement lasts; 0: 4s, or 2s when quick")
		output  = f.String("output", "docs/performance.md", "file for the report, from the source tree's root; empty: none")
		program = f.String("gateway", "bin/passerelle", "the gateway's program")
	)
	if err := f.Parse(os.Args[1:]); err != nil {
		return err
	}
	if *relays > 0 {
		return relay(*relays, os.Stdout)
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	b := &bench{
		root: root, gateway: filepath.Join(root, *program), quick: *quick, profiles: *pprof, maxCalls: *most, measure: 4 * time.Second, began: time.Now(),
	}
	if *quick {
		b.measure = 2 * time.Second
	}
	if *window > 0 {
		b.measure = *window
	}
	if _, err := os.Stat(b.gateway); err != nil {
		return fmt.Errorf("%w: run it with make bench", err)
	}
	if b.clip, err = talk("en"); err != nil {
		return err
	}
	b.report.machine = machine()
	if err := errors.Join(moveAside(), moreFiles()); err != nil {
		return err
	}
	http.DefaultClient.Timeout = 10 * time.Second
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 12*time.Minute)
	defer cancel()

	all := map[string]func(context.Context) error{
		"peers":  b.peers,
		"calls":  func(ctx context.Context) error { return b.calls(ctx, *name) },
		"guests": b.guests,
		"delay":  b.delays,
		"setup":  b.setups,
		"stages": b.stages,
	}
	var failed []error
	for _, part := range *parts {
		measure, ok := all[part]
		if !ok {
			return fmt.Errorf("there is no part %q", part)
		}
		b.say("%s", part)
		if err := measure(ctx); err != nil { // the others are worth knowing all the same
			failed = append(failed, fmt.Errorf("%s: %w", part, err))
			b.report.fail(part, err)
			b.say("  failed: %v", err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	text := b.report.markdown(described(os.Args[1:]), time.Since(b.began))
	fmt.Println("\n" + text)
	if *output != "" && ctx.Err() == nil {
		path := filepath.Join(root, *output)
		if old, err := os.ReadFile(path); err == nil { // make soak's part stays
			if _, soak, ok := strings.Cut(string(old), "\n## Soak\n"); ok {
				text += "\n## Soak\n" + soak
			}
		}
		failed = append(failed, os.WriteFile(path, []byte(text), 0o644))
	}
	return errors.Join(failed...)
}

// described is what make bench was told, as it is told.
func described(args []string) string {
	words, rest := []string{"make bench"}, []string(nil)
	for _, a := range args {
		switch a {
		case "--quick":
			words = append(words, "BENCH=quick")
		case "--pprof":
			words = append(words, "PPROF=1")
		default:
			rest = append(rest, a)
		}
	}
	if rest != nil {
		words = append(words, fmt.Sprintf("ARGS='%s'", strings.Join(rest, " ")))
	}
	return strings.Join(words, " ")
}

// say tells how far it has come.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%4.0fs %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// calls measures how many a core carries.
func (b *bench) calls(ctx context.Context, only string) error {
	limit := time.Minute
	if b.quick {
		limit = 30 * time.Second
	}
	var failed []error
	for _, g := range groups(b.quick) {
		ways := g.ways[:0:0]
		for _, w := range g.ways {
			if strings.Contains(w.name, only) {
				ways = append(ways, w)
			}
		}
		if g.ways = ways; len(ways) == 0 {
			continue
		}
		results, err := b.capacity(ctx, g, limit+time.Duration(len(ways)-1)*limit/3)
		b.report.results = append(b.report.results, results...)
		if err != nil {
			failed = append(failed, err)
			b.say("  failed: %v", err)
			b.report.fail(ways[0].name, err)
		}
		runtime.GC()
	}
	return errors.Join(failed...)
}

// peers measures what others need for the same packets.
func (b *bench) peers(ctx context.Context) (err error) {
	const relayed, transcoded = 300, 24
	if b.report.relay, err = b.relayed(ctx, relayed); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	b.say("  bare relay: %.3f%% of a core a call", 100*b.report.relay)
	if b.report.rtpengine, err = b.rtpengine(ctx, transcoded); err != nil {
		return err
	}
	b.say("  rtpengine, G.711 ⇄ Opus: %.2f%% of a core a call", 100*b.report.rtpengine)
	return nil
}

// moreFiles raises the limit of open files to what may be had: the gateway inherits it.
func moreFiles() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}
