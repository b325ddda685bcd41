package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"passerelle/admin/tokens"
	"passerelle/configs"
)

// token is the command that says who may use the admin API. A running node takes the change at once.
func token(_ context.Context, args []string, out io.Writer) error {
	f := flags("token", "add NAME --role ROLE [--expires WHEN] | list | remove NAME", out)
	role := f.String("role", "", "what the token may do: viewer (read), operator (act on calls), admin (rules, journal, full numbers)")
	expires := f.String("expires", "", "when the token is over: a time such as 90d or 12h from now, or a day such as 2027-01-31; empty: never")
	path, words, err := tokensFile(f, args)
	if err != nil {
		return err
	}
	if len(words) == 0 {
		f.Usage()
		return errors.New("token takes add NAME, list or remove NAME")
	}
	what, names := words[0], words[1:]
	switch {
	case what == "list" && len(names) == 0:
		return listTokens(path, out)
	case what == "add" && len(names) == 1:
		return addToken(path, names[0], tokens.Role(*role), *expires, out)
	case what == "remove" && len(names) == 1:
		if err := tokens.Remove(path, names[0]); err != nil {
			return fmt.Errorf("%q in %s: %w", names[0], path, err)
		}
		return nil
	}
	return fmt.Errorf("token takes add NAME, list or remove NAME, not %q", strings.Join(words, " "))
}

// tokensFile reads the arguments and, with them, where the configuration has its tokens.
func tokensFile(f *pflag.FlagSet, args []string) (path string, words []string, err error) {
	file := f.String("config", "", "the configuration file, YAML; "+configs.FileVariable+" names one, too")
	configs.Flags(f)
	if err := f.Parse(args); err != nil {
		return "", nil, err
	}
	cfg, err := configs.Load(configs.Source{File: *file, Environ: os.Environ(), Flags: f})
	if err != nil {
		return "", nil, err
	}
	if cfg.HTTP.Tokens == "" {
		return "", nil, errors.New("http.tokens_file: none: name the file in the configuration, or with --http.tokens_file")
	}
	return cfg.HTTP.Tokens, f.Args(), nil
}

// addToken makes a token. It alone goes to out, so that a program can take it from there.
func addToken(path, name string, role tokens.Role, expires string, out io.Writer) error {
	if !tokens.IsName(name) {
		return fmt.Errorf("the name %q: expected up to 64 letters, digits, dots, hyphens and underscores", name)
	}
	if !slices.Contains(tokens.Roles(), role) {
		return fmt.Errorf("--role %q: expected one of %v", string(role), tokens.Roles())
	}
	now := time.Now()
	until, err := parseExpiry(expires, now)
	if err != nil {
		return err
	}
	t, secret := tokens.New(name, role, now, until)
	if err := tokens.Add(path, t); err != nil {
		return fmt.Errorf("%q in %s: %w", name, path, err)
	}
	fmt.Fprintln(os.Stderr, "This is shown once and kept nowhere:")
	_, err = fmt.Fprintln(out, secret)
	return err
}

func listTokens(path string, out io.Writer) error {
	list, err := tokens.Read(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is not there yet: passerelle token add makes it", path)
	} else if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tROLE\tCREATED\tEXPIRES")
	for _, t := range list {
		expires := day(t.Expires, "never")
		if t.Expired(time.Now()) {
			expires += " (over)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", t.Name, t.Role, day(t.Created, "not known"), expires)
	}
	return table.Flush()
}

func day(t time.Time, none string) string {
	if t.IsZero() {
		return none
	}
	return t.Local().Format("2006-01-02 15:04")
}

// parseExpiry reads a time from now (90d, 12h) or a day (2027-01-31, at whose beginning the token is over). Empty is the zero time.
func parseExpiry(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	at, err := time.ParseInLocation(time.DateOnly, s, time.Local)
	if err != nil {
		var days int
		length, bad := time.ParseDuration(s)
		if n, err := fmt.Sscanf(s, "%dd", &days); n == 1 && err == nil && s == fmt.Sprintf("%dd", days) && days < 100_000 {
			length, bad = time.Duration(days)*24*time.Hour, nil
		}
		if bad != nil {
			return time.Time{}, fmt.Errorf("--expires %q: expected a time such as 90d or 12h, or a day such as 2027-01-31", s)
		}
		at = now.Add(length)
	}
	if !at.After(now) {
		return time.Time{}, fmt.Errorf("--expires %q: that is over already", s)
	}
	return at, nil
}
