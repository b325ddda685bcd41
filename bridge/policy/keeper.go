package policy

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"passerelle/configs"
	"passerelle/internal/yamldoc"
)

// Keeper holds the rules in force, and reads their file again when it changes: all or nothing. Its methods may be called from any goroutine, and
// decisions wait for nobody.
type Keeper struct {
	path    string // empty: the rule is built in
	options Options
	log     *slog.Logger
	set     atomic.Pointer[Set]

	mu      sync.Mutex // of loading
	tried   string     // hash of what was read last, good or bad; empty: it could not be read
	changed func()
}

// Options of a Keeper. Each may be nil. Check and Loaded must not call the Keeper.
type Options struct {
	// Narrow is asked after rules that allow a call. Whatever it answers, the call gets no more than the rules grant.
	Narrow func(ctx context.Context, f Facts, d Decision) Decision
	// Check refuses a set that names what is not there, such as a recording.
	Check func(s *Set) error
	// Loaded is told how each loading of rules ended, the first one, too: with the hash of what was read (empty where it cannot be read), and why it is
	// not in force (nil: it is).
	Loaded func(version string, err error)
}

// Open reads the rules for the first time, and refuses a file that cannot be used. Run watches it.
func Open(cfg configs.Rules, o Options, log *slog.Logger) (*Keeper, error) {
	k := &Keeper{path: cfg.File, options: o, log: log}
	if k.path == "" {
		k.set.Store(Builtin())
		k.tell(k.Set().Version(), nil)
		return k, nil
	}
	_, err := k.load(true)
	return k, err
}

// Set is the rules in force.
func (k *Keeper) Set() *Set { return k.set.Load() }

// Decide holds the rules in force against a call, and asks Options.Narrow whether it may be what they grant.
func (k *Keeper) Decide(ctx context.Context, f Facts) Decision {
	if f.At.IsZero() {
		f.At = time.Now()
	}
	d := k.Set().Decide(f)
	if !d.Allowed || k.options.Narrow == nil {
		return d
	}
	n := k.options.Narrow(ctx, f, d)
	if !n.Allowed {
		if n.Refusal.Reason == "" {
			n.Refusal = Refusal{Reason: Forbidden, Text: "This call is not allowed"}
		}
		return Decision{Rule: d.Rule, Version: d.Version, Refusal: n.Refusal}
	}
	d.Grant = Intersect(d.Grant, n.Grant)
	if d.Open {
		d.Grant.MaxRule = 0 // of which rule?
	}
	if over, refusal := beyond(&d.Grant, d.Rule, &f); over {
		return Decision{Rule: d.Rule, Version: d.Version, Refusal: refusal}
	}
	if d.Grant.Empty() {
		return Decision{Rule: d.Rule, Version: d.Version, Refusal: Refusal{Reason: Forbidden, Text: "Nothing of this call may cross"}}
	}
	return d
}

// OnChange has f called, from any goroutine, whenever the rules have changed. It is called before the first Decide, once.
func (k *Keeper) OnChange(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changed = f
}

// Reload reads the file again. Where it cannot be used, the error says why, and the rules in force stay.
func (k *Keeper) Reload() error {
	if k.path == "" {
		return nil
	}
	changed, err := k.load(true)
	if changed != nil {
		changed()
	}
	return err
}

// load reads the file, if it is another than the one that was read last, or if that is wanted all the same. It returns who is to be told that
// the rules are others now.
func (k *Keeper) load(always bool) (changed func(), err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, err := yamldoc.ReadFile(k.path, maxFile)
	version := ""
	if err == nil {
		version = hash(b)
	}
	if version == k.tried && !always {
		return nil, nil
	}
	k.tried = version
	before := k.Set()
	if err == nil && before != nil && before.Version() == version {
		k.log.Info("the rules were read again and are the same", "version", version)
		k.tell(version, nil)
		return nil, nil
	}
	var s *Set
	if err == nil {
		s, err = Parse(k.path, b)
	}
	if err == nil && k.options.Check != nil {
		err = k.options.Check(s)
	}
	if err != nil {
		err = fmt.Errorf("the rules cannot be used:\n%w", err)
		if before != nil {
			k.log.Error("the rules were not taken; those of before stay in force", "version", before.Version(), "error", err)
		}
		k.tell(version, err)
		return nil, err
	}
	for _, w := range s.Warnings() {
		k.log.Warn("rules", "warning", w)
	}
	k.set.Store(s)
	k.log.Info("the rules are in force", "file", k.path, "rules", s.Len(), "version", version)
	k.tell(version, nil)
	return k.changed, nil
}

func (k *Keeper) tell(version string, err error) {
	if k.options.Loaded != nil {
		k.options.Loaded(version, err)
	}
}
