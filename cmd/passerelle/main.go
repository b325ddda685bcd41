// Command passerelle is the gateway between telephones and room systems on one side and the sovereign SFU on the other.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
)

// version is set by the release build: -ldflags "-X main.version=1.2.3".
var version = "development"

// command is one subcommand. Its run gets the arguments after the command's name.
type command struct {
	name, summary string
	run           func(ctx context.Context, args []string, out io.Writer) error
}

func commands() []command {
	return []command{
		{"serve", "take calls, as the configuration says", serve},
		{"demo", "an SFU, a gateway, a room and a telephone on this machine, to watch and to try", demo},
		{"call", "a test telephone: dial, type digits, play and record sound, print the quality", dial},
		{"check", "say whether a configuration can be used, and what is wrong with it", check},
		{"explain", "what the rules say about a call, and why", explain},
		{"token", "say who may use the admin API", token},
		{"link", "make, list and take back the links that guests come by", link},
		{"journal", "verify, export and shorten the record of calls, decisions and changes", journalCommand},
		{"version", "print the version", printVersion},
	}
}

func main() {
	err := run(context.Background(), os.Args[1:], os.Stdout)
	var status exit
	switch {
	case err == nil || errors.Is(err, pflag.ErrHelp):
	case errors.As(err, &status):
		os.Exit(int(status))
	default:
		fmt.Fprintln(os.Stderr, "passerelle:", err)
		os.Exit(1)
	}
}

// run finds the command and runs it.
func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 {
		for _, c := range commands() {
			if c.name == args[0] {
				return c.run(ctx, args[1:], out)
			}
		}
	}
	fmt.Fprintln(out, "Passerelle brings telephones into sovereign video meetings.\n\nUsage: passerelle COMMAND [flags]; passerelle COMMAND --help tells more.")
	for _, c := range commands() {
		fmt.Fprintf(out, "  %-8s %s\n", c.name, c.summary)
	}
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		return nil
	}
	return fmt.Errorf("there is no command %q", args[0])
}

// flags makes a command's flags, with a usage text on out.
func flags(name, usage string, out io.Writer) *pflag.FlagSet {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SortFlags = false
	f.SetOutput(out)
	f.Usage = func() {
		fmt.Fprintf(out, "Usage: passerelle %s %s\n%s", name, usage, f.FlagUsagesWrapped(120))
	}
	return f
}

// noArguments refuses words that no flag takes.
func noArguments(f *pflag.FlagSet) error {
	if f.NArg() > 0 {
		return fmt.Errorf("%s takes no argument %q", f.Name(), f.Arg(0))
	}
	return nil
}
