package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
)

// printVersion is the command version.
func printVersion(_ context.Context, args []string, out io.Writer) error {
	f := flags("version", "", out)
	if err := f.Parse(args); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "passerelle %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
