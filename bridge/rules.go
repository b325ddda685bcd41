package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"passerelle/bridge/policy"
)

// claim is what a call counts for in the limits of rules. Node.mu guards it.
type claim struct {
	rule, room string
	source     netip.Addr
}

// decide holds the rules against the call as it is known now, and takes over what they grant. The call's room is c.ref.
func (c *call) decide(ctx context.Context) error {
	return c.obey(c.node.Policy.Decide(ctx, c.facts()))
}

// decideOnRoom is decide, with the caller on the line: a policy service may take its time.
func (c *call) decideOnRoom(ctx context.Context) error {
	for {
		var d policy.Decision
		f, before := c.facts(), c.decision.Version
		if err := c.during(ctx, func(ctx context.Context) error {
			d = c.node.Policy.Decide(ctx, f)
			return nil
		}); err != nil {
			return err
		}
		if c.decision.Version == before {
			return c.obey(d)
		} // the rules have changed meanwhile: this is what the old ones say
	}
}

// obey takes over a decision and records it. It answers a *Refused when the call may not be.
func (c *call) obey(d policy.Decision) error {
	d, err := c.accept(d)
	c.recordDecision(d)
	if err != nil {
		return err
	}
	c.decision = d
	c.show(func(v *view) { v.Rule, v.Foreign, v.Room, v.Name = d.Rule, d.Grant.Foreign, c.ref.Name, c.name() })
	return nil
}

// facts is what is known of the call now.
func (c *call) facts() policy.Facts {
	f := policy.Facts{
		At: time.Now(), Direction: c.direction(), Protocol: c.who.Protocol, Trunk: c.who.Trunk, Source: c.who.Source, Transport: c.who.Transport,
		Encrypted: c.encrypted(), Caller: c.who.Number, Called: c.who.Called, Identity: c.who.Identity, Platform: c.who.Platform, Link: c.who.Link,
		Room: c.ref.Name, Class: c.ref.Class,
	}
	c.node.mu.Lock()
	defer c.node.mu.Unlock()
	f.InRoom, f.OfSource, f.OfRule = c.node.counts(c)
	return f
}

// direction is who began.
func (c *call) direction() policy.Direction {
	if c.who.Outbound {
		return policy.Out
	}
	return policy.In
}

// encrypted tells whether media is encrypted or, before it is agreed on, can be.
func (c *call) encrypted() bool {
	if c.audio == nil || c.decision.Grant.Encryption == policy.Require {
		return c.who.Encrypted
	}
	return c.audio.Stats().Encryption != unencrypted
}

// unencrypted is what stands in media.Stats where nothing is encrypted.
const unencrypted = "none"

// accept adds to a decision what only the node knows: its limits, its record, and where media goes already.
func (c *call) accept(d policy.Decision) (policy.Decision, error) {
	if d.Allowed && d.Grant.Foreign {
		if err := c.node.Journal.Ready(); err != nil {
			c.log.Error("a foreign call is refused, because the journal cannot be written", "error", err)
			d = refused(d, policy.Unavailable, "The record of calls cannot be written")
		}
	}
	if d.Allowed && c.beyond(d.Grant) {
		d = refused(d, policy.Forbidden, "Media may not go where this call sends it")
	}
	if d.Allowed {
		d = c.node.claim(c, d)
	}
	if !d.Allowed {
		return d, &Refused{Rule: d.Rule, Refusal: d.Refusal}
	}
	return d, nil
}

// beyond tells whether media goes where an earlier decision let it go and this grant does not: to a network, or to an address of a host, which only the
// leg knows.
func (c *call) beyond(g policy.Grant) bool {
	if c.audio == nil {
		return false
	}
	to := c.audio.Stats().Remote.Addr()
	has := func(p netip.Prefix) bool { return p.Contains(to) }
	if !to.IsValid() || slices.ContainsFunc(g.Networks, has) {
		return false
	}
	lost := func(host string) bool { return !slices.Contains(g.Hosts, host) }
	return slices.ContainsFunc(c.terms.Networks, has) || slices.ContainsFunc(c.terms.Names, lost) && !to.IsPrivate() && !to.IsLoopback()
}

// refused turns a decision into its contrary.
func refused(d policy.Decision, reason policy.Reason, text string) policy.Decision {
	return policy.Decision{Rule: d.Rule, Version: d.Version, Refusal: policy.Refusal{Reason: reason, Text: text}}
}

// counts says how many other calls are in the same room, from the same source and under each rule. n.mu is held.
func (n *Node) counts(c *call) (room, source int, rules map[string]int) {
	rules = map[string]int{}
	for other := range n.calls {
		if other == c {
			continue
		}
		if other.claim.room == c.ref.Name && c.ref.Name != "" {
			room++
		}
		if other.claim.source == c.who.Source && c.who.Source.IsValid() {
			source++
		}
		rules[other.claim.rule]++
	}
	return room, source, rules
}

// claim counts a call under its rule and in its room, unless a limit of the grant is reached: calls that come at the same moment cannot both take
// the last place.
func (n *Node) claim(c *call, d policy.Decision) policy.Decision {
	n.mu.Lock()
	defer n.mu.Unlock()
	room, source, rules := n.counts(c)
	for _, l := range [...]struct {
		limit, count int
		text         string
	}{
		{d.Grant.MaxInRoom, room, "The room has as many callers as it may"},
		{d.Grant.MaxSource, source, "There are as many calls from this source as there may be"},
		{d.Grant.MaxRule, rules[d.Rule], "There are as many calls of this kind as there may be"},
	} {
		if l.limit > 0 && l.count >= l.limit {
			return refused(d, policy.TooMany, l.text)
		}
	}
	c.claim = claim{rule: d.Rule, room: c.ref.Name, source: c.who.Source}
	return d
}

// rethink holds changed rules against a running call (rules.running): it ends when it is not granted any more, or loses what is not.
func (c *call) rethink(ctx context.Context) error {
	mode := c.node.Rules.Running
	if mode == "keep" {
		return nil
	}
	before := c.decision
	err := c.decide(ctx)
	if err != nil {
		c.log.Warn("the rules changed and do not allow the call any more", "error", err)
		if errors.Is(err, ErrUnavailable) {
			return err
		}
		return fmt.Errorf("%w: %v", ErrRules, err) // the reason is that they changed, not what they say
	}
	if mode == "end" {
		c.decision.Grant = before.Grant
		return nil
	}
	banner := c.decision.Grant.Banner // of a banner nothing is taken away: it says what holds now
	c.decision.Grant = policy.Intersect(before.Grant, c.decision.Grant)
	c.decision.Grant.Banner = banner
	if c.decision.Grant.Empty() {
		return fmt.Errorf("%w: nothing of it may cross", ErrRules)
	}
	return nil
}
