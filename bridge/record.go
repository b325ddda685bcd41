package bridge

import (
	"strconv"
	"strings"
	"time"

	"passerelle/bridge/journal"
	"passerelle/bridge/policy"
)

// record writes an entry about the call.
func (c *call) record(e journal.Entry) {
	e.Time, e.Call, e.Caller, e.Called, e.Foreign = time.Now(), c.who.CallID, c.who.Number, c.who.Called, e.Foreign || c.decision.Grant.Foreign
	if e.Caller == "" {
		e.Caller = c.who.Name
	}
	if e.Room == "" {
		e.Room = c.ref.Name
	}
	if e.Rule == "" {
		e.Rule = c.decision.Rule
	}
	if c.who.Source.IsValid() {
		e.Address = c.who.Source.String()
	}
	c.node.Journal.Write(e)
}

// recordDecision keeps what the rules said about the call, and on what.
func (c *call) recordDecision(d policy.Decision) {
	e := journal.Entry{Kind: journal.Decision, Actor: "rules", Rule: d.Rule, Outcome: "allowed", Foreign: d.Grant.Foreign, Fields: map[string]string{
		"protocol": c.who.Protocol, "transport": c.who.Transport, "trunk": c.who.Trunk, "rules": d.Version,
	}}
	switch {
	case !d.Allowed:
		e.Outcome = "refused"
		e.Fields["reason"], e.Fields["text"] = string(d.Refusal.Reason), d.Refusal.Text
	case d.Open:
		e.Outcome = "open" // until the room is known
	}
	c.whence(e.Fields)
	c.record(e)
}

// whence adds what only some calls have.
func (c *call) whence(f map[string]string) {
	if c.who.Link != "" {
		f["link"] = c.who.Link
	}
	if c.who.Platform != "" {
		f["platform"] = c.who.Platform
	}
	if c.who.Outbound {
		f["direction"] = string(c.direction())
	}
}

// recordAdmission keeps who waited in a lobby, and who decided on them.
func (c *call) recordAdmission(outcome, by string) {
	c.log.Info("lobby", "outcome", outcome, "by", by)
	c.record(journal.Entry{Kind: journal.Admission, Actor: by, Outcome: outcome})
}

// recordCall keeps the call when it is over.
func (c *call) recordCall(reason error) {
	f := map[string]string{
		"protocol": c.who.Protocol, "transport": c.who.Transport, "trunk": c.who.Trunk,
		"began": c.began.UTC().Format(time.RFC3339Nano), "seconds": seconds(c.since()), "rules": c.decision.Version,
	}
	if c.who.Identity != "" && c.who.Identity != c.who.Number {
		f["identity"] = c.who.Identity
	}
	c.whence(f)
	if c.audio != nil {
		s := c.audio.Stats()
		f["codec"], f["encryption"], f["chain"] = c.audio.Codec().Name, s.Encryption, c.chain
		if s.Remote.IsValid() {
			f["media"] = journal.Network(s.Remote.Addr()) // Fields are never shortened: no address belongs there
		}
		for name, count := range map[string]uint64{
			"packets_in": s.PacketsReceived, "packets_out": s.PacketsSent, "bytes_in": s.BytesReceived, "bytes_out": s.BytesSent, "lost": s.Lost,
		} {
			f[name] = strconv.FormatUint(count, 10)
		}
	}
	c.record(journal.Entry{Kind: journal.Call, Outcome: Label(reason), Actor: ender(reason), Fields: f})
}

// ender is who ended a call, where it was an operator.
func ender(reason error) string {
	if Label(reason) != Label(ErrEnded) {
		return ""
	}
	_, by, _ := strings.Cut(reason.Error(), ErrEnded.Error()+": ")
	return by
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }
