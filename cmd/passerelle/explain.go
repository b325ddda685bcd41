package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"passerelle/bridge/policy"
	"passerelle/configs"
)

// exit is an error of which everything has been said: only its status is left.
type exit int

// refused is the status of `passerelle explain` where the rules refuse the call. 0: they allow it, 1: that could not be told.
const refused exit = 2

func (e exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// explain is the command that tells what the rules say about a call, and why.
func explain(_ context.Context, args []string, out io.Writer) error {
	f := flags("explain", "[--rules FILE] [--from NUMBER] [--to NUMBER] …\n"+
		"Tells what would happen to a call, and why. Its status is 0 where the call is allowed, 2 where it is refused, and 1 where that cannot be told.", out)
	var facts policy.Facts
	rules := f.String("rules", "", "file of rules; none: rules.file of the configuration, or the rule that is built in")
	config := f.String("config", "", "the configuration file, YAML; "+configs.FileVariable+" names one, too")
	asJSON := f.Bool("json", false, "print JSON")
	f.StringVar(&facts.Caller, "from", "", "the caller's number, +33142000000; none: withheld")
	f.StringVar(&facts.Called, "to", "", "the number or address that is called, such as livekit://SITE/ROOM")
	f.StringVar(&facts.Trunk, "trunk", "", "trunk that lets the call in, or that it leaves by")
	source := f.String("source", "", "IP address that the call comes from")
	direction := f.String("direction", string(policy.In), "in, out")
	f.StringVar(&facts.Protocol, "protocol", "sip", "sip, h323, webrtc, whip, livekit")
	f.StringVar(&facts.Transport, "transport", "udp", "udp, tcp, tls, ws, wss")
	f.BoolVar(&facts.Encrypted, "encrypted", false, "media is, or can be, encrypted")
	f.StringVar(&facts.Identity, "identity", "", "who was authenticated")
	f.StringVar(&facts.Platform, "platform", "", "profile of the platform on the far side")
	f.StringVar(&facts.Link, "link", "", "id of the link that a guest came by")
	f.StringVar(&facts.Room, "room", "", "room at the SFU; none: it is not known yet")
	f.StringVar(&facts.Class, "class", "", "class of the room, as a directory tells it; none: as the rules say")
	f.IntVar(&facts.InRoom, "in-room", 0, "other calls of this node in the room")
	f.IntVar(&facts.OfSource, "from-source", 0, "other calls from the same source")
	f.StringToIntVar(&facts.OfRule, "under-rule", nil, "running calls under rules: NAME=NUMBER,…")
	at := f.String("at", "", "time of the call: 2026-03-04T12:00+01:00, or without a zone for this machine's; none: now")
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := noArguments(f); err != nil {
		return err
	}
	if facts.Protocol == "livekit" { // as calls to other sites are, unless told otherwise
		facts.Encrypted = facts.Encrypted || !f.Changed("encrypted")
		if !f.Changed("transport") {
			facts.Transport = "wss"
		}
	}
	facts.Direction = policy.Direction(*direction)
	err := errors.Join(
		known("direction", *direction, string(policy.In), string(policy.Out)),
		known("protocol", facts.Protocol, "sip", "h323", "webrtc", "whip", "livekit"),
		known("transport", facts.Transport, "udp", "tcp", "tls", "ws", "wss"),
		readTime(*at, &facts.At), readSource(*source, &facts.Source))
	if err != nil {
		return err
	}
	set, err := rulesFor(*rules, *config)
	if err != nil {
		return err
	}
	e := set.Explain(facts)
	if *asJSON {
		j := json.NewEncoder(out)
		j.SetIndent("", "  ")
		j.SetEscapeHTML(false)
		err = j.Encode(e)
	} else {
		_, err = io.WriteString(out, e.Text())
	}
	if err == nil && !e.Decision.Allowed {
		return refused
	}
	return err
}

// rulesFor reads a file of rules: the named one, else that of the configuration.
func rulesFor(rules, config string) (*policy.Set, error) {
	if rules == "" {
		cfg, err := configs.Load(configs.Source{File: config, Environ: os.Environ()})
		if err != nil {
			return nil, err
		}
		rules = cfg.Rules.File
	}
	if rules == "" {
		return policy.Builtin(), nil
	}
	return policy.ReadFile(rules)
}

func known(flag, word string, words ...string) error {
	if slices.Contains(words, word) {
		return nil
	}
	return fmt.Errorf("--%s %q: expected one of %s", flag, word, strings.Join(words, ", "))
}

func readTime(s string, to *time.Time) error {
	if s == "" {
		*to = time.Now()
		return nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			*to = t
			return nil
		}
	}
	return fmt.Errorf("--at %q: expected a time such as 2026-03-04T12:00+01:00", s)
}

func readSource(s string, to *netip.Addr) error {
	if s == "" {
		return nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return fmt.Errorf("--source %q: expected an IP address", s)
	}
	*to = a
	return nil
}
