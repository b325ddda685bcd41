package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"passerelle/bridge/journal"
	"passerelle/configs"
)

const journalUsage = "verify | export | prune | key [--config FILE] [flags]"

// journalCommand is the command that works on the record, beside a running node or without one.
func journalCommand(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 {
		switch what, rest := args[0], args[1:]; what {
		case "verify":
			return verifyJournal(ctx, rest, out)
		case "export":
			return exportJournal(ctx, rest, out)
		case "prune":
			return pruneJournal(ctx, rest, out)
		case "key":
			return journalKey(rest, out)
		}
	}
	fmt.Fprintln(out, "Usage: passerelle journal", journalUsage)
	if len(args) > 0 && (args[0] == "--help" || args[0] == "-h") {
		return nil
	}
	return errors.New("journal takes verify, export, prune or key")
}

// The status of `passerelle journal verify`. 0: everything holds.
const (
	broken   exit = 1 // something was changed, removed, inserted or moved
	untested exit = 2 // that could not be told
)

func verifyJournal(ctx context.Context, args []string, out io.Writer) error {
	f := flags("journal verify", "[--config FILE] [--public-key FILE …] [--head FILE …]", out)
	keys := f.StringArray("public-key", nil, "PEM file of a public key that signs heads, as `passerelle journal key` prints it, one for each node; none: the key of this node")
	heads := f.StringArray("head", nil, "a signed head that was kept elsewhere (head.json); the one in journal.dir is looked at, too")
	report, err := verified(ctx, f, args, keys, heads)
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	if err != nil {
		fmt.Fprintln(out, "the journal cannot be verified:", err)
		return untested
	}
	for _, c := range report.Chains {
		fmt.Fprintln(out, chainLine(c))
	}
	if !report.OK() {
		fmt.Fprintln(out, "the journal does NOT hold")
		return broken
	}
	fmt.Fprintln(out, "the journal holds")
	return nil
}

// verified verifies the journal that the arguments name.
func verified(ctx context.Context, f *pflag.FlagSet, args []string, keyFiles, headFiles *[]string) (journal.Report, error) {
	cfg, store, err := openJournal(f, args)
	if err != nil {
		return journal.Report{}, err
	}
	defer func() { _ = store.Close() }() // it was only read
	var keys []ed25519.PublicKey
	for _, path := range *keyFiles {
		key, err := journal.ReadPublicKey(path)
		if err != nil {
			return journal.Report{}, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		key, err := journal.LoadKey(cfg.Journal)
		if err != nil {
			return journal.Report{}, fmt.Errorf("%w: %w", journal.ErrNoKey, err)
		}
		keys = append(keys, key.Public().(ed25519.PublicKey))
	}
	var known []journal.Head
	for _, path := range *headFiles {
		h, err := journal.ReadHead(path)
		if err != nil {
			return journal.Report{}, err
		}
		known = append(known, *h)
	}
	switch last, err := journal.LastHead(cfg.Journal); {
	case err != nil:
		return journal.Report{}, err
	case last != nil:
		known = append(known, *last)
	}
	return store.Verify(ctx, keys, known...)
}

// chainLine says in a line how a chain is.
func chainLine(c journal.ChainReport) string {
	if c.Problem != nil {
		return fmt.Sprintf("%s: does NOT hold at record %d: %s", c.Node, c.Problem.Seq, c.Problem.Why)
	}
	line := fmt.Sprintf("%s: %d records, the last is %d", c.Node, c.Records, c.Last)
	if c.Removed > 0 {
		line += fmt.Sprintf("; %d were removed because they were old", c.Removed)
	}
	if c.Sealed > 0 {
		line += fmt.Sprintf("; %d signed heads, the last of %s", c.Heads, c.SealedAt.UTC().Format(time.DateTime+" MST"))
	}
	if c.Sealed < c.Last {
		line += fmt.Sprintf("; no head vouches yet for those behind %d", c.Sealed)
	}
	return line
}

func exportJournal(ctx context.Context, args []string, out io.Writer) error {
	f := flags("journal export", "[--config FILE] [--format jsonl|csv] [--from TIME] [--to TIME] [--kind KIND …] [--call ID] [--room ROOM] [--node NODE]", out)
	format := f.String("format", string(journal.JSONLines), "jsonl (JSON Lines) or csv")
	from := f.String("from", "", "first time, such as 2026-01-31 or 2026-01-31T08:00:00Z")
	to := f.String("to", "", "the time up to which, without it")
	kinds := f.StringSlice("kind", nil, "only these kinds: "+kindNames())
	call := f.String("call", "", "only this call")
	room := f.String("room", "", "only this room")
	node := f.String("node", "", "only this node")
	_, store, err := openJournal(f, args)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }() // it was only read
	q := journal.Query{Call: *call, Room: *room, Node: *node}
	for _, k := range *kinds {
		if !slices.Contains(journal.Kinds(), journal.Kind(k)) {
			return fmt.Errorf("there is no kind %q of records: expected %s", k, kindNames())
		}
		q.Kinds = append(q.Kinds, journal.Kind(k))
	}
	for _, t := range [...]struct {
		text string
		to   *time.Time
	}{{*from, &q.From}, {*to, &q.To}} {
		if t.text != "" {
			if *t.to, err = journal.ReadTime(t.text); err != nil {
				return err
			}
		}
	}
	_, err = store.Export(ctx, out, journal.Format(*format), q)
	return err
}

// kindNames lists the kinds of records.
func kindNames() string {
	var names []string
	for _, k := range journal.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

func pruneJournal(ctx context.Context, args []string, out io.Writer) error {
	f := flags("journal prune", "[--config FILE] [--node NODE]", out)
	node := f.String("node", "", "whose records; empty: those of this node. A node that is no more cannot do it itself")
	cfg, store, err := openJournal(f, args)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }() // every step was committed
	key, err := journal.LoadKey(cfg.Journal)
	if err != nil {
		return err
	}
	if *node == "" {
		*node = nodeName(cfg)
	}
	did, err := store.Prune(ctx, *node, cfg.Journal, key, time.Now())
	fmt.Fprintf(out, "%s: %d records shortened, %d removed\n", *node, did.Shortened, did.Removed)
	return err
}

func journalKey(args []string, out io.Writer) error {
	f := flags("journal key", "[--config FILE]", out)
	cfg, err := loadConfig(f, args)
	if err != nil {
		return err
	}
	key, err := journal.LoadKey(cfg.Journal)
	if err != nil {
		return err
	}
	public := key.Public().(ed25519.PublicKey)
	text, err := journal.MarshalPublicKey(public)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "Public key of the journal of %s, fingerprint %s. Keep it where the node's administrators cannot change it.\n%s",
		nodeName(cfg), journal.Fingerprint(public), text)
	return err
}

// openJournal reads the arguments and opens the database that the configuration names.
func openJournal(f *pflag.FlagSet, args []string) (configs.Config, *journal.Store, error) {
	cfg, err := loadConfig(f, args)
	if err != nil {
		return cfg, nil, err
	}
	guard, err := newGuard(cfg)
	if err != nil {
		return cfg, nil, err
	}
	store, err := journal.OpenStore(cfg.Journal, guard.DialContext)
	return cfg, store, err
}
