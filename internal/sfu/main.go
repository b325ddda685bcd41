// Command passerelle-sfu is the embedded SFU: livekit-server, started so that it is reachable from this machine only. It is a program and a Go
// module of its own because LiveKit needs another version of pion/webrtc than Passerelle, and the two must not meet in one process.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
)

func main() {
	o, err := parse(os.Args[1:], os.Getenv("PASSERELLE_SFU_SECRET"))
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if o.exitWithStdin {
			ctx = untilEOF(ctx, os.Stdin)
		}
		err = run(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "passerelle-sfu:", err)
		os.Exit(1)
	}
}

// untilEOF ends the context when nobody holds the other end of r any more: the parent is gone, however it went.
func untilEOF(ctx context.Context, r io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, r)
	}()
	return ctx
}
