package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"passerelle/bridge/links"
	"passerelle/configs"
)

// link is the command that makes, lists and takes back the links by which guests come. Running nodes that have the same database take the change at once.
func link(ctx context.Context, args []string, out io.Writer) (err error) {
	f := flags("link", "new --room ROOM [--name NAME] [--from WHEN] [--until WHEN] [--uses N] … | list [--room ROOM] | revoke ID | rotate", out)
	var w links.Wish
	f.StringVar(&w.Room, "room", "", "room at the SFU")
	f.StringVar(&w.Title, "title", "", "name of the meeting, as the guest's page shows it")
	f.StringVar(&w.Name, "name", "", "name of the guest; none: the guest says one")
	f.BoolVar(&w.AskName, "ask-name", false, "the guest may change the name")
	f.BoolVar(&w.Lobby, "lobby", false, "a host lets the guest in, whatever the rule says")
	f.StringVar(&w.Language, "language", "", "of the page, where the browser's is none of ours: fr, en")
	f.StringVar(&w.Kind, "kind", "", "what the link's id begins with, for rules to match: link: \"acme-*\"")
	f.IntVar(&w.Uses, "uses", 0, "how often it lets somebody in; 0: any number of times")
	from := f.String("from", "", "valid from: 2026-11-30, 2026-11-30 14:00, an RFC 3339 time, or a time from now such as 2h or 3d; none: now")
	until := f.String("until", "", "… until, likewise; a time such as 2h counts from the beginning; none: a day later")
	file := f.String("config", "", "the configuration file, YAML; "+configs.FileVariable+" names one, too")
	configs.Flags(f)
	if err := f.Parse(args); err != nil {
		return err
	}
	cfg, err := configs.Load(configs.Source{File: *file, Environ: os.Environ(), Flags: f})
	if err != nil {
		return err
	}
	if f.NArg() == 0 {
		f.Usage()
		return errors.New("link takes new, list, revoke ID or rotate")
	}
	guard, err := newGuard(cfg)
	if err != nil {
		return err
	}
	k, err := links.OpenFor(ctx, cfg, guard.DialContext, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	switch what, words := f.Arg(0), f.Args()[1:]; {
	case what == "new" && len(words) == 0:
		if w.From, err = parseWhen("from", *from, time.Now()); err != nil {
			return err
		}
		begins := w.From
		if begins.IsZero() {
			begins = time.Now()
		}
		if w.Until, err = parseWhen("until", *until, begins); err != nil {
			return err
		}
		return newLink(ctx, cfg, k, w, out)
	case what == "list" && len(words) == 0:
		return listLinks(ctx, k, w.Room, out)
	case what == "revoke" && len(words) == 1:
		return k.Revoke(ctx, strings.TrimSpace(words[0][strings.Index(words[0], "#")+1:])) // a whole link will do
	case what == "rotate" && len(words) == 0:
		id, err := k.Rotate()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "Key %s signs from now on. Older links stay good until the files of older keys are deleted.\n", id)
		return err
	}
	return fmt.Errorf("link takes new, list, revoke ID or rotate, not %q", strings.Join(f.Args(), " "))
}

// newLink makes a link. It alone goes to out, so that a program can take it from there.
func newLink(ctx context.Context, cfg configs.Config, k *links.Keeper, w links.Wish, out io.Writer) error {
	base, err := linkBase(cfg.Guests)
	if err != nil {
		return err
	}
	if w.By == "" {
		w.By = "command line"
	}
	l, token, err := k.Create(ctx, w)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "Link %s into room %q, from %s to %s. This is shown once and kept nowhere:\n", l.ID, l.Room, day(l.From, ""), day(l.Until, ""))
	_, err = fmt.Fprintln(out, links.URL(base, token))
	return err
}

// linkBase is what links begin with.
func linkBase(g configs.Guests) (string, error) {
	switch {
	case g.PublicURL != "":
		return g.PublicURL, nil
	case g.Listen == "":
		return "", errors.New("guests.listen and guests.public_url: none: no page is there for a link to lead to")
	case g.CertFile != "":
		return "https://" + g.Listen, nil
	}
	return "http://" + g.Listen, nil
}

func listLinks(ctx context.Context, k *links.Keeper, room string, out io.Writer) error {
	list, err := k.List(ctx, room)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tROOM\tNAME\tFROM\tUNTIL\tUSED\tSTATE")
	for _, l := range list {
		used, name := fmt.Sprint(l.Used), l.Name
		if l.Uses > 0 {
			used += fmt.Sprintf(" of %d", l.Uses)
		}
		if l.AskName {
			name += "(asked)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, l.Room, name, day(l.From, ""), day(l.Until, ""), used, strings.ReplaceAll(l.State(time.Now()), "_", " "))
	}
	return table.Flush()
}

// parseWhen reads a moment: a day, a time of this machine's zone, an RFC 3339 time, or a time from a beginning. Empty is the zero time.
func parseWhen(name, s string, begins time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", "2006-01-02T15:04", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil {
		return begins.Add(d), nil
	}
	var days int
	if n, err := fmt.Sscanf(s, "%dd", &days); n == 1 && err == nil && s == fmt.Sprintf("%dd", days) && days < 1000 {
		return begins.AddDate(0, 0, days), nil
	}
	return time.Time{}, fmt.Errorf("--%s %q: expected a day such as 2026-11-30, a time such as 2026-11-30 14:00, or a time from the beginning such as 2h or 3d", name, s)
}
