package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"passerelle/configs"
)

// check is the command that tells whether a configuration can be used.
func check(_ context.Context, args []string, out io.Writer) error {
	f := flags("check", "[--config FILE] [--dump] [--KEY VALUE …]", out)
	dump := f.Bool("dump", false, "print the whole configuration as it is in force, without secrets")
	sample := f.Bool("sample", false, "print the commented sample, which says what the defaults are")
	cfg, err := loadConfig(f, args)
	switch {
	case *sample:
		_, err := io.WriteString(out, configs.Sample())
		return err
	case err != nil:
		return err
	}
	if *dump {
		if _, err := out.Write(cfg.Dump()); err != nil {
			return err
		}
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	warnings, err := checkRules(cfg)
	if err != nil {
		return err
	}
	for _, w := range append(cfg.Warnings(), warnings...) {
		fmt.Fprintln(out, "warning:", w)
	}
	fmt.Fprintln(out, "the configuration can be used")
	return nil
}

// loadConfig adds the flags of every configuration key, reads the arguments and, with them, the configuration. It does not validate it.
func loadConfig(f *pflag.FlagSet, args []string) (configs.Config, error) {
	file := f.String("config", "", "the configuration file, YAML; "+configs.FileVariable+" names one, too")
	configs.Flags(f)
	if err := f.Parse(args); err != nil {
		return configs.Config{}, err
	}
	if err := noArguments(f); err != nil {
		return configs.Config{}, err
	}
	return configs.Load(configs.Source{File: *file, Environ: os.Environ(), Flags: f})
}
